/**
 * The original packages, each with what calls its orchestrators as a function host does: for versions
 * 1 and 2 a context with bindings and `done`, for version 3 the core module that `@azure/functions`
 * asks its worker for.
 */

import { createRequire } from 'node:module'
import { registerHosted } from '../../dist/sdk/hosted.js'

const require = createRequire(import.meta.url)

/**
 * A version of the SDK.
 *
 * `register(app, name, fn)` registers an orchestrator made of a generator function. Each call checks
 * what was numbered since the last: versions 2 and 3 know their tasks by these numbers alone, and
 * `misnumbered` holds where the history that they were handed has others than they have given.
 */
class Sdk {
  misnumbered = []

  constructor(version, df, model, makeCall) {
    this.version = version
    this.df = df
    this.model = model
    this.makeCall = makeCall
    this.numbers = new Map()
  }

  register(app, name, fn) {
    const call = this.makeCall(this.df, name, fn)
    const invoke = async ({ trigger: { value } }) => {
      const context = {}
      const key = value.history[1].OrchestrationInstance.ExecutionId
      this.compare(name, key, value)
      try {
        return { returnValue: await call(value, context) }
      } finally {
        const { sequenceNumber } = context.df?.taskOrchestratorExecutor ?? {}
        if (sequenceNumber !== undefined) this.numbers.set(key, sequenceNumber)
      }
    }
    registerHosted(app, { name, kind: 'orchestration', model: this.model, file: name, invoke })
  }

  /** Registers an entity. */
  registerEntity(app, name, fn) {
    const call = this.makeCall(this.df, name, fn, 'entity')
    const invoke = async ({ trigger: { value } }) => ({ returnValue: await call(value, {}) })
    registerHosted(app, { name, kind: 'entity', model: this.model, file: name, invoke })
  }

  compare(name, key, { history }) {
    const given = this.numbers.get(key)
    // In a replay the last event is the mark of a turn that is to come.
    const turn = history.slice(0, -1).findLastIndex(({ EventType }) => EventType === 12)
    if (turn === 0) return // the first call for an execution, or for one made again
    const ids = history.slice(0, turn).map(({ EventId }) => EventId)
    const numbered = Math.max(-1, ...ids) + 1
    if (given === undefined || given === numbered) return
    this.misnumbered.push(`${name}: ${given} were given, and history has ${numbered}`)
  }
}

/** A call of the classic model. */
function classic(df, _name, fn, kind = 'orchestrator') {
  const handler = df[kind](fn)
  return (value, context) =>
    new Promise((resolve, reject) => {
      const done = (error, result) => (error ? reject(error) : resolve(result))
      handler(Object.assign(context, { bindings: { context: value }, done }))
    })
}

const registered = new Map()

/** What `@azure/functions` 4 finds in its worker. */
const core = {
  version: '3.8.0',
  hostVersion: '4.0.0',
  registerFunction(metadata, callback) {
    registered.set(metadata.name, callback)
    return new core.Disposable(() => {})
  },
  registerHook: () => new core.Disposable(() => {}),
  setProgrammingModel() {},
  getProgrammingModel: () => undefined,
  log() {},
  Disposable: class {
    static from(...all) {
      return new core.Disposable(() => all.map((each) => each.dispose()))
    }
    constructor(dispose) {
      this.dispose = dispose
    }
  },
}

// It is looked for when the first function is registered.
const { prototype } = require('node:module')
const { require: before } = prototype
prototype.require = function (id) {
  return id === '@azure/functions-core' ? core : before.call(this, id)
}

/** A call of the newer model. */
function modern(df, name, fn, kind = 'orchestration') {
  df.app[kind](name, fn)
  return registered.get(name)
}

/** All versions, the oldest first. */
export const sdks = [
  new Sdk(1, require('durable-functions-v1'), 'classic', classic),
  new Sdk(2, require('durable-functions-v2'), 'classic', classic),
  new Sdk(3, require('durable-functions-v3'), 'v4', modern),
]

export const sdkOf = (version) => sdks.find((each) => each.version === version)
