import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, MemcacheOptionError, parseServers } from '../src/index.ts'

describe('parseServers', () => {
  it('reads hosts, ports, weights, IPv6 and unix sockets', () => {
    expect(parseServers('a,b:11212:2, [::1]:11213 ,[fe80::1%eth0],/run/mc.sock').servers).toEqual([
      { name: 'a:11211', host: 'a', port: 11211, weight: 1 },
      { name: 'b:11212', host: 'b', port: 11212, weight: 2 },
      { name: '[::1]:11213', host: '::1', port: 11213, weight: 1 },
      { name: '[fe80::1%eth0]:11211', host: 'fe80::1%eth0', port: 11211, weight: 1 },
      { name: '/run/mc.sock', path: '/run/mc.sock', weight: 1 },
    ])
  })

  it('reads a URL, and the options of the client in it', () => {
    const { servers, options } = parseServers('memcache://a:1,b?timeoutMs=50&poolSize=1')
    expect(servers.map((server) => server.name)).toEqual(['a:1', 'b:11211'])
    expect(options).toEqual({ timeoutMs: 50, poolSize: 1 })
  })

  it('reads credentials, TLS and discovery of a URL', () => {
    const { servers, options } = parseServers('memcaches://me:p%40s%3As@a,b/?discovery=true&tlsCaFile=/etc/ca.pem')
    expect(servers.map((server) => server.name)).toEqual(['a:11211', 'b:11211'])
    expect(options).toEqual({ tls: true, username: 'me', password: 'p@s:s', discovery: true, tlsCaFile: '/etc/ca.pem' })
  })

  it.each([
    ['memcache://user@a', 'a user without a password'],
    ['memcache://user:100%@a', 'not percent-encoded'],
    ['memcache://a?discovery=yes', 'discovery must be true or false'],
    ['memcache://a?timeout=5', "has no option 'timeout'"],
    ['memcache://a?timeoutMs=0', 'timeoutMs must be a number greater than 0'],
  ])('says of %s: %s', (text, message) => {
    expect(() => parseServers(text)).toThrow(message)
  })

  it.each([
    '',
    ' , ',
    'a:port',
    'a:0',
    'a:70000',
    '::1',
    '[1]:2',
    '[:::]:1',
    '[fe80::1%]:1',
    'a:1:0',
    'user@a',
    'http://a',
    'a;b',
    'a|b',
    '"a"',
  ])('refuses %j', (text) => {
    expect(() => parseServers(text)).toThrow(/server|port|weight|host/)
  })
})

const SECRET = 's3cr3t'

/** Lists of servers with a password, most of them malformed, as slips of the hand make them. */
const LISTS = [
  'USER:SECRET@a',
  'memcache://USER:SECRET',
  'memcache://USER:SECRET@',
  'memcache://USER:SECRET@a,USER:SECRET@b',
  'memcache://USER:SECRET@a:port',
  'memcache://USER:SECRET@a:0',
  'memcache://USER:SECRET@a:1:0',
  'memcache://USER:SECRET@a,b@c',
  'memcache://USER:SE/SECRET@a',
  'memcache://USER:SECRET?x@a',
  'memcache://USER:x?SECRET@a',
  'memcache://USER:x?timeoutMs=SECRET@a',
  'memcache://USER:x?SECRET=1',
  'memcache://USER:x#SECRET@a?bad=1',
  'memcache://USER:SECRET%@a',
  'memcache://USER:SECRET%zz@a',
  'memcache://USER SECRET@a',
  'memcache://USER@SECRET',
  'memcache://SECRET@a',
  'memcache://USER:SECRET@[::1',
  'memcache://USER:SECRET@a/path',
  'memcache://USER:SECRET@a?bad=1',
  'memcache://USER:SECRET@a?timeoutMs=0',
  'memcache://USER:SECRET@a?tls=maybe',
  'memcaches://USER:SECRET@a?tls=false',
  'memcache:/USER:SECRET@a',
  'memcache:USER:SECRET@a',
  'memcache:/USER:SECRET',
  '//USER:SECRET@a',
  '://USER:SECRET@a',
  '/USER:SECRET@a',
  'redis://USER:SECRET@a',
  'REDIS://USER:SECRET@a',
  'https://USER:SECRET@a:11211/',
  'a,USER:SECRET@b',
  'a:1,USER:SECRET',
  'memcache://USER:SECRET@a,a',
  ' memcache://USER:SECRET@a b@c ',
  'memcache://USER:SECRET@/run/mc.sock:0',
  'memcache://USER:SECRET@a?tlsCaFile=/nowhere.pem',
  'MEMCACHE://USER:SECRET@a',
  'memcache://USER:SECRET@a',
  'memcaches://USER:SECRET@a',
  // The beginnings of a URL, its parts and its ends, in every combination.
  ...['', '/', '//', '///', 'memcache:///', ' //']
    .flatMap((begin) =>
      ['', 'USER;SECRET@', ':SECRET@'].flatMap((credentials) =>
        ['a', '[::1]', 'a:SECRET', 'run/mc.sock'].flatMap((host) =>
          ['', '?password=SECRET', '?SECRET', '#SECRET', '&password=SECRET', ';SECRET', '?timeoutMs=5&SECRET'].map(
            (end) => `${begin}${credentials}${host}${end}`,
          ),
        ),
      ),
    )
    .filter((list) => list.includes('SECRET')),
]

/** All that can be seen of an error or an object without a debugger. */
function seen(value: unknown): string {
  const { message, stack, cause } = value as Partial<Error>
  const shown = inspect(value, { depth: Infinity, showHidden: true })
  return [message, stack, shown, JSON.stringify(value), cause === undefined ? '' : seen(cause)].join('\n')
}

describe('a password in a list of servers', () => {
  it.each(LISTS)('does not appear in errors: %s', async (list) => {
    const text = list.replaceAll('SECRET', SECRET).replaceAll('USER', 'ann')
    for (const servers of [text, [text], [text, 'b:1'], ['b:1', text]]) {
      let client: MemcachedClient
      try {
        client = new MemcachedClient({ servers, connectTimeoutMs: 1 })
      } catch (error) {
        expect(error).toBeInstanceOf(MemcacheOptionError)
        expect(seen(error)).not.toContain(SECRET)
        continue
      }
      const told: unknown[] = [client, client.servers]
      for (const event of ['disconnect', 'reconnecting', 'eject'] as const)
        client.on(event, (...args: unknown[]) => told.push(args))
      const failed = await client.get('k').catch((error: unknown) => error)
      await client.close()
      expect([failed, ...told].map(seen).join('\n')).not.toContain(SECRET)
    }
  })

  it.each([
    '//a',
    '//a:11211',
    '///run/mc.sock',
    '/run/mc.sock?timeoutMs=5',
    '/run/mc.sock#a',
    '/a:b',
    '/',
    '/:1',
    '/?',
  ])('is not looked for in what is no path of a socket: %s', (text) => {
    expect(() => parseServers(text)).toThrow(MemcacheOptionError)
  })

  it.each([
    ['memcache://u:p@a,u:p@b', 'must be given once, before the first host'],
    ['memcaches://a?tls=false', 'memcaches:// means TLS'],
    ['memcache://a?tls=true&tls=false', 'tls twice'],
    ['memcache://u:p@s@a', 'write %40 for @'],
    ['redis://a', 'redis:// is not a URL of memcached servers'],
  ])('or TLS that is told in two ways, is refused: %s', (text, message) => {
    expect(() => parseServers(text)).toThrow(message)
  })

  it('counts for all servers, so that two that differ are refused', () => {
    for (const servers of [
      ['memcache://u:p@a', 'memcache://u:q@b'],
      ['memcaches://a', 'memcache://b?tls=false'],
    ]) {
      expect(() => new MemcachedClient({ servers })).toThrow('must be the same for all')
    }
    expect(() => new MemcachedClient({ servers: 'memcaches://a', tls: false })).toThrow('requires TLS')
    expect(() => new MemcachedClient({ servers: 'memcache://a?tlsCaFile=/x', tls: false })).toThrow('requires TLS')
    expect(() => new MemcachedClient({ servers: 'memcache://a?tlsCaFile=/x&tls=false' })).toThrow('requires TLS')
  })
})
