/** What users and their data say is shown, on terminals and in logs, and never obeyed by them. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { EntityId } from 'durafn'
import { manual, writeApp } from './support/app.mjs'
import { startChild } from './support/child.mjs'
import { durafn } from './support/cli.mjs'
import { openHub, run, tempStore, until } from './support/hub.mjs'

/** Clears the screen, names the window, begins a line, and turns the direction; C1 does so too. */
const HOSTILE = '\u001b[2J\u001b]0;owned\u0007\r\nforged: line\u009b2J\u202e\u2028\u007f'
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2028\u2029]/

test('the command line shows control characters of data', async (t) => {
  const store = tempStore(t)
  const { client, close } = await openHub(
    t,
    (app) => {
      app.orchestration('echo', (context) => {
        context.df.setCustomStatus(HOSTILE)
        return context.df.getInput()
      })
      app.orchestration('fail', () => {
        throw Object.assign(new Error(HOSTILE), { name: HOSTILE })
      })
    },
    { store },
  )
  for (const [name, input] of [
    ['echo', HOSTILE],
    ['echo', { [HOSTILE]: HOSTILE }],
    ['fail', undefined],
  ]) {
    await run(client, name, input, { instanceId: `${name}-${typeof input}` })
  }
  await close()
  const commands = [
    ['list'],
    ['list', '--json'],
    ...['echo-string', 'echo-object', 'fail-undefined'].flatMap((id) => [
      ['get', id, '--history'],
      ['get', id, '--json', '--history'],
    ]),
    ['get', `nobody${HOSTILE}`],
    ['terminate', 'echo-string', '--reason', HOSTILE],
    ['start', `no${HOSTILE}`],
    ['list', `--${HOSTILE}`],
  ]
  const outcomes = await Promise.all(
    commands.map((command) => durafn(['instances', ...command, '--store', store])),
  )
  for (const [n, { stdout, stderr }] of outcomes.entries()) {
    const said = stdout + stderr
    assert.doesNotMatch(said, OBEYED, `${commands[n]}: ${JSON.stringify(said)}`)
    assert.doesNotMatch(said, /^forged/m, `${commands[n]}: ${JSON.stringify(said)}`)
  }
  assert.match(outcomes[0].stdout, /\\u001b\[2J/)
  assert.equal(JSON.parse(outcomes[3].stdout).output, HOSTILE)
})

test('an error that a function throws is shown', async (t) => {
  const dir = writeApp(t, {
    Fail: [manual(), `module.exports = () => { throw new Error(${JSON.stringify(HOSTILE)}) }`],
  })
  const { stderr } = await durafn(['invoke', 'Fail', '--dir', dir])
  assert.match(stderr, /^durafn: Error: \\u001b\[2J/)
  assert.doesNotMatch(stderr, OBEYED)
  assert.doesNotMatch(stderr, /^forged/m)
})

describe('in logs', () => {
  test('each message of the engine is one line, whatever it quotes', async (t) => {
    const { client, logger } = await openHub(t, (app) => {
      app.orchestration('echo', (context) => context.df.getInput())
      app.entity('fails', () => {
        throw new Error(HOSTILE)
      })
    })
    await client.raiseEvent(`nobody${HOSTILE}`, 'go').catch(() => {})
    const { instanceId } = await run(client, 'echo', 1)
    await client.raiseEvent(instanceId, 'go').catch(() => {})
    await client.terminate(`nobody${HOSTILE}`, HOSTILE).catch(() => {})
    await client.signalEntity(new EntityId('fails', 'a'), 'op')
    await until('the failure is logged', () => logger.find('error', /forged: line/).length === 1)
    for (const { message } of logger.lines) {
      assert.doesNotMatch(message, OBEYED, JSON.stringify(message))
      assert.doesNotMatch(message, /\n/, JSON.stringify(message))
    }
  })

  test('on a console, lines of user code keep their layout and colours, and nothing else', async (t) => {
    const child = startChild(
      t,
      async ({ df, args }) => {
        const app = new df.App()
        app.activity('logs', { handler: (_, context) => context.log(args) })
        app.orchestration('o', function* (context) {
          yield context.df.callActivity('logs')
        })
        const hub = await df.open({ store: 'sqlite::memory:', app })
        await hub.client.waitForCompletion(await hub.client.startNew('o'))
        await hub.close()
      },
      `\u001b[32mgreen\u001b[0m\n\tindented ${HOSTILE}`,
    )
    await child.ended
    assert.ok(child.stdout.startsWith('\u001b[32mgreen\u001b[0m\n\tindented \\u001b[2J'))
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    assert.doesNotMatch(child.stdout.slice(20), /[\u0007\r\u001b\u009b\u202e]/)
  })
})
