/**
 * `df.TaskFailedError`: what an error of a failed task says of its cause, for programs that ask for it so.
 *
 * Owns: which errors count as one, and their details.
 * Must never: change an error: it stays of the class, and has the message and the fields, that it was
 * thrown with.
 * Proved by: `__test__/one-import.spec.mjs`.
 */

/** What is known of a failure of an activity, an orchestration or an entity. */
export interface FailureDetails {
  /** The error's name. */
  errorType: string
  errorMessage: string
  stackTrace?: string
  /** Always false: whether to try again is for the retry policy to say. */
  isNonRetriable: boolean
  /** The error's own fields, with what the provider of `setExceptionPropertiesProvider` has added. */
  properties?: Record<string, unknown>
  /** The error's cause, if that is an error. */
  innerFailure?: FailureDetails
  /** Whether this failure, or one behind it, is of this type. */
  isCausedBy(errorType: string): boolean
}

/** Gives own fields for the errors that activities throw. */
export interface ExceptionPropertiesProvider {
  /** The fields to add; undefined for none. What it throws is ignored. */
  getExceptionProperties(error: unknown): Record<string, unknown> | undefined
}

/** Several errors as one, for programs that ask for it. `Task.all` fails with the first error instead. */
export class AggregatedError extends Error {
  readonly errors: Error[]

  constructor(errors: Error[]) {
    const list = errors.map(({ name, message }) => `Name: ${name}\nMessage: ${message}`)
    super(`Several tasks failed:\n${list.join('\n')}`)
    this.errors = errors
  }
}

const tasks: WeakSet<object> = new WeakSet()

/**
 * The error of a failed task. Such an error is of the class that it was thrown with (`RangeError`); it
 * is an instance of this class too, and has `failureDetails`.
 *
 * @example
 * ```ts
 * try {
 *   yield context.df.callActivity('charge', order)
 * } catch (error) {
 *   if (!(error instanceof df.TaskFailedError)) throw error
 *   if (error.failureDetails.isCausedBy('CardDeclined')) return 'declined'
 * }
 * ```
 */
export class TaskFailedError extends Error {
  readonly failureDetails: FailureDetails
  /** The name of what failed, if it is known. */
  declare readonly taskName?: string
  /** The number of the task, if it is known. */
  declare readonly taskId?: number

  constructor(failureDetails: FailureDetails) {
    super(`${failureDetails.errorType}: ${failureDetails.errorMessage}`)
    this.failureDetails = failureDetails
  }
}

/** Not inherited in this sense: a class derived from it has only its own. */
Object.defineProperty(TaskFailedError, Symbol.hasInstance, {
  value(this: { prototype: object }, value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false
    if (this === TaskFailedError && tasks.has(value)) return true
    return Object.prototype.isPrototypeOf.call(this.prototype, value)
  },
})

Object.defineProperty(TaskFailedError.prototype, 'name', {
  value: 'TaskFailedError',
  writable: true,
  configurable: true,
})

/** Makes an error one of a failed task. */
export function markTaskFailed<TError extends Error>(error: TError): TError {
  tasks.add(error)
  if (!Object.hasOwn(error, 'failureDetails')) {
    Object.defineProperty(error, 'failureDetails', {
      get: () => detailsOf(error),
      enumerable: false,
      configurable: true,
    })
  }
  return error
}

function detailsOf(error: Error): FailureDetails {
  const { name, message, stack, cause } = error
  const properties = { ...error }
  const details: FailureDetails = {
    errorType: name,
    errorMessage: message,
    isNonRetriable: false,
    isCausedBy(errorType) {
      return this.errorType === errorType || this.innerFailure?.isCausedBy(errorType) === true
    },
  }
  if (stack !== undefined) details.stackTrace = stack
  if (Object.keys(properties).length > 0) details.properties = properties
  if (cause instanceof Error) details.innerFailure = detailsOf(cause)
  return details
}
