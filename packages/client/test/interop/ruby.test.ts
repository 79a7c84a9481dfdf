import { describeWithCommand, launchMemcached } from 'memcache-ts-testing'
import { expect, it } from 'vitest'
import { MemcacheDecodeError, MemcachedClient } from '../../src/index.ts'
import { runForeign } from './foreign-program.ts'

const RUBY = '/usr/bin/ruby'
const LONG = 'Zürich ☂ '.repeat(10_000)

const PROGRAM = `
require "dalli"; require "json"
long = "Zürich ☂ " * 10000
c = Dalli::Client.new("127.0.0.1:#{ARGV[0]}", serializer: JSON, compress: COMPRESS, compression_min_size: 1000)
c.set("rb-text", "Zürich ☂"); c.set("rb-long", long); c.set("rb-object", {"a" => [1, "two", nil], "b" => true})
c.set("rb-float", 1.5); c.set("rb-raw", "\\x00\\xff".b, nil, raw: true)
Dalli::Client.new("127.0.0.1:#{ARGV[0]}").set("rb-marshal", {a: 1})
puts JSON.dump([c.get("js-text"), c.get("js-long") == long, c.get("js-object"), c.get("js-float"), c.get("js-bytes").unpack1("H*")])
`

describeWithCommand({ command: [RUBY, '-e', 'require "dalli"'], debianPackage: 'ruby-dalli' }, 'Dalli', () => {
  it.each([false, true])('and ours read each other, compressed: %s', async (compression) => {
    await using server = await launchMemcached()
    await using client = new MemcachedClient({ servers: server.address, timeoutMs: 5000, values: 'dalli', compression })
    const object = { a: [1, 'two', null], b: true }
    await client.set('js-text', 'Zürich ☂')
    await client.set('js-long', LONG)
    await client.set('js-object', object)
    await client.set('js-float', 1.5)
    await client.set('js-bytes', Buffer.from([0, 255]))
    const program = PROGRAM.replace('COMPRESS', String(compression))
    expect(await runForeign([RUBY, '-e'], program, server.port)).toEqual(['Zürich ☂', true, object, 1.5, '00ff'])
    expect(await client.get('rb-text')).toBe('Zürich ☂')
    expect(await client.get('rb-long')).toBe(LONG)
    expect((await client.gets('rb-long'))!.clientFlags).toBe(compression ? 3 : 1)
    expect(await client.get('rb-object')).toEqual(object)
    expect(await client.get('rb-float')).toBe(1.5)
    expect(await client.get('rb-raw')).toEqual(Buffer.from([0, 255]))
    await expect(client.get('rb-marshal')).rejects.toThrow(MemcacheDecodeError)
  })
})
