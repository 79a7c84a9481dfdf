import { testMemcache } from 'memcache-ts/testing'
import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, launchMemcached, listenAsOldServer } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { sharedServer } from '../../kit/test/open-cache.ts'
import type { SharedServer } from '../../kit/test/open-cache.ts'
import { openSite } from './cache-areas/open-site.ts'
import { Gate } from './gate.ts'

async function realMemcached(): Promise<SharedServer> {
  const server = await launchMemcached()
  return sharedServer(server.address, () => server.kill())
}

async function oldMemcached(): Promise<SharedServer> {
  const server = new MemcachedServer()
  const { address, metaCommands, close } = await listenAsOldServer(server)
  return sharedServer(address, async () => {
    close()
    await server.close()
    expect(metaCommands).toEqual([])
  })
}

describeWithMemcached('the response cache on the real memcached', () => holds(realMemcached))
describe('the response cache on a server without meta commands', () => holds(oldMemcached))

function holds(launch: () => Promise<SharedServer>): void {
  const host = { Host: 'shop.test' }

  it('stores, varies, invalidates by tag and by method, and calls a handler once for two processes', async () => {
    await using shared = await launch()
    await using one = await openSite({ cache: shared.open(), ttlSeconds: 60, tags: ['page'] })
    await using other = await openSite({ cache: shared.open(), ttlSeconds: 60, tags: ['page'] })
    const sites = [one, other]
    const calls = (): number => one.calls.length + other.calls.length
    const gate = new Gate()
    for (const site of sites) {
      site.answers(async (request, response) => {
        await gate.pass()
        response.vary('Foo').send(`foo ${String(request.headers['foo'])}`)
      })
    }
    const asked = Array.from({ length: 20 }, (_, index) => sites[index % 2]!.get('/', { ...host, Foo: '1' }))
    await gate.arrived
    gate.open()
    expect((await Promise.all(asked)).every(({ body }) => body === 'foo 1')).toBe(true)
    expect(calls()).toBe(1)
    expect((await other.get('/', { ...host, Foo: '2' })).body).toBe('foo 2')
    expect((await one.get('/', { ...host, Foo: '2' })).isHit).toBe(true)
    expect(calls()).toBe(2)
    await one.cache.invalidateTags(['page'])
    expect((await other.get('/', { ...host, Foo: '1' })).isHit).toBe(false)
    expect((await one.get('/', { ...host, Foo: '1' })).isHit).toBe(true)
    await other.send('POST', '/', host)
    expect((await one.get('/', { ...host, Foo: '1' })).isHit).toBe(false)
  })

  it('serves stale while it revalidates', async () => {
    await using shared = await launch()
    await using site = await openSite({ cache: shared.open() })
    const says = (text: string, control: string): void =>
      site.answers((_request, response) => response.set({ 'Cache-Control': control, ETag: `"${text}"` }).send(text))
    says('old', 'max-age=0, stale-while-revalidate=3600')
    await site.get()
    says('new', 'max-age=3600')
    await expect.poll(async () => (await site.get()).body).toBe('new')
    expect(site.calls).toHaveLength(2)
  })

  it('keeps a body of several megabytes', async () => {
    await using shared = await launch()
    await using site = await openSite({ cache: shared.open(), ttlSeconds: 60 })
    const body = Buffer.from(Array.from({ length: 400_000 }, (_value, index) => `${index};`).join(''))
    site.answers((_request, response) => response.type('bin').send(body))
    await site.get()
    await expect.poll(async () => (await site.get()).isHit).toBe(true)
    expect((await site.get()).body).toBe(body.toString())
    expect(site.calls).toHaveLength(1)
  })
}

describe('the response cache when memcached is away', () => {
  it.each(['stop', 'pause'] as const)('responds anyway, and stores again when it is back: %s', async (fault) => {
    await using test = await testMemcache({ timeoutMs: 100 })
    await using site = await openSite({ cache: test.cache, ttlSeconds: 60 })
    site.answers((_request, response, call) => response.send(`answer ${call}`))
    await site.get('/before')
    expect((await site.get('/before')).isHit).toBe(true)
    await test.server[fault]()
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        index % 4 === 0 ? site.send('POST', `/${index % 8}`) : site.get(`/${index % 8}`),
      ),
    )
    expect(answers.every(({ status, body }) => status === 200 && body.startsWith('answer'))).toBe(true)
    expect(answers.filter(({ cacheStatus }) => cacheStatus?.includes('stored'))).toEqual([])
    await test.server.start()
    await test.server.resume()
    await expect.poll(() => test.cache.stats().health).toBe('up')
    await expect.poll(async () => (await site.get('/after')).isHit).toBe(true)
  })

  it('goes away during a handler call: the response is sent, and joined requests wait no longer', async () => {
    await using test = await testMemcache({ timeoutMs: 100 })
    await using site = await openSite({ cache: test.cache, ttlSeconds: 60 })
    const gate = new Gate()
    site.answers(async (_request, response) => {
      await gate.pass()
      response.send('answer')
    })
    const asked = Array.from({ length: 10 }, () => site.get())
    await expect.poll(() => test.cache.stats().coalesced).toBe(9)
    await test.server.pause()
    gate.open()
    expect((await Promise.all(asked)).every(({ body }) => body === 'answer')).toBe(true)
    await test.server.resume()
  })

  it('when it is back, does not serve a response that was invalidated meanwhile', async () => {
    await using test = await testMemcache({ timeoutMs: 100 })
    await using site = await openSite({ cache: test.cache, ttlSeconds: 60 })
    site.answers((_request, response, call) => response.send(`answer ${call}`))
    await site.get('/page')
    await test.server.pause()
    await site.send('POST', '/page')
    await test.server.resume()
    await expect.poll(() => test.cache.stats().health).toBe('up')
    expect((await site.get('/page')).body).not.toBe('answer 1')
  })
})
