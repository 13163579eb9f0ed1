/**
 * A request as triggers see it, whichever model the function is written in.
 *
 * Owns: the shape.
 * Must never: hold code.
 * Proved by: `__test__/host-http.spec.mjs`.
 */

/** A request to an http function, read to its end. */
export interface HttpInput {
  readonly method: string
  /** Absolute. */
  readonly url: string
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Several values of one name are joined by commas, as in the original. */
  readonly query: Readonly<Record<string, string>>
  /** The parameters of the route, with the query beneath them. */
  readonly params: Readonly<Record<string, string>>
  readonly body: Buffer
}
