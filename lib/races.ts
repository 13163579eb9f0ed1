/**
 * `Promise.race` and `Promise.any` of tasks.
 *
 * Owns: knowing which tasks have lost such a race, which nothing else tells: to a task, a race that is over
 * looks like an `await` that still waits. So the two are others while turns of async functions run, and only
 * then: no other code runs meanwhile (`executor.ts`).
 * Must never: give another result than the promises of the platform, or be seen outside of a turn.
 * Proved by: `__test__/lost-waits.spec.mjs`.
 */

import { COMPLETED, CompoundTask, TaskNode } from './task.js'

type Combine = (this: unknown, members: Iterable<unknown>) => Promise<unknown>
type Combiners = { race: Combine; any: Combine }

const combiners = Promise as unknown as Combiners
let outside: Combiners | null = null

/** Turns of async functions begin. */
export function watchRaces(): void {
  if (outside !== null) return
  const { race, any } = combiners
  outside = { race, any }
  combiners.race = watched(race, false)
  combiners.any = watched(any, true)
}

/** They have ended. */
export function leaveRaces(): void {
  if (outside === null) return
  combiners.race = outside.race
  combiners.any = outside.any
  outside = null
}

function watched(combine: Combine, onlySuccess: boolean): Combine {
  return function (members) {
    const isTask = (member: unknown): boolean => member instanceof TaskNode
    if (this !== Promise || !Array.isArray(members) || !members.some(isTask)) {
      return combine.call(this, members)
    }
    const race = new Race(onlySuccess)
    const entered = members.map((each) => (each instanceof TaskNode ? race.enter(each) : each))
    const result = combine.call(this, entered)
    if (!members.every(isTask)) result.then(race.end, race.end)
    return result
  }
}

class Race {
  isOver = false
  readonly onlySuccess: boolean

  constructor(onlySuccess: boolean) {
    this.onlySuccess = onlySuccess
  }

  readonly end = (): void => {
    this.isOver = true
  }

  enter(task: TaskNode): RaceMember {
    return new RaceMember(task, this)
  }
}

/** A task as a race sees it. */
class RaceMember extends CompoundTask {
  private readonly race: Race

  constructor(task: TaskNode, race: Race) {
    super(task.execution, [task])
    this.race = race
    this.adopt()
  }

  override get waits(): boolean {
    return super.waits && !this.race.isOver
  }

  childSettled(child: TaskNode): void {
    if (!this.waits) return
    if (child.state === COMPLETED || !this.race.onlySuccess) this.race.end()
    child.read()
    this.settle(child.state, child.value)
  }
}
