import type { BinaryLike, KeyObject } from 'node:crypto'
import { sign, unsign } from 'cookie-signature'
import { parseCookie } from 'cookie'
import { serializeCookie } from './cookie.ts'
import type { CookieData } from './cookie.ts'

/** A secret of a cookie, as node:crypto takes it. */
export type Secret = BinaryLike | KeyObject

/** What of a request the id of its session is read from. */
export interface CookieCarrier {
  readonly headers: { readonly cookie?: string | undefined }
  /** What cookie-parser has found, where it is mounted before. */
  readonly signedCookies?: Record<string, unknown> | undefined
  readonly cookies?: Record<string, unknown> | undefined
}

const SIGNED = 's:'

/** The id of the session that a request names in a cookie which one of the secrets has signed. */
export function readId(request: CookieCarrier, name: string, secrets: readonly Secret[]): string | undefined {
  const header = request.headers.cookie
  if (header !== undefined && header.includes(name)) {
    const id = verify(parseCookie(header)[name], secrets)
    if (id !== undefined) return id
  }
  const { signedCookies, cookies } = request
  const signed = signedCookies?.[name]
  if (typeof signed === 'string' && signed !== '') return signed
  return verify(cookies?.[name], secrets)
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

function verify(value: unknown, secrets: readonly Secret[]): string | undefined {
  if (typeof value !== 'string' || !value.startsWith(SIGNED)) return undefined
  const signed = value.slice(SIGNED.length)
  for (const secret of secrets) {
    const id = unsign(signed, secret)
    if (id !== false) return id === '' ? undefined : id
  }
  return undefined
}
