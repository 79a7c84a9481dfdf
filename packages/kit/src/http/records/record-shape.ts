import { validateHeaderName, validateHeaderValue } from 'node:http'
import { isNeverStored, noFields } from '../fields.ts'
import type { Fields } from '../fields.ts'
import type { ContentPart } from '../policy/byte-ranges.ts'
import { isStorableStatus, unstorableField } from '../policy/storage-policy.ts'
import type { Lifetimes } from '../policy/storage-policy.ts'
import { MAX_VARIED_FIELDS } from '../policy/vary.ts'
import type { StoredRecord, StoredResponse } from './stored-record.ts'

const NONE: Fields = noFields()
const REASON = /^[\t\u0020-\u007e\u0080-\u00ff]+$/
const TOKEN = /^[!#$%&'*+.^_`|~\da-z-]+$/

/**
 * Returns a record from its stored JSON; `undefined` unless it has the complete shape of a record and is stored under
 * its own key. Stored bytes are not trusted, since every client that reaches memcached can write them.
 */
export function asRecord(head: unknown, key: string, body: Buffer): StoredRecord | undefined {
  if (!isObject(head) || head['key'] !== key) return undefined
  switch (head['kind']) {
    case 'response': {
      const response = asResponse(head, body)
      // A 206 is not a response to a request for the whole.
      return response === undefined || response.status === 206 ? undefined : { kind: 'response', key, ...response }
    }
    case 'partial': {
      const response = asResponse(head, body)
      const part = response && asPart(head['part'], response.length)
      return part === undefined || response?.status !== 206 ? undefined : { kind: 'partial', key, ...response, part }
    }
    case 'variants': {
      const { names, id } = head
      if (
        !isListOf(names, (name) => TOKEN.test(name)) ||
        names.length > MAX_VARIED_FIELDS ||
        typeof id !== 'string' ||
        id === ''
      )
        return undefined
      return { kind: 'variants', key, names, id }
    }
    case 'pass': {
      const { untilMs } = head
      return isAmount(untilMs) ? { kind: 'pass', key, untilMs } : undefined
    }
    default:
      return undefined
  }
}

function asResponse(head: Record<string, unknown>, body: Buffer): Omit<StoredResponse, 'kind' | 'key'> | undefined {
  const { status, reason, removed, receivedMs, compression, length } = head
  const fields = asFields(head['fields'])
  const appended = head['appended'] === undefined ? NONE : asFields(head['appended'])
  const lifetimes = asLifetimes(head['lifetimes'])
  if (
    fields === undefined ||
    appended === undefined ||
    lifetimes === undefined ||
    !isAmount(receivedMs) ||
    !isSize(length)
  )
    return undefined
  if (!Number.isInteger(status) || (status as number) > 599 || !isStorableStatus(status as number)) return undefined
  if (unstorableField({ ...appended, ...fields }, lifetimes) !== undefined) return undefined
  if (reason !== undefined && !(typeof reason === 'string' && REASON.test(reason))) return undefined
  if (!isListOf(removed, (name) => TOKEN.test(name))) return undefined
  if (compression !== 'none' && compression !== 'gzip') return undefined
  if (compression === 'none' && length !== body.length) return undefined
  return {
    status: status as number,
    reason,
    fields,
    appended,
    removed,
    receivedMs,
    lifetimes,
    compression,
    length,
    body,
  }
}

function asPart(given: unknown, length: number): ContentPart | undefined {
  if (!isObject(given)) return undefined
  const { first, total, isTail } = given
  if (!Number.isSafeInteger(first) || (first as number) < 0 || typeof isTail !== 'boolean') return undefined
  const end = (first as number) + length
  if (total === undefined) return { first: first as number, total, isTail }
  if (!Number.isSafeInteger(total) || (total as number) < end || isTail !== (total === end)) return undefined
  return { first: first as number, total: total as number, isTail }
}

function asFields(given: unknown): Fields | undefined {
  if (!isObject(given)) return undefined
  const fields = noFields()
  for (const [name, value] of Object.entries(given)) {
    if (!TOKEN.test(name) || isNeverStored(name)) return undefined
    if (typeof value !== 'string' && !isListOf(value, () => true)) return undefined
    try {
      validateHeaderName(name)
      for (const line of [value].flat()) validateHeaderValue(name, line)
    } catch {
      return undefined
    }
    fields[name] = value
  }
  return fields
}

function asLifetimes(given: unknown): Lifetimes | undefined {
  if (!isObject(given)) return undefined
  const { freshSeconds, initialAgeSeconds, whileRevalidateSeconds, ifErrorSeconds } = given
  const { mustRevalidate, alwaysRevalidate, isShared } = given
  if (!isAmount(freshSeconds) || !isAmount(initialAgeSeconds)) return undefined
  if (!isAmount(whileRevalidateSeconds) || !isAmount(ifErrorSeconds)) return undefined
  if (typeof mustRevalidate !== 'boolean' || typeof alwaysRevalidate !== 'boolean' || typeof isShared !== 'boolean') {
    return undefined
  }
  return {
    freshSeconds,
    initialAgeSeconds,
    whileRevalidateSeconds,
    ifErrorSeconds,
    mustRevalidate,
    alwaysRevalidate,
    isShared,
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isListOf(value: unknown, isMember: (member: string) => boolean): value is string[] {
  return Array.isArray(value) && value.every((member) => typeof member === 'string' && isMember(member))
}

function isSize(value: unknown): value is number {
  return isAmount(value) && Number.isInteger(value)
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
}
