import { strongValidator } from '../policy/byte-ranges.ts'
import type { ContentPart } from '../policy/byte-ranges.ts'
import { lineOf } from '../fields.ts'
import type { Fields } from '../fields.ts'

/** A part of a representation, with its bytes, and what tells its version. */
export interface BodyPart {
  readonly fields: Fields
  readonly receivedMs: number
  readonly part: ContentPart
  readonly body: Buffer
}

/** What several parts are together; without `part` it is the whole representation. */
export interface CombinedBody {
  readonly part: ContentPart | undefined
  readonly body: Buffer
}

/**
 * What a new part and a stored one are together (RFC 9110, section 15.3.7.3): both, if they are of one version and
 * touch, and if they have no more than `maxBytes`; otherwise the larger one of the same version, or the new one.
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

/** Whether two parts are of the same version of a representation, as far as it can be proved. */
function isSameRepresentation(one: BodyPart, other: BodyPart): boolean {
  const validator = strongValidator(one.fields, one.receivedMs)
  if (validator === undefined || validator !== strongValidator(other.fields, other.receivedMs)) return false
  // A weak tag beside a strong date, and the coding: a date says nothing of either.
  if (['etag', 'content-encoding'].some((name) => lineOf(one.fields, name) !== lineOf(other.fields, name))) return false
  const [known, told] = [one.part.total, other.part.total]
  return known !== undefined && known === told
}

function wholeIfComplete({ part, body }: Pick<BodyPart, 'part' | 'body'>): CombinedBody {
  return part.first === 0 && part.total === body.length ? { part: undefined, body } : { part, body }
}

/** What has to be requested to complete a stored part. */
export interface MissingPart {
  /** The `Range` of what is missing. */
  readonly range: string
  /** The `If-Range` that holds it to the stored version. */
  readonly ifRange: string
}

/**
 * What is missing of a representation of which one part is stored; `undefined` if the part cannot be completed by one
 * range: its version or its length is not known, both ends are missing, or the whole would have more than `maxBytes`.
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
