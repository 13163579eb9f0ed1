/** Entities: an aggregator, and a transfer between two of them under a lock. */

import type {
  DurableEntityContext,
  DurableLock,
  EntityContext,
  EntityHandler,
  EntityStateResponse,
  LockState,
} from 'durable-functions'
import * as df from 'durable-functions'

interface Account {
  balance: number
  log: string[]
}

const account: EntityHandler<Account> = (context: EntityContext<Account>): void => {
  const entity: DurableEntityContext<Account> = context.df
  const state = entity.getState(() => ({ balance: 0, log: [] })) ?? { balance: 0, log: [] }
  switch (entity.operationName) {
    case 'add': {
      const amount = entity.getInput<number>() ?? 0
      state.balance += amount
      state.log.push(
        `${entity.entityName}/${entity.entityKey} ${entity.isNewlyConstructed} ${amount}`,
      )
      if (amount > 100) {
        entity.signalEntity(new df.EntityId('auditor', 'all'), 'note', entity.entityId.key)
      }
      break
    }
    case 'get':
      entity.return(state.balance)
      break
    case 'close':
      entity.destructOnExit()
      return
    default:
      throw new Error(`no such operation: ${entity.operationName}`)
  }
  entity.setState(state)
}
df.app.entity('account', account)

df.app.entity<string[]>('auditor', {
  handler: async (context) => {
    const notes = context.df.getState(() => []) ?? []
    if (context.df.operationName === 'note') notes.push(context.df.getInput<string>() ?? '')
    context.df.setState(notes)
    context.df.return(notes)
    await Promise.resolve()
  },
})

df.app.orchestration('transfer', function* (context) {
  const { from, to, amount } = context.df.getInput<{ from: string; to: string; amount: number }>()
  const source = new df.EntityId('account', from)
  const target = new df.EntityId('account', to)
  yield context.df.callEntity(source, 'add', 500)
  const lock: DurableLock = yield context.df.lock(source, target)
  const locked: LockState = context.df.isLocked()
  try {
    const balance: number = yield context.df.callEntity(source, 'get')
    if (balance < amount) return 'too little'
    yield context.df.callEntity(source, 'add', -amount)
    yield context.df.callEntity(target, 'add', amount)
  } finally {
    lock.release()
  }
  context.df.signalEntity(target, 'add', 1)
  const notes: string[] = yield context.df.callEntity(new df.EntityId('Auditor', 'all'), 'read')
  let failure = ''
  try {
    yield context.df.callEntity(target, 'unknown')
  } catch (error) {
    failure = error instanceof Error ? error.message : ''
  }
  return {
    locks: locked.isLocked ? lock.ownedLocks.map((each) => each.key) : [],
    free: context.df.isLocked().isLocked,
    notes,
    failed: failure !== '',
  }
})

df.app.orchestration('nested', function* (context) {
  yield context.df.lock([new df.EntityId('account', 'nested')])
  try {
    yield context.df.callSubOrchestrator('transfer')
  } catch (error) {
    return error instanceof df.LockingRulesViolationError
  }
  return undefined
})

df.app.client.generic('balance', {
  trigger: { type: 'manualTrigger', name: 'input' },
  handler: async (key: string, client) => {
    const id = new df.EntityId('account', key)
    await client.signalEntity(id, 'add', 5)
    const response: EntityStateResponse<Account> = await client.readEntityState<Account>(id)
    return [response.entityExists, response.entityState?.balance ?? null, id.toString()]
  },
})
