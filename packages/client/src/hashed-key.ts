import { createHash } from 'node:crypto'

/** How much of a key that is hashed stays readable in front. */
const READABLE_LENGTH = 100

/** What stands for a key that memcached cannot hold: its readable beginning, `~`, and the SHA-256 of all of it in base64url. */
export function hashedKey(key: string): string {
  const readable = /^[!-~]*/.exec(key)![0].slice(0, READABLE_LENGTH)
  return `${readable}~${createHash('sha256').update(key).digest('base64url')}`
}
