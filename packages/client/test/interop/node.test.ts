import { describeWithMemcached, launchMemcached } from 'memcache-ts-testing'
import memjs from 'memjs'
import Memcached from 'memcached'
import { expect, it } from 'vitest'
import { MemcachedClient } from '../../src/index.ts'

describeWithMemcached('on the real memcached', () => {
  it('npm’s memcached and ours read each other', async () => {
    await using server = await launchMemcached()
    await using client = new MemcachedClient({ servers: server.address, values: 'memcached', timeoutMs: 5000 })
    const theirs = new Memcached(server.address)
    const set = (key: string, value: unknown) =>
      new Promise<void>((resolve, reject) => theirs.set(key, value, 60, (error) => (error ? reject(error) : resolve())))
    const get = (key: string) =>
      new Promise<unknown>((resolve, reject) =>
        theirs.get(key, (error, value: unknown) => (error ? reject(error) : resolve(value))),
      )
    const values = { text: 'Zürich ☂', lines: 'a\nb\r\nc', number: 1.5, object: { a: ['x\ny', null] } }
    for (const [key, value] of Object.entries(values)) {
      await set(`theirs-${key}`, value)
      await client.set(`ours-${key}`, value)
      expect(await client.get(`theirs-${key}`)).toEqual(value)
      expect(await get(`ours-${key}`)).toEqual(value)
    }
    await set('bytes', Buffer.from([0, 13, 10, 200, 255]))
    expect(await client.get('bytes')).toEqual(Buffer.from([0, 13, 10, 200, 255]))
    await client.set('our-bytes', Buffer.from([0, 13, 10, 200, 255]))
    expect(await get('our-bytes')).toEqual(Buffer.from([0, 13, 10, 200, 255]))
    theirs.end()
  })

  it('memjs and ours read each other', async () => {
    await using server = await launchMemcached()
    await using client = new MemcachedClient({ servers: server.address, values: 'memjs', timeoutMs: 5000 })
    const theirs = memjs.Client.create(server.address)
    await theirs.set('theirs', 'Zürich ☂', { expires: 60 })
    await client.set('ours', Buffer.from([0, 255]), 60)
    expect(await client.get('theirs')).toEqual(Buffer.from('Zürich ☂'))
    expect((await theirs.get('ours')).value).toEqual(Buffer.from([0, 255]))
    theirs.close()
  })
})
