import { sameValue } from '../fields.ts'
import type { Fields } from '../fields.ts'
import { POLICY_FIELDS } from '../policy/storage-policy.ts'

/**
 * Returns the fields that a handler has set or changed, without those that middleware before the cache sets for each
 * client.
 *
 * @param before the fields that were set before the handler ran.
 */
export function ownFields(fields: Fields, before: Fields): Fields {
  const own = Object.entries(fields).filter(
    ([name, value]) => !sameValue(value, before[name]) || POLICY_FIELDS.includes(name),
  )
  return Object.fromEntries(own)
}

/**
 * Returns what a handler has added to fields that had a value before: the next client gets it behind the value that
 * middleware sets for that client, which may name a user (`Server-Timing: auth;desc="ann"`). `undefined` if it has
 * added nothing.
 */
export function appendedFields(fields: Fields, before: Fields): Fields | undefined {
  const appended = Object.entries(fields).flatMap(([name, value]) => {
    const first = Object.hasOwn(before, name) ? before[name] : undefined
    const rest = first === undefined ? undefined : withoutFirst(value, first)
    return rest === undefined ? [] : [[name, rest] as const]
  })
  return appended.length === 0 ? undefined : Object.fromEntries(appended)
}

/** Returns the values that a handler has added, by the fields of its 304, and by the stored fields. */
export function freshenedAppended(stored: Fields | undefined, updated: Fields, before: Fields): Fields | undefined {
  const added = appendedFields(updated, before)
  if (stored === undefined) return added
  // `Vary` is not replaced, but extended.
  const kept = Object.entries(stored).filter(([name]) => name === 'vary' || updated[name] === undefined)
  return { ...added, ...Object.fromEntries(kept) }
}

/** Returns a value without the value that it begins with; `undefined` if it begins with another one. */
function withoutFirst(value: string | string[], first: string | string[]): string | string[] | undefined {
  if (typeof value === 'string')
    return typeof first === 'string' && value.startsWith(`${first},`) ? value.slice(first.length + 1).trim() : undefined
  const lines = [first].flat()
  return value.length > lines.length && lines.every((line, index) => line === value[index])
    ? value.slice(lines.length)
    : undefined
}
