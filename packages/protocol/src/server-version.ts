/** From here on the meta commands have the form that protocol.txt describes, and answer a miss with its opaque. */
const FIRST_WITH_META: readonly number[] = [1, 6, 13]

/** Whether a server of this version, as `version` tells it, speaks the meta commands; one that is not memcached's does not. */
export function speaksMeta(version: string): boolean {
  const numbers = /^(\d+)\.(\d+)\.(\d+)/.exec(version)
  if (numbers === null) return false
  for (const [index, least] of FIRST_WITH_META.entries()) {
    const number = Number(numbers[index + 1])
    if (number !== least) return number > least
  }
  return true
}
