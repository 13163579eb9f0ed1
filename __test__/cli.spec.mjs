/** `npx durafn`: hosting, invoking, and working with instances from another terminal. */

import assert from 'node:assert/strict'
import { existsSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fixture, manual, orchestration, writeApp } from './support/app.mjs'
import { durafn, json, refuse, says, startHost, stop, succeed } from './support/cli.mjs'
import { tempDir, tempStore, until } from './support/hub.mjs'

const desk = fixture('desk')

/** Asks for an instance until it has this status. */
function reaches(status, id, store) {
  return until(`${id} is ${status}`, async () => {
    const { code, stdout } = await durafn(['instances', 'get', id, '--store', store, '--json'])
    const found = code === 0 ? JSON.parse(stdout) : null
    return found?.runtimeStatus === status && found
  })
}

/** The same until it waits for an event. */
function waitsForEvent(id, store) {
  return until(`${id} waits`, async () => {
    const status = await json(['instances', 'get', id, '--store', store])
    return status.waitingFor?.some((wait) => wait.kind === 'event') && status
  })
}

describe('durafn start', () => {
  test('it says what it loaded, drains at SIGTERM and exits 0', async (t) => {
    const store = tempStore(t)
    const host = await startHost(t, [desk, '--store', store])
    for (const [name, kind] of [
      ['StartOrder', 'manual'],
      ['Order', 'orchestration'],
      ['Charge', 'activity'],
    ]) {
      assert.match(host.stdout, new RegExp(`^${name} +${kind} +.*function\\.json$`, 'm'))
    }
    assert.ok(host.stdout.includes(store))

    const until = join(tempDir(t), 'go')
    const input = JSON.stringify({ total: 5, until })
    await succeed(['instances', 'start', 'Order', '--id', 'o', '--input', input, '--store', store])
    await says(host, /charging 5/)
    host.child.kill('SIGTERM')
    await says(host, /SIGTERM: letting running activities end/)
    writeFileSync(until, '')
    assert.equal((await host.ended)[0], 0, host.stderr)
    assert.match(host.stdout, /Stopped\.\n$/)
    assert.equal(host.stderr, '')

    // What the activity gave in the end was kept: it does not run again.
    const next = await startHost(t, [desk, '--store', store])
    const { output } = await reaches('Completed', 'o', store)
    assert.equal(output, 'order of 5: charged')
    assert.doesNotMatch(next.stdout, /charging/)
  })

  test('SIGINT is the same', async (t) => {
    const host = await startHost(t, [desk, '--store', tempStore(t)])
    assert.equal(await stop(host, 'SIGINT'), 0)
  })

  test('a store that is hosted already is refused', async (t) => {
    const store = tempStore(t)
    await startHost(t, [desk, '--store', store])
    const line = await refuse('HubInUse', ['start', desk, '--store', store, '--port', '0'])
    assert.match(line, /Stop the other process, or use another store/)
  })

  test('a folder that cannot be loaded is refused, with the file', async (t) => {
    const dir = writeApp(t, { F: [{ bindings: [{ name: 'req', type: 'queueTrigger' }] }, ''] })
    const line = await refuse('InvalidFunction', ['start', dir, '--port', '0'])
    assert.match(
      line,
      /F.function\.json: bindings\[0\]\.type binding 'req' has type 'queueTrigger'/,
    )
    assert.equal(existsSync(join(dir, '.durafn')), false)
    await refuse('InvalidFunction', ['start', join(dir, 'gone'), '--port', '0'])
  })

  test('of a script that throws the stack is shown', async (t) => {
    const dir = writeApp(t, { F: [manual(), "throw new Error('at load')"] })
    const { code, stderr } = await durafn(['start', dir, '--port', '0'])
    assert.equal(code, 1)
    assert.match(stderr, /^durafn: InvalidFunction: .*F.index\.js cannot be loaded: at load\./)
    assert.match(stderr, /^ +at .*F.index\.js:1:7/m)
  })
})

describe('durafn invoke', () => {
  test('with no host what it starts stays pending, as it is no worker, until there is one', async (t) => {
    const store = tempStore(t)
    const input = '{"id":"o-1","total":7}'
    const options = ['--dir', desk, '--store', store]
    const { code, stdout, stderr } = await durafn([
      'invoke',
      'startorder',
      '--input',
      input,
      ...options,
    ])
    assert.deepEqual([code, stdout], [0, '"o-1"\n'])
    assert.match(stderr, /starting { id: 'o-1', total: 7 }/)

    const pending = await json(['instances', 'get', 'o-1', '--store', store])
    assert.deepEqual([pending.runtimeStatus, pending.input.total], ['Pending', 7])
    await startHost(t, [desk, '--store', store])
    const { output } = await reaches('Completed', 'o-1', store)
    assert.equal(output, 'order of 7: charged')
  })

  test('with a host it is a client beside it', async (t) => {
    const store = tempStore(t)
    await startHost(t, [desk, '--store', store])
    const input = '{"id":"o-2","total":8}'
    await succeed(['invoke', 'StartOrder', '--input', input, '--dir', desk, '--store', store])
    const { output } = await reaches('Completed', 'o-2', store)
    assert.equal(output, 'order of 8: charged')
  })

  test('when the function fails it exits 1, and nothing was started', async (t) => {
    const store = tempStore(t)
    const { code, stdout, stderr } = await durafn([
      'invoke',
      'Fail',
      '--dir',
      desk,
      '--store',
      store,
    ])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^durafn: TypeError: out of order\n +at .*Fail.index\.js/)
    assert.deepEqual(await json(['instances', 'list', '--store', store]), [])
  })

  test('when a start is refused it exits 1 and names its index', async (t) => {
    const store = tempStore(t)
    const args = ['invoke', 'StartOrder', '--input', '{"id":"a/b"}', '--dir', desk]
    const { code, stdout, stderr } = await durafn([...args, '--store', store])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(
      stderr,
      /^durafn: InvalidInstanceId: context\.bindings\.starter: .*Nothing was started\.$/m,
    )
  })

  test('a function that never ends is told so', async (t) => {
    const line = await refuse('InvalidFunction', [
      'invoke',
      'Hang',
      '--dir',
      desk,
      '--store',
      tempStore(t),
    ])
    assert.match(line, /'Hang'.*neither returned a promise nor called context\.done/)
  })

  test('timers that a function leaves behind do not hold the process', async (t) => {
    const script = 'module.exports = async () => { setInterval(() => {}, 1000) }'
    const dir = writeApp(t, { F: [manual(), script] })
    assert.equal(await succeed(['invoke', 'F', '--dir', dir]), '')
  })

  test('only manual functions are invoked', async (t) => {
    const options = ['--dir', desk, '--store', tempStore(t)]
    assert.match(await refuse('NotRegistered', ['invoke', 'Order', ...options]), /instances start/)
    assert.match(
      await refuse('InvalidFunction', ['invoke', 'Nobody', ...options]),
      /There are: Charge/,
    )
    await refuse('InvalidOption', ['invoke', 'StartOrder', '--input', '{', ...options])
  })
})

describe('durafn instances', () => {
  test('an instance is started, shown, sent an event, and listed', async (t) => {
    const store = tempStore(t)
    await startHost(t, [desk, '--store', store])
    const at = ['--store', store]
    const input = '{"total":3,"approve":true}'
    const id = (await succeed(['instances', 'start', 'Order', '--input', input, ...at])).trim()
    assert.match(id, /^[0-9a-f]{32}$/)

    const waiting = await waitsForEvent(id, store)
    assert.equal(waiting.waitingFor[0].name, 'Approve')
    assert.deepEqual(Object.keys(waiting).slice(0, 8), [
      'name',
      'instanceId',
      'createdTime',
      'lastUpdatedTime',
      'runtimeStatus',
      'input',
      'output',
      'customStatus',
    ])
    assert.equal(new Date(waiting.createdTime).toISOString(), waiting.createdTime)
    const shown = await succeed(['instances', 'get', id, ...at])
    assert.match(shown, new RegExp(`^Instance +${id}\nFunction +Order\nStatus +Running\n`))
    assert.match(shown, /^Waiting for +event 'Approve', since /m)

    const event = ['instances', 'raise-event', id, 'approve', '--data', '{"by":"Ada"}', ...at]
    assert.equal(await succeed(event), 'Delivered.\n')
    const ended = await reaches('Completed', id, store)
    assert.equal(ended.output, 'order of 3: charged')
    const history = await succeed(['instances', 'get', id, '--history', ...at])
    assert.match(history, /TaskCompleted +1 +Charge, result charged/)

    const table = await succeed(['instances', 'list', ...at])
    assert.match(table, /^INSTANCE +FUNCTION +STATUS +CREATED +UPDATED +RESULT\n/)
    assert.match(
      table,
      new RegExp(`^${id}  Order +Completed +\\d{4}-\\d\\d-\\d\\d .* order of 3: charged$`, 'm'),
    )
  })

  test('an event that is discarded is an error that says why', async (t) => {
    const store = tempStore(t)
    const at = ['--store', store]
    await succeed([
      'instances',
      'start',
      'Order',
      '--id',
      'o',
      '--input',
      '{"total":1,"approve":true}',
      ...at,
    ])
    const nobody = await refuse('InstanceNotFound', ['instances', 'raise-event', 'x', 'E', ...at])
    assert.match(nobody, /no instance 'x', and event 'E' was discarded/)
    await startHost(t, [desk, ...at])
    await waitsForEvent('o', store)
    const early = await refuse('NotWaiting', ['instances', 'raise-event', 'o', 'Other', ...at])
    assert.match(
      early,
      /Event 'Other' was discarded.*does not wait for it.*unmatchedEvents: 'buffer'/,
    )
    await succeed(['instances', 'terminate', 'o', ...at])
    await reaches('Terminated', 'o', store)
    const late = await durafn(['instances', 'raise-event', 'o', 'Approve', '--json', ...at])
    assert.equal(late.code, 1)
    assert.deepEqual(JSON.parse(late.stdout), { outcome: 'discarded', reason: 'Ended' })
    assert.match(late.stderr, /^durafn: InstanceEnded: /)
  })

  test('suspend, resume, terminate and purge', async (t) => {
    const store = tempStore(t)
    const at = ['--store', store]
    await startHost(t, [desk, ...at])
    await succeed([
      'instances',
      'start',
      'Order',
      '--id',
      'o',
      '--input',
      '{"total":1,"approve":true}',
      ...at,
    ])
    await waitsForEvent('o', store)
    await succeed(['instances', 'suspend', 'o', '--reason', 'audit', ...at])
    await reaches('Suspended', 'o', store)
    await refuse('InstanceNotEnded', ['instances', 'purge', 'o', ...at])
    await succeed(['instances', 'resume', 'o', ...at])
    await reaches('Running', 'o', store)
    const reason = 'not needed any more'
    await succeed(['instances', 'terminate', 'o', '--reason', reason, '--recursive', ...at])
    const { output } = await reaches('Terminated', 'o', store)
    assert.equal(output, reason)
    assert.match(await succeed(['instances', 'list', ...at]), /Terminated .* not needed any more$/m)
    const ended = await refuse('InstanceEnded', ['instances', 'terminate', 'o', ...at])
    assert.match(ended, /`durafn instances get ID` shows how it ended/)
    assert.equal(await succeed(['instances', 'purge', 'o', ...at]), 'Purged: 1.\n')
    const gone = await refuse('InstanceNotFound', ['instances', 'get', 'o', ...at])
    assert.match(gone, /`durafn instances list` shows the ids/)
    await refuse('InstanceNotFound', ['instances', 'purge', 'o', ...at])
    await refuse('InvalidOption', ['instances', 'purge', ...at])
    assert.deepEqual(await json(['instances', 'purge', '--all', ...at]), { instancesDeleted: 0 })
  })

  test('rewind lets a failed instance go on', async (t) => {
    const store = tempStore(t)
    const at = ['--store', store]
    await startHost(t, [desk, ...at])
    const failWhile = join(tempDir(t), 'broken')
    writeFileSync(failWhile, '')
    const input = JSON.stringify({ total: 2, failWhile })
    await succeed(['instances', 'start', 'Order', '--id', 'o', '--input', input, ...at])
    const failed = await reaches('Failed', 'o', store)
    assert.match(failed.output, /^Orchestrator function 'Order' failed: /)
    assert.equal(failed.failure.message, 'the card was declined')
    assert.match(await succeed(['instances', 'get', 'o', ...at]), /^Stack +Error: the card was/m)
    rmSync(failWhile)
    await succeed(['instances', 'rewind', 'o', '--reason', 'repaired', ...at])
    const { output } = await reaches('Completed', 'o', store)
    assert.equal(output, 'order of 2: charged')
    await refuse('NotRewindable', ['instances', 'rewind', 'o', ...at])
  })

  test('--json of a start shows the instance, pending or not', async (t) => {
    const at = ['--store', tempStore(t)]
    const start = ['instances', 'start', 'Order', '--id', 'o', '--input', '[1]', ...at]
    const started = await json(start)
    assert.deepEqual(
      [started.instanceId, started.runtimeStatus, started.input],
      ['o', 'Pending', [1]],
    )
    assert.match(await refuse('InstanceAlreadyExists', start), /--on-conflict return or terminate/)
    assert.equal(await succeed([...start, '--on-conflict', 'return']), 'o\n')
    await refuse('InvalidOption', [...start, '--on-conflict', 'x'])
    await refuse('InvalidInstanceId', ['instances', 'start', 'Order', '--id', 'a/b', ...at])
  })

  test('list filters, and goes on from page to page', async (t) => {
    const at = ['--store', tempStore(t)]
    for (const id of ['a-1', 'a-2', 'b-1'])
      await succeed(['instances', 'start', 'Order', '--id', id, ...at])
    const ids = async (...args) => {
      const list = await json(['instances', 'list', ...args, ...at])
      return list.map((status) => status.instanceId)
    }
    assert.deepEqual(await ids(), ['a-1', 'a-2', 'b-1'])
    assert.deepEqual(await ids('--prefix', 'a-'), ['a-1', 'a-2'])
    assert.deepEqual(await ids('--name', 'other'), [])
    assert.deepEqual(await ids('--status', 'pending,Running'), ['a-1', 'a-2', 'b-1'])
    assert.deepEqual(await ids('--status', 'Failed', 'Completed'), [])
    assert.deepEqual(await ids('--to', '2020-01-01'), [])
    assert.deepEqual(await ids('--from', '2020-01-01T00:00:00Z', '--top', '1'), ['a-1'])
    const page = await durafn(['instances', 'list', '--top', '2', '--json', ...at])
    const [, cursor] = /^There are more: add --cursor '(.+)'\n$/.exec(page.stderr)
    assert.deepEqual(await ids('--cursor', cursor), ['b-1'])
    await refuse('InvalidOption', ['instances', 'list', '--status', 'Odd', ...at])
    await refuse('InvalidOption', ['instances', 'list', '--from', 'soon', ...at])
    await refuse('InvalidOption', ['instances', 'list', '--top', 'all', ...at])
    await refuse('InvalidOption', ['instances', 'list', '--top', '5000', ...at])
    await refuse('InvalidOption', ['instances', 'list', '--odd', ...at])
    const none = await durafn(['instances', 'list', '--name', 'other', ...at])
    assert.deepEqual([none.code, none.stdout, none.stderr], [0, '', 'No instances.\n'])
  })
})

describe('the store of a command', () => {
  test('is --store, then DURAFN_STORE, then .durafn/hub.db in the folder', async (t) => {
    const dir = writeApp(t, { Order: [orchestration(), 'module.exports = async () => {}'] })
    const env = { DURAFN_STORE: tempStore(t) }
    const given = tempStore(t)
    const start = (id, ...args) => ['instances', 'start', 'Order', '--id', id, ...args]
    await succeed(start('in-folder'), { cwd: dir })
    await succeed(start('in-dir', '--dir', dir))
    await succeed(start('in-env'), { cwd: dir, env })
    await succeed(start('given', '--store', given), { cwd: dir, env })
    const ids = async (args, options) => {
      const list = await json(['instances', 'list', ...args], options)
      return list.map((status) => status.instanceId)
    }
    assert.deepEqual(await ids([], { cwd: dir }), ['in-folder', 'in-dir'])
    assert.deepEqual(await ids([], { cwd: dir, env }), ['in-env'])
    assert.deepEqual(await ids(['--store', given]), ['given'])
    assert.ok(existsSync(join(dir, '.durafn', 'hub.db')))

    const host = await startHost(t, [], { cwd: dir })
    const store = join(realpathSync(dir), '.durafn', 'hub.db')
    await reaches('Completed', 'in-dir', `sqlite:${store}`)
    assert.equal(await stop(host), 0)
  })

  test('is not made by a command that only asks', async (t) => {
    const cwd = tempDir(t)
    const line = await refuse('StoreUnavailable', ['instances', 'list'], { cwd })
    assert.match(line, /There is no hub at .*hub\.db.*durafn start DIR.*--store sqlite:PATH/)
    assert.equal(existsSync(join(cwd, '.durafn')), false)
  })

  test('must be a hub', async (t) => {
    const file = join(tempDir(t), 'text.db')
    writeFileSync(file, 'this is no hub, but a text that is longer than a header'.repeat(10))
    assert.match(
      await refuse('NotAHub', ['instances', 'list', '--store', `sqlite:${file}`]),
      /Name the file of a hub/,
    )
    await refuse('InvalidOption', ['instances', 'list', '--store', file])
    await refuse('InvalidOption', ['instances', 'list', '--store', 'sqlite::memory:'])
  })
})

describe('durafn', () => {
  test('backup copies a hub while it runs', async (t) => {
    const store = tempStore(t)
    await startHost(t, [desk, '--store', store])
    await succeed([
      'instances',
      'start',
      'Order',
      '--id',
      'o',
      '--input',
      '{"total":1}',
      '--store',
      store,
    ])
    await reaches('Completed', 'o', store)
    const file = join(tempDir(t), 'copy.db')
    assert.equal(await succeed(['backup', file, '--store', store]), `Copied to ${file}\n`)
    const { output } = await json(['instances', 'get', 'o', '--store', `sqlite:${file}`])
    assert.equal(output, 'order of 1: charged')
    const { code, stderr } = await durafn(['backup', file, '--store', store])
    assert.equal(code, 1)
    assert.match(stderr, /^durafn: \w+: .*copy\.db/)
  })

  test('help has examples, for each command', async () => {
    for (const args of [[], ['start'], ['invoke'], ['instances'], ['backup']]) {
      const help = await succeed([...args, '--help'])
      assert.match(help, new RegExp(`^Usage: ${['durafn', ...args].join(' ')} `))
      assert.match(help, /^Examples?:\n {2}\$ durafn /m)
    }
    assert.match(await succeed(['--version']), /^\d+\.\d+\.\d+/)
    assert.match(await refuse('InvalidOption', ['odd']), /unknown command 'odd'/)
    assert.match(
      await refuse('InvalidOption', ['instances', 'get']),
      /missing required argument 'id'/,
    )
  })
})
