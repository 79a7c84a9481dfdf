/** From here on the meta commands have the form that protocol.txt describes, and answer a miss with its opaque. */
const FIRST_PATCH_WITH_META = 13

/** Whether a server of this version, as `version` tells it, is memcached from before its leases (meta get's N flag): 1.4 and 1.5. */
export function isBeforeLeases(version: string): boolean {
  return /^1\.[0-5]\./.test(version)
}

/**
 * Whether a server of this version, as `version` tells it, has meta commands of an early form, which the question for them (`mn`)
 * does not tell from today's: memcached 1.6.0 to 1.6.12.
 */
export function hasEarlyMeta(version: string): boolean {
  const patch = /^1\.6\.(\d+)/.exec(version)?.[1]
  return patch !== undefined && Number(patch) < FIRST_PATCH_WITH_META
}
