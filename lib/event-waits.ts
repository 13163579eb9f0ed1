/**
 * Waits for external events, and which of them gets an event.
 *
 * Owns: that an event which comes to a wait that has lost its race, and that no code looks at, goes to a
 * wait that code looks at: the newest that is open, or the next that is made; and what is left of them
 * when the execution ends. The core gives each event to a task of it; the tasks of two waits of one name
 * are as good as each other, so that a wait which passes its event on takes the other one's.
 * Must never: ask for anything on its own account, or decide by anything but what the code did: a replay
 * decides the same.
 * Proved by: `__test__/lost-waits.spec.mjs`.
 */

import { objectText, stringify } from './codec.js'
import type { Execution } from './execution.js'
import type { RawJson } from './protocol.js'
import { COMPLETED, type ExternalEventTask, PENDING, SingleTask } from './task.js'

/** A wait. Without an inbox it keeps what it is given: so it was before rules 1. */
export class EventWait extends SingleTask implements ExternalEventTask {
  isCanceled = false
  readonly name: string
  /** The code has seen that it is completed, or was waiting for it. */
  isRead = false
  private readonly inbox: Inbox | null

  constructor(
    execution: Execution,
    id: number,
    action: string,
    { name, inbox }: { readonly name: string; readonly inbox: Inbox | null },
  ) {
    super(execution, id, action, 'wait')
    this.name = name
    this.inbox = inbox
  }

  override get isCompleted(): boolean {
    this.read()
    return this.state !== PENDING
  }

  override get result(): unknown {
    this.read()
    return this.value
  }

  cancel(): void {
    if (this.state !== PENDING || this.isCanceled) return
    this.execution.cancel('Wait', this.id)
    this.isCanceled = true
    this.inbox?.remove(this)
  }

  override settle(state: number, value: unknown): void {
    if (this.inbox === null) super.settle(state, value)
    else this.inbox.deliver(this, value)
  }

  override read(): void {
    if (this.state === PENDING || this.isRead) return
    this.isRead = true
    this.inbox?.taken(this)
  }

  /** It has its event. */
  take(value: unknown): void {
    this.isRead = this.isAwaited
    super.settle(COMPLETED, value)
  }

  /** It has not had its event, and waits for another one. */
  giveBack(): void {
    this.state = PENDING
    this.value = undefined
  }

  /** The two wait for each other's events. */
  trade(other: EventWait): void {
    const { id } = this
    this.id = other.id
    other.id = id
  }
}

/** The waits of one execution. */
export class Inbox {
  /** Those that the core has a task for, by name as names are compared, the oldest first. */
  private readonly open: Map<string, EventWait[]> = new Map()
  /** Those whose event no code has looked at, in the order in which the events came. */
  private unread: EventWait[] = []
  private readonly tasks: Map<number, SingleTask>

  /** @param tasks the open tasks of the execution, by id */
  constructor(tasks: Map<number, SingleTask>) {
    this.tasks = tasks
  }

  /** A wait that was just made: the oldest event that nobody has looked at is its own. */
  add(wait: EventWait): void {
    const name = folded(wait)
    const from = this.unread.find((each) => folded(each) === name && each.isLost)
    this.openOf(name).push(wait)
    if (from === undefined) return
    const { value } = from
    this.taken(from)
    from.giveBack()
    this.pass(wait, from, value)
  }

  remove(wait: EventWait): void {
    const waits = this.openOf(folded(wait))
    const index = waits.indexOf(wait)
    if (index >= 0) waits.splice(index, 1)
  }

  /** An event came to the task of a wait. */
  deliver(wait: EventWait, value: unknown): void {
    const heir = wait.isLost
      ? this.openOf(folded(wait)).findLast((each) => each !== wait && !each.isLost)
      : undefined
    if (heir !== undefined) {
      this.pass(heir, wait, value)
      return
    }
    this.remove(wait)
    wait.take(value)
    if (!wait.isRead) this.unread.push(wait)
  }

  /** The code has looked at the event of a wait. */
  taken(wait: EventWait): void {
    if (this.unread.includes(wait)) this.unread = this.unread.filter((each) => each !== wait)
  }

  /** The events that no code has looked at, as they are carried over; null: none. */
  carried(): RawJson | null {
    if (this.unread.length === 0) return null
    const texts = this.unread.map(({ name, value }) =>
      objectText({
        name: JSON.stringify(name),
        input: stringify(value, 'data of an event', Number.POSITIVE_INFINITY),
      }),
    )
    return `[${texts.join(',')}]`
  }

  /** Their names. */
  get unreadNames(): string[] {
    return this.unread.map(({ name }) => name)
  }

  /** `to` gets the event, and `from` the task of `to`: the places of both in `open` are right then. */
  private pass(to: EventWait, from: EventWait, value: unknown): void {
    to.trade(from)
    this.tasks.set(from.id, from)
    this.tasks.delete(to.id)
    const waits = this.openOf(folded(to))
    waits.splice(waits.indexOf(to), 1, ...(waits.includes(from) ? [] : [from]))
    to.take(value)
    if (!to.isRead) this.unread.push(to)
  }

  private openOf(name: string): EventWait[] {
    let waits = this.open.get(name)
    if (waits === undefined) {
      waits = []
      this.open.set(name, waits)
    }
    return waits
  }
}

function folded({ name }: EventWait): string {
  return name.toLowerCase()
}
