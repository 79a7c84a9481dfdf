import fc from 'fast-check'
import { expect } from 'vitest'

/** How long the runs may take on a busy machine, in milliseconds. */
export const PROPERTY_MS = 120_000

/** The response of a handler in any framework. */
interface PlainResponse {
  readonly status: number
  readonly fields: Record<string, string>
  readonly body: string
}

/** Answers by what a handler sees of a request. */
export type PlainHandler = (seen: (name: string) => string | undefined, path: string, known?: string) => PlainResponse

/** A service with a response cache in some form. */
export interface UsersSite extends AsyncDisposable {
  /** The body and all fields of a response, as text. */
  fetch(path: string, headers: Record<string, string>, method: string): Promise<string>
  pass(seconds: number): Promise<void>
}

/** The options of caches that are tried. */
export interface UsersOptions {
  readonly ttlSeconds: number
  readonly staleSeconds: number
  readonly ignoreCookies: boolean
}

/** Fields by which a handler, or a framework before it, knows its users. */
const CREDENTIALS = ['authorization', 'x-api-key', 'cookie', 'x-forwarded-user'] as const

/** Fields that do not allow sharing a response whose client is known. */
const FIELDS = fc.record(
  {
    'Cache-Control': fc.constantFrom('max-age=60', 'no-cache', 'private', 'max-age=60, stale-if-error=60'),
    ETag: fc.constantFrom('"one"', 'W/"one"'),
    Vary: fc.constantFrom('Accept', 'Accept-Language', 'constructor'),
    'Last-Modified': fc.constant('Sat, 01 Jan 2000 00:00:00 GMT'),
    'No-Vary-Search': fc.constantFrom('params', 'params=("a")', 'key-order'),
    'Content-Language': fc.constantFrom('de', 'en'),
    'Cache-Groups': fc.constant('"all"'),
  },
  { requiredKeys: [] },
)

const STEP = fc.record({
  who: fc.constantFrom('ann', 'bob', undefined),
  way: fc.constantFrom(...CREDENTIALS, ...(['known'] as const)),
  path: fc.constantFrom('/', '/page', '/page?a=1', '/page?a=2&b=1'),
  method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST'),
  more: fc.constantFrom<Record<string, string>>(
    {},
    {},
    { Range: 'bytes=0-6' },
    { Range: 'bytes=5-' },
    { Range: 'bytes=-4' },
    { 'If-None-Match': '"one"' },
    { 'Accept-Language': 'de, en;q=0.5' },
    { 'Cache-Control': 'no-cache' },
  ),
})

/** Responds with the user that the handler sees, or with a range if one is requested. */
function respond(fields: Record<string, string>): PlainHandler {
  return (seen, _path, known) => {
    const credentials = CREDENTIALS.map((name) => seen(name)).filter((value) => value !== undefined)
    const body = `made for ${known ?? credentials.join(' ') ?? 'nobody'} and nobody else`
    const match = /^bytes=(\d*)-(\d*)$/.exec(seen('range') ?? '')
    if (match === null) return { status: 200, fields, body }
    const first = match[1] === '' ? body.length - Number(match[2]) : Number(match[1])
    const last = match[1] === '' || match[2] === '' ? body.length - 1 : Math.min(Number(match[2]), body.length - 1)
    const contentRange = `bytes ${first}-${last}/${body.length}`
    return { status: 206, fields: { ...fields, 'Content-Range': contentRange }, body: body.slice(first, last + 1) }
  }
}

/**
 * Random requests of two users and of a stranger, several at once, to handlers with random fields: no response may have
 * another user's name in it.
 *
 * @param knows whether the framework can know its users by other means than fields that caches know: `x-test-known`.
 */
export async function expectUsersApart(
  open: (handler: PlainHandler, options: UsersOptions) => Promise<UsersSite>,
  { knows = false, runs = 40 }: { knows?: boolean; runs?: number } = {},
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ seconds: fc.constantFrom(0, 0, 30, 61), at: fc.array(STEP, { minLength: 1, maxLength: 4 }) }),
        {
          minLength: 2,
          maxLength: 6,
        },
      ),
      FIELDS,
      fc.record({ ttlSeconds: fc.constant(60), staleSeconds: fc.constantFrom(0, 30), ignoreCookies: fc.boolean() }),
      async (batches, fields, options) => {
        await using site = await open(respond(fields), options)
        for (const { seconds, at } of batches) {
          await site.pass(seconds)
          await Promise.all(
            at.map(async ({ who, way, path, method, more }) => {
              const field = way === 'known' ? 'x-test-known' : way
              const isSaid = who !== undefined && (way !== 'known' || knows)
              const text = await site.fetch(path, isSaid ? { ...more, [field]: `of-${who}` } : more, method)
              for (const other of ['ann', 'bob']) {
                if (other !== who) expect(text, JSON.stringify({ who, way, path, method, more })).not.toContain(other)
              }
            }),
          )
        }
      },
    ),
    { numRuns: runs },
  )
}
