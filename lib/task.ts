/**
 * Tasks: what an orchestrator yields or awaits.
 *
 * Owns: the tree of single, all and any tasks, and how the settling of one settles those above it.
 * Must never: decide when a task settles; only the executor settles single tasks, inside a turn.
 * Proved by: `__test__/tasks.spec.mjs`.
 */

import { invalid } from './check.js'
import { InvalidOption, NotATask } from './errors.js'
import type { Execution } from './execution.js'
import type { RetryPolicy } from './retry.js'

/**
 * Something that an orchestrator waits for: `yield` it (or `yield*`, which keeps its type) in a
 * generator function, `await` it in an async function.
 *
 * A task exists from its creation: it is scheduled at the end of the turn that made it, in the
 * order of creation, whether or not anyone waits for it. One that fails unawaited raises no
 * `unhandledRejection`.
 *
 * `TAwaited` is what `await` gives, `TYielded` what `yield*` gives; they differ for `Task.any`.
 */
export interface Task<TAwaited = unknown, TYielded = TAwaited> extends PromiseLike<TAwaited> {
  /** Whether it has succeeded or failed. */
  readonly isCompleted: boolean
  /** Whether it has failed. */
  readonly isFaulted: boolean
  /** What it gave, or the error if it failed; undefined before. */
  readonly result?: unknown
  catch<TCaught = never>(
    onRejected?: ((error: unknown) => TCaught | PromiseLike<TCaught>) | null,
  ): Promise<TAwaited | TCaught>
  finally(onFinally?: (() => void) | null): Promise<TAwaited>
  // biome-ignore lint/suspicious/noExplicitAny: what an orchestrator sends into it is not checked
  [Symbol.iterator](): Iterator<Task<any, any>, TYielded, any>
}

/** A durable timer. */
export interface TimerTask extends Task<void> {
  /** Whether `cancel` was called before it fired. */
  readonly isCanceled: boolean
  /** Cancels the timer; it then never completes. Does nothing once it has fired. */
  cancel(): void
}

/** A wait for an external event. */
export interface ExternalEventTask<TResult = unknown> extends Task<TResult> {
  /** Whether `cancel` was called before its event came. */
  readonly isCanceled: boolean
  /**
   * Waits no more: the task then never completes, and an event of that name is treated as one that is not
   * waited for. Does nothing once its event has come.
   */
  cancel(): void
}

/** What a definition called in a generator gives: `hello('x')`, `hello('x').withRetry(options)`. */
export interface RegisteredActivityTask<TResult = unknown> extends Task<TResult> {
  /**
   * Gives the task a retry policy. Only before the end of the turn that made it.
   *
   * @throws InvalidOption
   */
  withRetry(retryOptions: RetryPolicy): Task<TResult>
}

/** The same for an orchestration's definition. */
export interface RegisteredOrchestrationTask<TResult = unknown>
  extends RegisteredActivityTask<TResult> {}

/** What `await Task.any(tasks)` gives: not the task itself, which `await` would unwrap. */
export type AnyResult<TResult = unknown> =
  | { index: number; isFaulted: false; result: TResult }
  | { index: number; isFaulted: true; result: Error }

/** A task, whatever it gives. */
// biome-ignore lint/suspicious/noExplicitAny: any task, whatever it gives
export type AnyTask = Task<any, any>
/** What `await` gives of a task. */
export type AwaitedOf<T> = T extends Task<infer TAwaited, infer _> ? TAwaited : never
/** What `yield*` gives of a task. */
export type YieldedOf<T> = T extends Task<infer _, infer TYielded> ? TYielded : never
/** What `Task.all` gives. */
export type AllTaskOf<T extends readonly AnyTask[]> = Task<
  { -readonly [K in keyof T]: AwaitedOf<T[K]> },
  { -readonly [K in keyof T]: YieldedOf<T[K]> }
>

/** How `Task.all` runs its members. */
export interface AllOptions {
  /**
   * How many of the members the engine runs at a time. They must all be activities, or all
   * sub-orchestrations, made in this same turn. All are recorded as scheduled at once. Default: all together.
   */
  concurrency?: number | undefined
}

/** `Task.all` and `Task.any`, also found as `context.df.Task`. */
export interface TaskCombinators {
  /**
   * Completes with the results, in the order of the list, when all have completed; fails with the
   * first failure as soon as there is one. An empty list completes at once.
   *
   * @throws NotATask, InvalidOption
   */
  // `readonly []` has a list read as a tuple, as `const T` would, which older compilers cannot read.
  all<T extends readonly AnyTask[] | readonly []>(tasks: T, options?: AllOptions): AllTaskOf<T>
  /**
   * Completes with the first of the tasks that completes, failed or not. In a generator function
   * the result is that task; in an async function it is `{ index, isFaulted, result }`. The others
   * go on; cancel a timer that is no longer needed.
   *
   * @throws NotATask
   */
  any<T extends readonly AnyTask[] | readonly []>(
    tasks: T,
  ): Task<AnyResult<AwaitedOf<T[number]>>, T[number]>
}

export const PENDING = 0
export const COMPLETED = 1
export const FAILED = 2

class Waiter {
  readonly promise: Promise<unknown>
  resolve!: (value: unknown) => void
  reject!: (error: unknown) => void

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
  }
}

/** Any task. Its `execution` is null only for a combination of no tasks. */
export abstract class TaskNode implements AnyTask {
  readonly execution: Execution | null
  state: number = PENDING
  value: unknown = undefined
  /** When it settled, among all tasks of the execution. */
  order = 0
  private parent: CompoundTask | null = null
  private moreParents: CompoundTask[] | null = null
  private waiter: Waiter | null = null

  constructor(execution: Execution | null) {
    this.execution = execution
  }

  get isCompleted(): boolean {
    return this.state !== PENDING
  }

  get isFaulted(): boolean {
    return this.state === FAILED
  }

  get result(): unknown {
    return this.value
  }

  // biome-ignore lint/suspicious/noThenProperty: a task is a thenable, so that it can be awaited
  // biome-ignore lint/suspicious/noExplicitAny: as loose as the interface it implements
  then<A = any, B = never>(
    // biome-ignore lint/suspicious/noExplicitAny: as loose as the interface it implements
    onFulfilled?: ((value: any) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.asPromise().then(onFulfilled, onRejected)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as loose as the interface it implements
  catch<B = never>(onRejected?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<any> {
    return this.asPromise().catch(onRejected)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as loose as the interface it implements
  finally(onFinally?: (() => void) | null): Promise<any> {
    return this.asPromise().finally(onFinally)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as loose as the interface it implements
  *[Symbol.iterator](): Generator<AnyTask, any, any> {
    return yield this
  }

  /** A task in place of a value is a forgotten `yield` or `await`; the message tells the user so. */
  toJSON(): never {
    throw new Error('it holds a task; yield or await the task and pass what that gives')
  }

  /** Only now is there a promise, so a failure that nobody awaits is no rejection. */
  private asPromise(): Promise<unknown> {
    this.read()
    if (this.waiter === null) {
      this.waiter = new Waiter()
      if (this.state === COMPLETED) this.waiter.resolve(this.value)
      else if (this.state === FAILED) this.waiter.reject(this.value)
    }
    return this.waiter.promise
  }

  /** Whether the code, or a task that is made of it and open, waits for it. */
  get isAwaited(): boolean {
    if (this.waiter !== null || this.parent?.waits === true) return true
    if (this.moreParents?.some((parent) => parent.waits) === true) return true
    return this.execution?.waitsFor(this) === true
  }

  /** Whether it was part of others, has not decided them, and nothing waits for it any more. */
  get isLost(): boolean {
    return this.parent !== null && !this.isAwaited
  }

  /** The code sees that it has settled. */
  read(): void {}

  addParent(parent: CompoundTask): void {
    if (this.parent === null) this.parent = parent
    else if (this.moreParents === null) this.moreParents = [parent]
    else this.moreParents.push(parent)
  }

  settle(state: number, value: unknown): void {
    if (this.state !== PENDING) return
    this.state = state
    this.value = value
    if (this.execution !== null) this.order = this.execution.nextOrder()
    if (this.waiter !== null) {
      if (state === COMPLETED) this.waiter.resolve(value)
      else this.waiter.reject(value)
    }
    this.parent?.childSettled(this)
    if (this.moreParents !== null) {
      for (const parent of this.moreParents) parent.childSettled(this)
    }
  }
}

/** What a single task is of. */
export type TaskKind = 'activity' | 'orchestration' | 'wait'

/** An activity, a sub-orchestration, a timer or a wait for an event. */
export class SingleTask extends TaskNode {
  /** The core's number of it. */
  id: number
  /** The turn that made it, by number. */
  readonly turn: number
  /** Its action without the closing braces, until the end of that turn; then empty. */
  action: string
  readonly kind: TaskKind
  isGrouped = false
  hasRetry = false
  retryIf: ((error: Error) => boolean) | null = null
  declare readonly execution: Execution

  constructor(execution: Execution, id: number, action: string, kind: TaskKind) {
    super(execution)
    this.id = id
    this.turn = execution.turn
    this.action = action
    this.kind = kind
  }

  withRetry(retryOptions: RetryPolicy): this {
    this.execution.addRetry(this, retryOptions)
    return this
  }
}

export class TimerNode extends SingleTask implements TimerTask {
  isCanceled = false

  cancel(): void {
    if (this.state !== PENDING || this.isCanceled) return
    this.execution.cancel('Timer', this.id)
    this.isCanceled = true
  }
}

/** A task that others settle. */
export abstract class CompoundTask extends TaskNode {
  readonly children: readonly TaskNode[]

  constructor(execution: Execution | null, children: readonly TaskNode[]) {
    super(execution)
    this.children = children
  }

  /** Whether it is to be told what its children come to. */
  get waits(): boolean {
    return this.state === PENDING
  }

  abstract childSettled(child: TaskNode): void

  /** Those that settled before count in the order in which they did. */
  protected adopt(): void {
    const settled: TaskNode[] = []
    for (const child of this.children) {
      if (child.state === PENDING) child.addParent(this)
      else settled.push(child)
    }
    if (settled.length > 1) settled.sort((a, b) => a.order - b.order)
    for (const child of settled) this.childSettled(child)
  }
}

class AllTask extends CompoundTask {
  private remaining: number

  constructor(execution: Execution | null, children: readonly TaskNode[]) {
    super(execution, children)
    this.remaining = children.length
    if (children.length === 0) this.settle(COMPLETED, [])
    else this.adopt()
  }

  childSettled(child: TaskNode): void {
    child.read()
    if (child.state === FAILED) {
      this.settle(FAILED, child.value)
      return
    }
    this.remaining -= 1
    if (this.remaining > 0 || this.state !== PENDING) return
    this.settle(
      COMPLETED,
      this.children.map((each) => each.value),
    )
  }
}

class FirstTask extends CompoundTask {
  constructor(execution: Execution | null, children: readonly TaskNode[]) {
    super(execution, children)
    this.adopt()
  }

  childSettled(child: TaskNode): void {
    if (this.state !== PENDING) return
    child.read()
    if (this.execution?.isGenerator === true) {
      this.settle(COMPLETED, child)
      return
    }
    const index = this.children.indexOf(child)
    this.settle(COMPLETED, { index, isFaulted: child.state === FAILED, result: child.value })
  }
}

function nodesOf(tasks: unknown, name: string): TaskNode[] {
  if (!Array.isArray(tasks)) {
    throw new NotATask(`${name} takes an array of tasks.`, { field: 'tasks' })
  }
  let execution: Execution | null = null
  for (let i = 0; i < tasks.length; i++) {
    const task: unknown = tasks[i]
    if (!(task instanceof TaskNode)) {
      throw new NotATask(
        `${name} takes tasks only, and number ${i} of the list is ${typeof task}. Pass what context.df.callActivity and its like give.`,
        { field: `tasks[${i}]` },
      )
    }
    execution ??= task.execution
    if (task.execution !== execution && task.execution !== null) {
      throw new NotATask(`${name}: number ${i} of the list is a task of another instance.`, {
        field: `tasks[${i}]`,
      })
    }
  }
  return tasks.slice() as TaskNode[]
}

function executionOf(nodes: TaskNode[]): Execution | null {
  for (const node of nodes) if (node.execution !== null) return node.execution
  return null
}

function limitConcurrency(nodes: TaskNode[], options: AllOptions): void {
  const limit = options.concurrency
  if (limit === undefined) return
  if (!Number.isInteger(limit) || limit < 1) {
    throw invalid('options.concurrency', 'must be a whole number, 1 or more', limit)
  }
  const execution = executionOf(nodes)
  if (execution === null) return
  for (const node of nodes) {
    if (!isGroupable(node, execution) || node.kind !== (nodes[0] as SingleTask).kind) {
      throw new InvalidOption(
        'Task.all with concurrency takes activities only, or sub-orchestrations only, that were made in this same turn, each in one such list: make the tasks and call Task.all before the next yield or await.',
        { field: 'options.concurrency' },
      )
    }
  }
  execution.group(nodes as SingleTask[], limit)
}

function isGroupable(node: TaskNode, execution: Execution): node is SingleTask {
  if (!(node instanceof SingleTask) || node.kind === 'wait') return false
  return execution.isUnsent(node) && !node.isGrouped
}

/** Combines tasks; the same as `context.df.Task`. */
export const Task: TaskCombinators = {
  all(tasks: readonly AnyTask[], options?: AllOptions): never {
    const nodes = nodesOf(tasks, 'Task.all')
    if (options !== undefined) {
      if (typeof options !== 'object' || options === null) {
        throw invalid('options', 'must be an object', options)
      }
      limitConcurrency(nodes, options)
    }
    return new AllTask(executionOf(nodes), nodes) as never
  },
  any(tasks: readonly AnyTask[]): never {
    const nodes = nodesOf(tasks, 'Task.any')
    if (nodes.length === 0) {
      throw new NotATask('Task.any of no tasks would never complete.', { field: 'tasks' })
    }
    return new FirstTask(executionOf(nodes), nodes) as never
  },
}
