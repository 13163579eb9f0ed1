/** Function apps that are served, for tests. */

import { link, openApp, writeApp } from './app.mjs'

/** `function.json` of an http function. */
export function http(settings = {}, out = { name: 'res', type: 'http', direction: 'out' }) {
  const trigger = { name: 'req', type: 'httpTrigger', direction: 'in', authLevel: 'anonymous' }
  return { bindings: [{ ...trigger, ...settings }, out] }
}

/** Opens a served app; gives what asks it. */
export async function serve(t, files, options = {}) {
  const opened = await openApp(t, files, { port: 0, ...options })
  const ask = (path, init) => fetch(new URL(path, opened.app.url), { redirect: 'manual', ...init })
  return { ...opened, ask }
}

/** The same for one classic http function named Work. */
export const serveOne = (t, script, json = http(), rest = {}) =>
  serve(t, { Work: [json, script], ...rest })

/** An app of `@azure/functions` 4, in text. */
export function serveModern(t, script, rest = {}) {
  const files = {
    'package.json': { main: 'index.js' },
    'index.js': `const { app, HttpResponse } = require('@azure/functions')\n${script}`,
    ...rest,
  }
  return serve(t, link(writeApp(t, files), '@azure/functions@4'))
}

export const post = (body, type = 'application/json') => {
  return { method: 'POST', body, headers: { 'content-type': type } }
}
