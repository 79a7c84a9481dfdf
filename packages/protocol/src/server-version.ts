/** From this patch on, meta commands have the form of protocol.txt, and a miss is answered with its opaque. */
const FIRST_PATCH_WITH_META = 13

/** Returns whether this `version` is of a memcached before leases (flag N of meta get): 1.4 and 1.5. */
export function isBeforeLeases(version: string): boolean {
  return /^1\.[0-5]\./.test(version)
}

/**
 * Returns whether this `version` is of a memcached with an early form of meta commands, 1.6.0 to 1.6.12, which the
 * probe for them (`mn`) cannot distinguish.
 */
export function hasEarlyMeta(version: string): boolean {
  const patch = /^1\.6\.(\d+)/.exec(version)?.[1]
  return patch !== undefined && Number(patch) < FIRST_PATCH_WITH_META
}
