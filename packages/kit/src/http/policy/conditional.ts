import type { IncomingHttpHeaders } from 'node:http'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'
import { parseHttpDate } from './http-date.ts'
import type { StoredResponse } from '../records/stored-record.ts'

/** The request fields that make a request conditional, or request a part (RFC 9110, sections 13.1 and 14.2). */
export const CONDITIONAL_FIELDS = [
  'if-none-match',
  'if-modified-since',
  'if-match',
  'if-unmodified-since',
  'if-range',
  'range',
] as const

/**
 * Returns whether a client already has this response, so that it gets 304 (RFC 9110, section 13.2.2; RFC 9111, section
 * 4.3.2).
 *
 * @param response.receivedMs the time when the response was received, which is used if it has neither `Last-Modified`
 *   nor `Date`.
 */
export function isNotModified(
  request: IncomingHttpHeaders,
  { status, fields, receivedMs }: Pick<StoredResponse, 'status' | 'fields' | 'receivedMs'>,
): boolean {
  if (status < 200 || status > 299) return false
  const noneMatch = lineOf(request, 'if-none-match')
  if (noneMatch !== undefined) return matchesTag(noneMatch, lineOf(fields, 'etag'))
  const sinceMs = parseHttpDate(lineOf(request, 'if-modified-since'), receivedMs)
  if (sinceMs === undefined) return false
  const modified = lineOf(fields, 'last-modified') ?? lineOf(fields, 'date')
  return (parseHttpDate(modified, receivedMs) ?? receivedMs) <= sinceMs
}

/** Returns whether an entity tag is in a list, by the weak comparison (RFC 9110, section 8.8.3.2). */
function matchesTag(list: string, tag: string | undefined): boolean {
  if (list.trim() === '*') return true
  if (tag === undefined) return false
  const wanted = opaque(tag)
  const members = list.match(/(?:W\/)?"[^"]*"|[^\s,]+/g) ?? []
  return members.some((member) => opaque(member) === wanted)
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag
}

/** Returns whether a response to HEAD has the version of the stored response, by its validators and length. */
export function isHeadOf(fields: Fields, stored: Pick<StoredResponse, 'fields' | 'length'>): boolean {
  const length = lineOf(fields, 'content-length')
  if (length !== undefined && Number(length) !== stored.length) return false
  const validators = ['etag', 'last-modified'].filter((name) => stored.fields[name] !== undefined)
  return validators.length > 0 && validators.every((name) => lineOf(fields, name) === lineOf(stored.fields, name))
}
