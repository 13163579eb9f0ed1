/** Routes of http functions: templates and what they match. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { openApp, writeApp } from './support/app.mjs'
import { refuses } from './support/hub.mjs'

const echo = `module.exports = async (context, req) => {
  context.res = { body: { name: context.executionContext.functionName, params: req.params } }
}`

function http(route, rest = {}) {
  const trigger = { name: 'req', type: 'httpTrigger', authLevel: 'anonymous', route, ...rest }
  return [{ bindings: [trigger, { name: 'res', type: 'http', direction: 'out' }] }, echo]
}

/** Asks an app for a path: what its function saw, or the status. */
async function asking(t, files) {
  const { app } = await openApp(t, files)
  return async (path, method = 'GET') => {
    const response = await app.fetch(new Request(`http://localhost/api/${path}`, { method }))
    return response.status === 200 ? await response.json() : response.status
  }
}

describe('templates', () => {
  const found = {
    'a/b': { 'a/b': {}, 'A/B': {}, 'a/b/': {}, 'a/c': 404, a: 404, 'a/b/c': 404 },
    'p/{id}': { 'p/1': { id: '1' }, 'p/%C3%BC%2F': { id: 'ü/' }, p: 404, 'p/1/2': 404 },
    'o/{id?}': { o: {}, 'o/1': { id: '1' } },
    'd/{id=7}': { d: { id: '7' }, 'd/1': { id: '1' } },
    'r/{*rest}': { r: {}, 'r/a': { rest: 'a' }, 'r/a/b%20c': { rest: 'a/b c' } },
    'm/{a}.{b}': { 'm/x.y': { a: 'x', b: 'y' }, 'm/xy': 404 },
    't/{a}-{b}-{c}.png': {
      't/1-2-3.png': { a: '1', b: '2', c: '3' },
      't/1--2-3-.PNG': { a: '1', b: '-2', c: '3-' },
      't/1-----.png': { a: '1', b: '-', c: '--' },
      't/1---.png': 404,
      't/--a-b-c.png': { a: '-', b: 'a', c: 'b-c' },
      't/1-2-.png': 404,
      't/-2-3.png': 404,
      't/1-2-3.png5': 404,
    },
    'u/{a}{b}': { 'u/xyz': { a: 'x', b: 'yz' }, 'u/x': 404 },
    'v/ü{a}.x': { 'v/%c3%bc1.x': { a: '1' }, 'v/%C3%9C1.x': 404 },
    'f-{id}-x': { 'f-1-x': { id: '1' }, 'f-1': 404 },
    'int/{n:int}': {
      'int/7': { n: '7' },
      'int/-7': { n: '-7' },
      'int/x': 404,
      'int/3000000000': 404,
    },
    'guid/{g:guid}': {
      'guid/6f9619ff-8b86-d011-b42d-00c04fc964ff': { g: '6f9619ff-8b86-d011-b42d-00c04fc964ff' },
      'guid/x': 404,
    },
    'bool/{b:bool}': { 'bool/True': { b: 'True' }, 'bool/1': 404 },
    'alpha/{a:alpha}': { 'alpha/x': { a: 'x' }, 'alpha/1': 404 },
    'len/{a:length(2,3)}': { 'len/ab': { a: 'ab' }, 'len/a': 404, 'len/abcd': 404 },
    'min/{n:int:min(5)}': { 'min/5': { n: '5' }, 'min/4': 404 },
    'range/{n:range(1,9)}': { 'range/9': { n: '9' }, 'range/10': 404 },
    're/{a:regex(^\\d{{2}}$)}': { 're/12': { a: '12' }, 're/123': 404 },
    'opt/{n:int?}': { opt: {}, 'opt/1': { n: '1' }, 'opt/x': 404 },
  }
  for (const [template, paths] of Object.entries(found)) {
    test(template, async (t) => {
      const ask = await asking(t, { Work: http(template) })
      for (const [path, expected] of Object.entries(paths)) {
        const answer = await ask(path)
        assert.deepEqual(answer.params ?? answer, expected, path)
      }
    })
  }

  test('of several the most literal one is taken, and methods tell them apart', async (t) => {
    const ask = await asking(t, {
      Rest: http('{*rest}'),
      Any: http('x/{id}'),
      Number: http('x/{id:int}'),
      Literal: http('x/one'),
      Post: http('x/one', { methods: ['post'] }),
      Get: http('y', { methods: ['get'] }),
      Put: http('y', { methods: ['put'] }),
    })
    const names = { 'x/one': 'Literal', 'x/1': 'Number', 'x/a': 'Any', 'x/a/b': 'Rest', '': 'Rest' }
    for (const [path, name] of Object.entries(names)) assert.equal((await ask(path)).name, name)
    assert.equal((await ask('y')).name, 'Get')
    assert.equal((await ask('y', 'PUT')).name, 'Put')
  })

  test('a path is matched in one pass, however many parameters a segment has', async (t) => {
    const ask = await asking(t, { Work: http('x/{a}-{b}-{c}-{d}.png') })
    // To try each way in which it does not match would take hours.
    assert.equal(await ask(`x/${'-'.repeat(8_000)}`), 404)
  })

  test('the parameters of the route go before those of the query', async (t) => {
    const ask = await asking(t, { Work: http('x/{id}') })
    assert.deepEqual((await ask('x/1?id=2&other=3')).params, { id: '1', other: '3' })
  })
})

describe('bad triggers are refused with field and file', () => {
  const cases = {
    route: [
      ['x/{', /no route, because.*brace/],
      ['x/{a:nothing}', /no constraint 'nothing'/],
      ['{*rest}/x', /not its last segment/],
      ['x/{a:regex([)}', /expression is wrong/],
      [5, /must be a string/],
    ],
    methods: [['get', /array of methods/]],
    authLevel: [['everyone', /'anonymous', 'function' or 'admin'/]],
  }
  for (const [field, values] of Object.entries(cases)) {
    for (const [value, message] of values) {
      test(`${field}: ${JSON.stringify(value)}`, async (t) => {
        const dir = writeApp(t, { Work: http('x', { [field]: value }) })
        const opening = df.openFunctionApp(dir, { store: 'sqlite::memory:' })
        const error = await refuses('InvalidFunction', opening, { field, message })
        assert.match(error.message, /Work.function\.json/)
      })
    }
  }

  test('a route of the host itself', async (t) => {
    const dir = writeApp(t, {
      Work: http('admin/x'),
      'host.json': { extensions: { http: { routePrefix: '' } } },
    })
    const opening = df.openFunctionApp(dir, { store: 'sqlite::memory:' })
    await refuses('InvalidFunction', opening, { field: 'route', message: /host's own/ })
  })
})
