/**
 * `%NAME%`: settings of the app where a file or a registration names one.
 *
 * Owns: how a setting is named, and that one which is not set is never taken for a value.
 * Must never: read a file; `Values` of local.settings.json are in the environment.
 * Proved by: `__test__/host-expressions.spec.mjs`, `__test__/host-settings.spec.mjs`.
 */

/** How a setting is named in a text; other percent signs are text. */
export const SETTING = '%([\\w.:-]+)%'

/** A setting; undefined if it is not set, or empty. */
export function settingOf(name: string): string | undefined {
  return process.env[name] || undefined
}

/**
 * A text with what its settings are.
 *
 * @param missing refuses one that is not set
 */
export function withSettings(text: string, missing: (name: string) => Error): string {
  return text.replace(new RegExp(SETTING, 'g'), (_, name: string) => {
    const value = settingOf(name)
    if (value === undefined) throw missing(name)
    return value
  })
}
