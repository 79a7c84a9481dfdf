import type { BinaryLike, KeyObject } from 'node:crypto'
import { sign, unsign } from 'cookie-signature'
import { parseCookie } from 'cookie'
import { BoundedMap } from '../bounded-map.ts'
import { serializeCookie } from './cookie.ts'
import type { CookieData } from './cookie.ts'

/** A secret of a cookie, as node:crypto takes it. */
export type Secret = BinaryLike | KeyObject

/** The parts of a request from which the id of its session is read. */
export interface CookieCarrier {
  readonly headers: { readonly cookie?: string | undefined }
  /** What cookie-parser has found, where it is mounted before. */
  readonly signedCookies?: Record<string, unknown> | undefined
  readonly cookies?: Record<string, unknown> | undefined
}

const SIGNED = 's:'

/** The id of the session that a request names in a cookie which one of the secrets has signed. */
export function readId(
  request: CookieCarrier,
  name: string,
  secrets: readonly Secret[],
  signedIds: SignedIds,
): string | undefined {
  const header = request.headers.cookie
  if (header !== undefined && header.includes(name)) {
    const id = signedIds.verify(parseCookie(header)[name], secrets)
    if (id !== undefined) return id
  }
  const { signedCookies, cookies } = request
  const signed = signedCookies?.[name]
  if (typeof signed === 'string' && signed !== '') return signed
  return signedIds.verify(cookies?.[name], secrets)
}

/** The `Set-Cookie` that carries an id. @throws TypeError for an attribute that no cookie can have. */
export function idCookie(name: string, id: string, secret: Secret, data: CookieData): string {
  return serializeCookie(name, SIGNED + sign(id, secret), data)
}

/** The `Set-Cookie` that takes one back. */
export function clearedCookie(
  name: string,
  { domain, path, secure, httpOnly, sameSite, partitioned }: CookieData,
): string {
  return serializeCookie(name, '', { domain, path, secure, httpOnly, sameSite, partitioned, expires: new Date(0) })
}

/** A value whose signature was found right. */
interface Verified {
  readonly id: string
  readonly secret: Secret
}

const MAX_VERIFIED = 10_000
/** Longer values are not kept: ids of this package have 32 characters. */
const MAX_VERIFIED_LENGTH = 256

/**
 * Verifies signed ids, and keeps those whose signatures it has found right: the browsers of active users send the same
 * value again and again, and an HMAC costs more than all else that is done with a cookie. A value is found by a seeded
 * hash of all of it, so how long that takes tells nothing of a part of a signature that was guessed; wrong ones are not
 * kept, and compared in constant time.
 */
export class SignedIds {
  readonly #verified = new BoundedMap<Verified>(MAX_VERIFIED)

  /** The id in a value; `undefined` if none of the secrets has signed it. */
  verify(value: unknown, secrets: readonly Secret[]): string | undefined {
    if (typeof value !== 'string' || !value.startsWith(SIGNED)) return undefined
    const known = this.#verified.get(value)
    // A secret that was taken away counts no more.
    if (known !== undefined && secrets.includes(known.secret)) return known.id
    const signed = value.slice(SIGNED.length)
    for (const secret of secrets) {
      const id = unsign(signed, secret)
      if (id === false) continue
      if (id === '') return undefined
      // Bytes of a secret may change in place.
      if (typeof secret === 'string' && value.length <= MAX_VERIFIED_LENGTH) this.#keep(value, id, secret)
      return id
    }
    return undefined
  }

  #keep(value: string, id: string, secret: Secret): void {
    // A copy: a part of a string keeps all of it, here the whole field of the request.
    const copy = Buffer.from(value).toString()
    this.#verified.set(copy, { id: copy.slice(SIGNED.length, SIGNED.length + id.length), secret })
  }
}
