/**
 * Schedules of timer functions: cron expressions with or without seconds, and intervals.
 *
 * Owns: reading one, and when it is due next.
 * Must never: wait.
 * Proved by: `__test__/host-timers.spec.mjs`.
 */

import { Cron } from 'croner'
import { wallMs } from '../clock.js'
import { withSettings } from './app-settings.js'
import { firstLine, refused } from './binding.js'

/** When something is due. */
export interface Schedule {
  /** As it was given, with settings filled in. */
  readonly text: string
  /** The first time after this one; null if there is none. */
  next(after: Date): Date | null
}

const INTERVAL = /^(?:(\d+)\.)?(\d+):(\d{2}):(\d{2})$/
const INTERVAL_MS_MIN = 1
/** A century: a Date has its bounds. */
const DAYS_MAX = 36_525

/**
 * Reads a schedule: `{second} {minute} {hour} {day} {month} {day of week}`, the same without seconds,
 * `hh:mm:ss` or `d.hh:mm:ss`; or `%NAME%` for any of these in a setting. Times are UTC unless the
 * setting `WEBSITE_TIME_ZONE` or `TZ` names a zone.
 *
 * @param file named in the refusal of one that is none
 * @throws InvalidFunction
 */
export function parseSchedule(given: unknown, file: string): Schedule {
  if (typeof given !== 'string' || given.trim() === '') {
    throw refused(file, 'schedule', "must be a text, such as '0 */5 * * * *' or '00:05:00'")
  }
  const filled = withSettings(given, (name) =>
    refused(file, 'schedule', `names the setting '${name}', which is not set`),
  )
  const text = filled.trim()
  const interval = INTERVAL.exec(text)
  return interval === null ? cron(text, file) : every(text, interval, file)
}

function every(text: string, parts: RegExpExecArray, file: string): Schedule {
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts
    .slice(1)
    .map((part) => Number(part ?? 0))
  const ms = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000
  if (ms < INTERVAL_MS_MIN) throw refused(file, 'schedule', `is '${text}', which is no time at all`)
  if (days > DAYS_MAX) throw refused(file, 'schedule', `is '${text}', which is too long`)
  return { text, next: (after) => new Date(after.getTime() + ms) }
}

function cron(text: string, file: string): Schedule {
  const timezone = process.env['WEBSITE_TIME_ZONE'] || process.env['TZ'] || 'UTC'
  try {
    // As in the original both days must fit if both are given, and a year is no part of it.
    const job = new Cron(text, {
      mode: '5-or-6-parts',
      paused: true,
      domAndDow: true,
      sloppyRanges: true,
      timezone: timezone.replace(/^:/, ''),
    })
    const next = (after: Date): Date | null => job.nextRun(after)
    next(new Date(wallMs()))
    return { text, next }
  } catch (error) {
    throw refused(file, 'schedule', `is '${text}', which is none: ${firstLine(error)}`)
  }
}
