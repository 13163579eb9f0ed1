/**
 * `durafn/http`: the HTTP management API.
 *
 * Owns: what is public of it. What is not named here is not.
 * Must never: hold code.
 * Proved by: `http.d.ts`, whose drift is checked, and `__test__/package.spec.mjs`.
 */

// Callers compile without this package's `lib`: `Symbol.asyncDispose` must come with the types.
/// <reference lib="esnext.disposable" preserve="true" />

export type { Answer } from './answers.js'
export {
  type ClientLike,
  createHttpApi,
  type HttpApi,
  type HttpApiOptions,
  type HubOrClient,
  type RpcOptions,
} from './api.js'
export type { ClientBinding, HttpManagementPayload } from './binding.js'
export { type KeyLevel, Keys, type KeyTexts } from './keys.js'
export type { LinkOptions, SignedLinks } from './link-routes.js'
export type { LinkScope } from './links.js'
export type { Query } from './query.js'
export type { Access, BodyKind, Route, RouteContext, Router } from './router.js'
export {
  type ManagementServer,
  type RpcServer,
  type ServeOptions,
  serve,
  serveRpc,
} from './server.js'
