/** What the workers of `cluster.mjs` run. Every activity leaves a line in the ledger when it begins. */

import { randomUUID } from 'node:crypto'
import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import * as df from 'durafn'

const account = (key) => new df.EntityId('account', key)

/** @param {string} ledger the file that lines are added to */
export function register(app, ledger) {
  app.activity('note', {
    handler: async ({ id, step, ms }) => {
      const nonce = randomUUID()
      appendFileSync(ledger, `${Date.now()} ${process.pid} ${id} ${step} ${nonce}\n`)
      if (ms > 0) await delay(ms)
      return nonce
    },
  })
  app.activity('fail', {
    handler: (file) => {
      if (!existsSync(file)) throw new Error('not yet')
      return 'at last'
    },
  })
  app.activity('hang', {
    handler: ({ begun, until }) => {
      if (begun !== undefined) writeFileSync(begun, '')
      while (until === undefined || !existsSync(until));
    },
  })
  app.activity('hangOnce', {
    maxConcurrency: 1,
    handler: (begun) => {
      if (existsSync(begun)) return process.pid
      writeFileSync(begun, '')
      for (;;);
    },
  })
  app.orchestration('hangOnce', function* (context) {
    return yield context.df.callActivity('hangOnce', context.df.getInput())
  })
  app.orchestration('hang', function* (context) {
    return yield context.df.callActivity('hang', context.df.getInput())
  })
  app.orchestration('steps', function* (context) {
    const { steps, ms } = context.df.getInput()
    const nonces = []
    for (let step = 0; step < steps; step += 1) {
      const input = { id: context.df.instanceId, step, ms }
      nonces.push(yield context.df.callActivity('note', input))
    }
    return nonces
  })
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
  app.orchestration('clock', function* (context) {
    const before = context.df.currentUtcDateTime
    yield context.df.createTimer(new Date(before.getTime() + context.df.getInput()))
    return [before, context.df.currentUtcDateTime]
  })
  app.orchestration('parent', function* (context) {
    const { children, name, input } = context.df.getInput()
    const calls = children.map((id) => context.df.callSubOrchestrator(name, input, id))
    return yield context.df.Task.all(calls)
  })
  app.orchestration('generations', function* (context) {
    const { left, nonces } = context.df.getInput()
    const step = nonces.length
    nonces.push(yield context.df.callActivity('note', { id: context.df.instanceId, step, ms: 0 }))
    if (left === 0) return nonces
    context.df.continueAsNew({ left: left - 1, nonces })
    return undefined
  })
  app.orchestration('risky', function* (context) {
    return yield context.df.callActivity('fail', context.df.getInput())
  })
  app.orchestration('transfer', function* (context) {
    const { from, to } = context.df.getInput()
    const lock = yield context.df.lock(account(from), account(to))
    const balance = yield context.df.callEntity(account(from), 'get')
    yield context.df.callEntity(account(from), 'set', balance - 1)
    yield context.df.callEntity(
      account(to),
      'set',
      (yield context.df.callEntity(account(to), 'get')) + 1,
    )
    lock.release()
    return context.df.instanceId
  })
  app.entity('account', ({ df }) => {
    if (df.operationName === 'set') df.setState(df.getInput())
    if (df.operationName === 'add') df.setState(df.getState(() => 0) + df.getInput())
    if (df.operationName === 'get') df.return(df.getState(() => 0))
  })
}
