/** Definitions and `context.df.call`: typed calls, in both kinds of orchestrators. `docs/semantics.md` §2. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as df from 'durafn'
import { complete, fail, openHub, tempDir } from './support/hub.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Two definitions, and the orchestrator `o` that is made with them. */
async function open(t, make) {
  return await openHub(t, (app) => {
    const hello = app.activity('hello', { handler: (name) => `Hello ${name ?? 'you'}!` })
    const child = app.orchestration('child', (context) => ({
      input: context.df.getInput() ?? null,
      id: context.df.instanceId,
    }))
    app.orchestration('o', make({ hello, child }))
  })
}

describe('context.df.call', () => {
  test('works in a generator with yield* and with yield', async (t) => {
    const { client } = await open(
      t,
      ({ hello, child }) =>
        function* (context) {
          const one = yield* context.df.call(hello, 'Ada')
          const two = yield context.df.call(hello)
          const three = yield* context.df.call(child, 5, { instanceId: 'kid' })
          return [one, two, three]
        },
    )
    const expected = ['Hello Ada!', 'Hello you!', { input: 5, id: 'kid' }]
    assert.deepEqual(await complete(client, 'o'), expected)
  })

  test('works in an async function with await', async (t) => {
    const { client } = await open(t, ({ hello, child }) => async (context) => [
      await context.df.call(hello, 'Ada'),
      await context.df.Task.all([context.df.call(hello, 'Bob'), context.df.call(child, 1)]),
    ])
    const [first, [second, third]] = await complete(client, 'o')
    assert.deepEqual([first, second, third.input], ['Hello Ada!', 'Hello Bob!', 1])
  })

  test('takes what throws through yield* to the generator', async (t) => {
    const { client } = await openHub(t, (app) => {
      const bad = app.activity('bad', {
        handler: () => {
          throw new RangeError('bad')
        },
      })
      app.orchestration('o', function* (context) {
        try {
          return yield* context.df.call(bad)
        } catch (error) {
          return error.name
        }
      })
    })
    assert.equal(await complete(client, 'o'), 'RangeError')
  })

  test('takes a retry policy', async (t) => {
    const retry = new df.RetryOptions(1, 3)
    let times = 0
    const { client } = await openHub(t, (app) => {
      const flaky = app.activity('flaky', {
        handler: () => {
          times += 1
          if (times < 3) throw new Error('again')
          return times
        },
      })
      app.orchestration('o', async (context) => {
        return await context.df.call(flaky, undefined, { retry })
      })
    })
    assert.equal(await complete(client, 'o'), 3)
  })

  const refused = {
    'a name in place of a definition': (df_) => df_.call('hello', 1),
    'a function that is none': (df_) => df_.call(() => 1),
    'an id for an activity': (df_, { hello }) => df_.call(hello, 1, { instanceId: 'x' }),
    'an option that is none': (df_, { child }) => df_.call(child, 1, { id: 'x' }),
  }
  for (const [what, call] of Object.entries(refused)) {
    test(`refuses ${what}`, async (t) => {
      const { client } = await open(t, (definitions) => async (context) => {
        await call(context.df, definitions)
      })
      assert.equal((await fail(client, 'o')).code, 'InvalidOption')
    })
  }
})

test('a definition is callable in a generator, in whichever instance runs', async (t) => {
  const { client } = await open(
    t,
    ({ hello, child }) =>
      function* (context) {
        const n = context.df.getInput()
        const text = yield hello(n)
        const kid = yield child(n, `kid-${n}`)
        return [text, kid.id]
      },
  )
  const outputs = await Promise.all([1, 2, 3].map((n) => complete(client, 'o', n)))
  assert.deepEqual(
    outputs,
    [1, 2, 3].map((n) => [`Hello ${n}!`, `kid-${n}`]),
  )
})

test('the types are as types.test-d.ts says', (t) => {
  const dir = tempDir(t)
  const compilerOptions = {
    module: 'node20',
    target: 'ES2022',
    lib: ['ES2023', 'ESNext.Disposable'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
    paths: { durafn: [join(root, 'dist/index.d.ts')] },
  }
  const config = join(dir, 'tsconfig.json')
  const files = [join(root, '__test__/types.test-d.ts')]
  writeFileSync(config, JSON.stringify({ compilerOptions, files }))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', config], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})
