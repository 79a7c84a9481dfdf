import type { BinaryLike, KeyObject } from 'node:crypto'
import { sign, unsign } from 'cookie-signature'
import { parseCookie } from 'cookie'
import { BoundedMap } from '../bounded-map.ts'
import { serializeCookie } from './cookie.ts'
import type { CookieData } from './cookie.ts'

/** A secret that signs cookies, in any form that node:crypto accepts. */
export type Secret = BinaryLike | KeyObject

/** The parts of a request from which the id of its session is read. */
export interface CookieCarrier {
  readonly headers: { readonly cookie?: string | undefined }
  /** The cookies that cookie-parser has found, if it is mounted earlier. */
  readonly signedCookies?: Record<string, unknown> | undefined
  readonly cookies?: Record<string, unknown> | undefined
}

const SIGNED = 's:'

/**
 * Returns the session id in the cookie of a request; `undefined` if there is no such cookie, or none of the secrets has
 * signed it.
 */
export function readId(
  request: CookieCarrier,
  { name, signedIds }: { readonly name: string; readonly signedIds: SignedIds },
  secrets: readonly Secret[],
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

/**
 * Returns the `Set-Cookie` field that carries an id.
 *
 * @throws TypeError if an attribute is invalid.
 */
export function idCookie(
  name: string,
  { id, secret }: { readonly id: string; readonly secret: Secret },
  data: CookieData,
): string {
  return serializeCookie(name, SIGNED + sign(id, secret), data)
}

/** Returns the `Set-Cookie` field that removes the cookie from the browser. */
export function clearedCookie(
  name: string,
  { domain, path, secure, httpOnly, sameSite, partitioned }: CookieData,
): string {
  return serializeCookie(name, '', { domain, path, secure, httpOnly, sameSite, partitioned, expires: new Date(0) })
}

/** A value whose signature was found valid. */
interface Verified {
  readonly id: string
  readonly secret: Secret
}

const MAX_VERIFIED = 10_000
/** Longer values are not remembered: ids of this package have 32 characters. */
const MAX_VERIFIED_LENGTH = 256

/**
 * Verifies signed ids and remembers the valid ones: the browsers of active users send the same value again and again,
 * and an HMAC costs more than everything else that is done with a cookie. The lookup uses a seeded hash of the whole
 * value, so its duration reveals nothing about a partly guessed signature. Invalid values are not remembered; their
 * signatures are compared in constant time.
 */
export class SignedIds {
  readonly #verified = new BoundedMap<Verified>(MAX_VERIFIED)

  /** Returns the id in a value; `undefined` if none of the secrets has signed it. */
  verify(value: unknown, secrets: readonly Secret[]): string | undefined {
    if (typeof value !== 'string' || !value.startsWith(SIGNED)) return undefined
    const known = this.#verified.get(value)
    // A secret that was removed from the list is no longer accepted.
    if (known !== undefined && secrets.includes(known.secret)) return known.id
    const signed = value.slice(SIGNED.length)
    for (const secret of secrets) {
      const id = unsign(signed, secret)
      if (id === false) continue
      if (id === '') return undefined
      // A secret of bytes may change in place, so only strings are remembered.
      if (typeof secret === 'string' && value.length <= MAX_VERIFIED_LENGTH) this.#keep(value, id, secret)
      return id
    }
    return undefined
  }

  #keep(value: string, id: string, secret: Secret): void {
    // A copy: a substring would keep the whole string in memory, here the field of the request.
    const copy = Buffer.from(value).toString()
    this.#verified.set(copy, { id: copy.slice(SIGNED.length, SIGNED.length + id.length), secret })
  }
}
