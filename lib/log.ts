/**
 * Where log lines go.
 *
 * Owns: the user's logger, the default one, and the log functions that contexts carry.
 * Must never: throw into the engine because a user's logger did.
 * Proved by: `__test__/api.spec.mjs`, `__test__/async-context.spec.mjs`.
 */

import { format } from 'node:util'
import { Origin } from './async-context.js'
import { invalid } from './check.js'
import { indented, laidOut, oneLine } from './printable.js'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** What a logger of the user's must have; `console` and pino both fit. */
export interface Logger {
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

/**
 * `context.log`: writes at level info when called, and at a level by name. Takes what
 * `console.log` takes.
 */
export interface LogFunction {
  (...args: unknown[]): void
  error(...args: unknown[]): void
  warn(...args: unknown[]): void
  info(...args: unknown[]): void
  debug(...args: unknown[]): void
  /** The same as `debug`. */
  trace(...args: unknown[]): void
  /** The same as `debug`. */
  verbose(...args: unknown[]): void
}

/** Which lines a logger takes: all, none, or what matters on a console. */
export type Verbosity = 'all' | 'none' | 'console'

const order: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** The log of one hub: lines of the engine, and lines of user code through a context. */
export class Log {
  private readonly logger: Logger | null
  /** What lines that no user code writes here are written in. */
  private readonly origin: Origin = new Origin()
  private readonly engineLevel: number
  private readonly userLevel: number
  /** The logger is nobody's own: what it is given goes to a terminal as it is. */
  private readonly isConsole: boolean
  /** What a log elsewhere needs to know so that it makes no line that is not wanted here. */
  readonly verbosity: Verbosity

  /**
   * @param logger undefined: `console`
   * @param isBrief takes only warnings and up of the engine, and info and up of user code
   */
  constructor(logger: Logger | false | undefined, isBrief: boolean = logger === undefined) {
    this.logger = logger === false ? null : (logger ?? console)
    this.isConsole = logger === undefined
    this.engineLevel = isBrief ? order.indexOf('warn') : 0
    this.userLevel = isBrief ? order.indexOf('info') : 0
    this.verbosity = logger === false ? 'none' : isBrief ? 'console' : 'all'
  }

  /**
   * Writes a line of the engine: one, whatever ids, names and errors of others it quotes.
   *
   * @param detail has lines of its own, such as a stack, which follow it indented
   */
  engine(level: LogLevel, message: string, detail?: string): void {
    if (order.indexOf(level) < this.engineLevel) return
    const line = oneLine(`durafn: ${message}`)
    const text = detail === undefined ? line : `${line} ${indented(detail)}`
    this.origin.run(() => this.write(level, text))
  }

  user(level: LogLevel, args: unknown[]): void {
    if (this.logger === null || order.indexOf(level) < this.userLevel) return
    const text = formatSafely(args)
    this.write(level, this.isConsole ? laidOut(text) : text)
  }

  /** Writes a line of another thread, as it is. */
  relay(level: LogLevel, line: string): void {
    this.origin.run(() => this.write(level, this.isConsole ? laidOut(line) : line))
  }

  private write(level: LogLevel, message: string): void {
    try {
      this.logger?.[level](message)
    } catch {
      // A logger that fails must not take an orchestration with it.
    }
  }
}

function formatSafely(args: unknown[]): string {
  try {
    return format(...args)
  } catch {
    return 'a value that cannot be formatted was logged'
  }
}

/** Checks the `logger` option. */
export function checkLogger(value: unknown, field: string): Logger | false | undefined {
  if (value === undefined || value === false) return value
  const logger = value as Partial<Logger> | null
  const fits = typeof logger === 'object' && logger !== null
  if (fits && order.every((level) => typeof logger[level] === 'function')) return logger as Logger
  throw invalid(field, 'must be false or have the methods debug, info, warn and error', value)
}

/** A `LogFunction` over one function that writes. */
export function logFunction(write: (level: LogLevel, args: unknown[]) => void): LogFunction {
  const log = (...args: unknown[]): void => write('info', args)
  return Object.assign(log, {
    error: (...args: unknown[]): void => write('error', args),
    warn: (...args: unknown[]): void => write('warn', args),
    info: (...args: unknown[]): void => write('info', args),
    debug: (...args: unknown[]): void => write('debug', args),
    trace: (...args: unknown[]): void => write('debug', args),
    verbose: (...args: unknown[]): void => write('debug', args),
  })
}
