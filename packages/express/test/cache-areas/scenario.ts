import type { OutgoingHttpHeaders } from 'node:http'
import { expect, it } from 'vitest'
import { answer, openSite } from './open-site.ts'
import type { Answer, Site } from './open-site.ts'

/** One request of a scenario, what the handler would answer to it, and who has to. */
export interface Step {
  readonly method?: string
  readonly path?: string
  /** The request's fields. */
  readonly asks?: OutgoingHttpHeaders
  readonly status?: number
  /** The response's fields; a number is a moment, so many seconds from now. */
  readonly says?: Readonly<Record<string, string | string[] | Moment>>
  readonly body?: string
  /**
   * The source of the response: the handler, the cache, or the cache after the handler has replied 304 to its `ETag` or
   * `Last-Modified`.
   */
  readonly from?: 'handler' | 'cache' | 'etag' | 'lastModified'
  /** The status that the client gets, where it is not the handler's. */
  readonly gets?: number
  /** Fields of the client's response; `undefined`: it has none of that name. */
  readonly with?: Readonly<Record<string, string | RegExp | undefined>>
  readonly text?: string
  /** How long until the next request, in seconds. */
  readonly thenSeconds?: number
}

/** A moment, so many seconds from now. */
export interface Moment {
  readonly inSeconds: number
}

export function inSeconds(seconds: number): Moment {
  return { inSeconds: seconds }
}

/** A response that is fresh for a long time, with more fields. */
export function fresh(says: Step['says'] = {}): Step {
  return { says: { 'Cache-Control': 'max-age=100000', Date: inSeconds(0), ...says } }
}

/** A response that is stale when the next request comes, with more fields. */
export function soonStale(says: Step['says'] = {}): Step {
  return { says: { 'Cache-Control': 'max-age=2', 'Template-A': '1', ...says }, thenSeconds: 3 }
}

export const stored: Step = { from: 'cache' }
export const notStored: Step = { from: 'handler' }

/** A test that sends the requests one after another through a cache without any lifetime of its own. */
export function scenario(name: string, steps: readonly Step[]): void {
  it(name, async () => {
    await using site = await openSite()
    const saidBefore: { etag?: string; lastModified?: string } = {}
    for (const [index, step] of steps.entries()) {
      const says = fieldsOf(site, step.says)
      const calls = site.calls.length
      site.answers((request, response) => {
        const validates =
          (saidBefore.etag !== undefined && request.headers['if-none-match'] === saidBefore.etag) ||
          (saidBefore.lastModified !== undefined && request.headers['if-modified-since'] === saidBefore.lastModified)
        const isValid = validates && (step.from === 'etag' || step.from === 'lastModified')
        const status = isValid ? 304 : (step.status ?? 200)
        answer(response, { status, headers: { ...says, Call: String(index + 1) }, body: step.body ?? 'body' })
      })
      const got = await site.send(step.method ?? 'GET', step.path, step.asks)
      judge(`request ${index + 1}`, step, got, site.calls.slice(calls))
      saidBefore.etag = says['ETag'] as string
      saidBefore.lastModified = says['Last-Modified'] as string
      if (step.thenSeconds !== undefined) await site.pass(step.thenSeconds)
    }
  })
}

function judge(request: string, step: Step, got: Answer, calls: Site['calls']): void {
  if (step.from === 'cache') expect(calls, `${request} is answered by the cache`).toHaveLength(0)
  else if (step.from !== undefined) expect(calls, `${request} comes to the handler`).toHaveLength(1)
  if (step.from === 'etag') expect(calls[0]!.headers, request).toHaveProperty('if-none-match')
  if (step.from === 'lastModified') expect(calls[0]!.headers, request).toHaveProperty('if-modified-since')
  const isValidation = step.from === 'etag' || step.from === 'lastModified'
  if (step.gets !== undefined || step.from === 'handler')
    expect(got.status, request).toBe(step.gets ?? step.status ?? 200)
  else if (isValidation) expect(got.status, request).toBe(200)
  for (const [name, value] of Object.entries(step.with ?? {})) {
    const field = got.headers[name.toLowerCase()]
    if (value instanceof RegExp) expect(field, `${request}, ${name}`).toMatch(value)
    else expect(field, `${request}, ${name}`).toBe(value)
  }
  if (step.text !== undefined) expect(got.body, request).toBe(step.text)
}

function fieldsOf(site: Site, says: Step['says'] = {}): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(says).map(([name, value]) => [
      name,
      typeof value === 'object' && 'inSeconds' in value ? site.date(value.inSeconds) : value,
    ]),
  )
}
