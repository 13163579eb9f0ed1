#!/usr/bin/env node
/**
 * `npx durafn`.
 *
 * Owns: nothing but the call of the command line with the arguments of this process.
 * Must never: be imported.
 * Proved by: `__test__/cli.spec.mjs`.
 */

import { run } from './cli/program.js'

void run(process.argv)
