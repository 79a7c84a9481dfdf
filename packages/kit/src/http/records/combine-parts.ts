import { strongValidator } from '../policy/byte-ranges.ts'
import type { ContentPart } from '../policy/byte-ranges.ts'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'

/** A part of a representation, with its bytes and the fields that identify its version. */
export interface BodyPart {
  readonly fields: Fields
  readonly receivedMs: number
  readonly part: ContentPart
  readonly body: Buffer
}

/** The combination of several parts; without `part` it is the whole representation. */
export interface CombinedBody {
  readonly part: ContentPart | undefined
  readonly body: Buffer
}

/**
 * Combines a new part and a stored part (RFC 9110, section 15.3.7.3), if they are of one version, adjacent, and
 * together not over `maxBytes`; otherwise returns the larger part of the same version, or the new part.
 */
export function combineParts(stored: BodyPart | undefined, fresh: BodyPart, maxBytes: number): CombinedBody {
  const alone = wholeIfComplete(fresh)
  if (stored === undefined || alone.part === undefined || !isSameRepresentation(stored, fresh)) return alone
  const [left, right] = stored.part.first <= fresh.part.first ? [stored, fresh] : [fresh, stored]
  const offset = right.part.first - left.part.first
  const larger = stored.body.length > fresh.body.length ? stored : fresh
  if (offset > left.body.length || offset + right.body.length > maxBytes) return wholeIfComplete(larger)
  if (offset + right.body.length <= left.body.length) return wholeIfComplete(left)
  const { first, total } = left.part
  const body = Buffer.concat([left.body.subarray(0, offset), right.body])
  return wholeIfComplete({ part: { first, total: total ?? right.part.total, isTail: right.part.isTail }, body })
}

/** Returns whether two parts certainly belong to the same version of a representation. */
function isSameRepresentation(one: BodyPart, other: BodyPart): boolean {
  const validator = strongValidator(one.fields, one.receivedMs)
  if (validator === undefined || validator !== strongValidator(other.fields, other.receivedMs)) return false
  // Also compares a weak tag and the coding, since a strong date does not distinguish them.
  if (['etag', 'content-encoding'].some((name) => lineOf(one.fields, name) !== lineOf(other.fields, name))) return false
  const [total, otherTotal] = [one.part.total, other.part.total]
  return total !== undefined && total === otherTotal
}

function wholeIfComplete({ part, body }: Pick<BodyPart, 'part' | 'body'>): CombinedBody {
  return part.first === 0 && part.total === body.length ? { part: undefined, body } : { part, body }
}

/** The request fields that complete a stored part. */
export interface MissingPart {
  /** The `Range` of the missing part. */
  readonly range: string
  /** The `If-Range` with the stored version. */
  readonly ifRange: string
}

/**
 * Returns how to complete a stored part; `undefined` if it cannot be completed by one range: its version or its length
 * is not known, both ends are missing, or the whole would have more than `maxBytes`.
 */
export function missingPart(
  { fields, receivedMs, part, length }: Omit<BodyPart, 'body'> & { readonly length: number },
  maxBytes: number,
): MissingPart | undefined {
  const { first, total, isTail } = part
  const ifRange = strongValidator(fields, receivedMs)
  if (ifRange === undefined || total === undefined || total > maxBytes) return undefined
  if (first === 0) return { range: `bytes=${length}-`, ifRange }
  return isTail ? { range: `bytes=0-${first - 1}`, ifRange } : undefined
}
