import { createHash, timingSafeEqual } from 'node:crypto'

/**
 * A user and a password, as the server keeps and compares them. The length of the user stands before both, so that no
 * two pairs have the same bytes.
 */
export function digestOf(user: Buffer, password: Buffer): Buffer {
  return createHash('sha256').update(`${user.length}:`).update(user).update(password).digest()
}

/** Whether the digest is among the known ones. All are compared, in constant time: the time of a refusal tells nothing. */
export function isAmong(digests: readonly Buffer[], digest: Buffer): boolean {
  let isKnown = false
  for (const known of digests) if (timingSafeEqual(known, digest)) isKnown = true
  return isKnown
}
