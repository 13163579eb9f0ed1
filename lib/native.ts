/**
 * The native addon.
 *
 * Owns: loading it, and what is said when there is none for this platform.
 * Must never: be imported by anything but `engine.ts`; nothing else may import the addon.
 * Proved by: `__test__/package.spec.mjs`.
 */

import { UnsupportedPlatform } from './errors.js'
import { messageOf } from './failure.js'

/** The native class. The constructor returns at once; the reply with `rid` 0 says how the open went. */
export interface NativeEngine {
  /** Throws only for a defect of this package (a batch it cannot read, a panic in the core). */
  exchange(inbound: string): string
  /** What JavaScript is in from now on, as `Surroundings.enters` has it, or 0. An exchange ends it. */
  enters(inside: number): void
}

type NativeEngineConstructor = new (options: string, wake: () => void) => NativeEngine

interface Addon {
  NativeEngine: NativeEngineConstructor
}

let loaded: Addon | undefined

/**
 * Opens an engine; the reply with `rid` 0 says how that went.
 *
 * @param options the JSON text of `EngineOptions`
 * @param wake is called when there is something to exchange
 * @throws UnsupportedPlatform
 */
export function createEngine(options: string, wake: () => void): NativeEngine {
  loaded ??= load()
  return new loaded.NativeEngine(options, wake)
}

/** On first use, so that an app can be imported, and its functions tested, on any platform. */
function load(): Addon {
  try {
    return require('../native/index.js') as Addon
  } catch (error) {
    const platform = `${process.platform}-${process.arch}, Node ${process.versions.node}`
    throw new UnsupportedPlatform(
      `The native part of durafn cannot be loaded on this platform (${platform}): ${messageOf(error)}\n${whatToDo()}`,
      { cause: error },
    )
  }
}

function whatToDo(): string {
  return [
    'What to do:',
    '- Prebuilt are: Linux (x64, arm64; glibc and musl), macOS (x64, arm64) and Windows (x64, arm64), for Node 20.20 and later.',
    '- If yours is one of these, the package of the platform was not installed: remove node_modules and the lock file, then install again without --omit=optional (and without --no-optional).',
    '- If node_modules was copied from another machine or image, install where it runs.',
    '- In a clone of the repository, run `npm run build` (it needs Rust: https://rustup.rs).',
  ].join('\n')
}
