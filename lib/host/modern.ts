/**
 * Functions of the newer model: those that `@azure/functions` 4 registers.
 *
 * Owns: the call of one, with its hooks, through the package's own programming model.
 * Must never: make a context; the package does.
 * Proved by: `__test__/host-modern.spec.mjs`.
 */

import { randomUUID } from 'node:crypto'
import { type BindingData, lazily } from '../azure/binding-data.js'
import { InvalidFunction } from '../errors.js'
import type { InvocationContext } from '../types.js'
import {
  type Binding,
  bindingsOf,
  isObject,
  isOutput,
  isTrigger,
  kindOf,
  RETURN,
  triggerOf,
} from './binding.js'
import {
  type CoreApp,
  type CoreCallback,
  type CoreResponse,
  modelOf,
  type Registration,
  runAs,
} from './core-module.js'
import { type CallState, invokeHooked } from './hooks.js'
import {
  bounded,
  type Call,
  type Environment,
  type Invocable,
  type Outcome,
  type TriggerValue,
} from './invocation.js'
import { triggerData } from './trigger-data.js'
import {
  fromTypedData,
  liveTypedData,
  type TypedData,
  toTypedData,
  valueToTypedData,
} from './typed-data.js'

/** A function that an app has registered, ready to be called. */
export class ModernFunction implements Invocable {
  readonly model = 'v4'
  readonly name: string
  readonly kind: Invocable['kind']
  readonly file: string
  readonly bindings: readonly Binding[]
  readonly trigger: Binding
  readonly retry: unknown
  readonly isHosted: boolean
  readonly #registration: Registration
  readonly #app: CoreApp
  readonly #environment: Environment

  /** @throws InvalidFunction for bindings that are not supported */
  constructor(registration: Registration, app: CoreApp, environment: Environment) {
    const { metadata, file } = registration
    const list = Object.entries(metadata.bindings).map(([name, binding]) => ({ ...binding, name }))
    const where = `${file}: function '${metadata.name}'`
    this.name = metadata.name
    this.file = file
    this.bindings = bindingsOf(list, where)
    this.trigger = triggerOf(this.bindings, where)
    this.kind = kindOf(this.trigger)
    this.retry = metadata.retryOptions
    // Only the original package registers these here; those of this package are in the registry.
    this.isHosted = this.kind === 'orchestration' || this.kind === 'entity'
    this.#registration = registration
    this.#app = app
    this.#environment = environment
  }

  invoke(call: Call): Promise<Outcome> {
    return runAs(this.#app, () => this.#invoke(call))
  }

  async #invoke(call: Call): Promise<Outcome> {
    const invocationId = call.context?.invocationId ?? call.invocationId ?? randomUUID()
    const request = {
      invocationId,
      functionId: this.#registration.metadata.functionId ?? this.name,
      inputData: await this.#inputs(call),
      triggerMetadata: routeOf(call),
      traceContext: null,
      retryContext: call.retry ?? null,
    }
    const data = (): BindingData => triggerData(this, call, inputOf(call.trigger))
    const enter = (context: object): Promise<void> => {
      // Of http and timers the package gives none, as requests and timers have all of it.
      if (this.kind !== 'http' && this.kind !== 'timer') lazily(context, 'triggerMetadata', data)
      return this.#environment.enter(context)
    }
    const invocation = new CoreInvocation(this.#app, this.#registration, request, enter)
    const run = (): ReturnType<CoreInvocation['run']> => invocation.run()
    const { response, result, context } = await bounded(this, this.#environment, run)
    const outputs: Record<string, unknown> = {}
    for (const { name, data } of response.outputData ?? []) outputs[name] = fromTypedData(data)
    const hasReturn = this.bindings.some(({ name }) => name === RETURN)
    if (hasReturn) outputs[RETURN] = fromTypedData(response.returnValue)
    await this.#environment.deliver(this, outputs, context as InvocationContext, data)
    // As it is: what the engine stores is made of it once, and not twice.
    return { returnValue: result, outputs }
  }

  #triggerData(trigger: TriggerValue): TypedData {
    const isLive = this.isHosted && 'value' in trigger && isObject(trigger.value)
    return isLive ? liveTypedData(trigger.value as object) : toTypedData(trigger)
  }

  async #inputs(call: Call): Promise<{ name: string; data: TypedData }[]> {
    const inputs: { name: string; data: TypedData }[] = []
    for (const binding of this.bindings) {
      const { name } = binding
      if (isTrigger(binding)) inputs.push({ name, data: this.#triggerData(call.trigger) })
      else if (!isOutput(binding)) {
        const value = await this.#environment.input(binding, this)
        inputs.push({ name, data: valueToTypedData(value) })
      }
    }
    return inputs
  }
}

/** Of a request that is streamed, the parameters of its route: the package looks for them here. */
function routeOf({ trigger, data = {} }: Call): Record<string, TypedData> {
  if (!('http' in trigger)) return {}
  const typed = Object.entries(data).map(([key, value]): [string, TypedData] => {
    return [key, typeof value === 'string' ? { string: value } : valueToTypedData(value)]
  })
  return Object.fromEntries(typed)
}

function inputOf(trigger: TriggerValue): unknown {
  if ('http' in trigger) return trigger.http
  return 'json' in trigger ? JSON.parse(trigger.json) : trigger.value
}

/** One call, as the worker of the original makes it. */
class CoreInvocation {
  readonly invocationId: string
  readonly request: object
  readonly metadata: object
  state: CallState | undefined
  readonly #app: CoreApp
  readonly #callback: CoreCallback
  readonly #hasOutputs: boolean
  readonly #enter: (context: object) => Promise<void>
  #context: object | undefined

  constructor(
    app: CoreApp,
    { metadata, callback }: Registration,
    request: { invocationId: string; [key: string]: unknown },
    enter: (context: object) => Promise<void>,
  ) {
    this.invocationId = request.invocationId
    this.request = request
    this.metadata = metadata
    this.#app = app
    this.#callback = callback
    this.#enter = enter
    // What it makes of a result nobody asks for is spared, as that of an orchestrator is large.
    this.#hasOutputs = Object.values(metadata.bindings).some((each) => each['direction'] !== 'in')
  }

  log(level: string, category: string, message: string): void {
    this.#app.write(level, category, message, this.#context)
  }

  async run(): Promise<{ response: CoreResponse; result: unknown; context: object }> {
    const model = modelOf(this.#app)
    if (model === undefined) throw new InvalidFunction('The app has set no programming model.')
    const invocation = await model.getInvocationModel(this)
    const { context, inputs } = await invocation.getArguments()
    this.#context = context
    await this.#enter(context)
    const result = await invokeHooked({
      app: this.#app,
      context,
      inputs,
      callback: this.#callback,
      invoke: (given, callback) => invocation.invokeFunction(context, given, callback),
      during: (state, action) => this.#during(state, action),
    })
    const response = this.#hasOutputs ? await invocation.getResponse(context, result) : {}
    return { response, result, context }
  }

  async #during<T>(state: CallState, action: () => Promise<T>): Promise<T> {
    this.state = state
    try {
      return await action()
    } finally {
      this.state = undefined
    }
  }
}
