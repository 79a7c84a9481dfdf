import { describe, expect, it } from 'vitest'
import { parseServers } from '../src/index.ts'

describe('parseServers', () => {
  it('reads hosts, ports, weights, IPv6 and unix sockets', () => {
    expect(parseServers('a,b:11212:2, [::1]:11213 ,/run/mc.sock').servers).toEqual([
      { name: 'a:11211', host: 'a', port: 11211, weight: 1 },
      { name: 'b:11212', host: 'b', port: 11212, weight: 2 },
      { name: '[::1]:11213', host: '::1', port: 11213, weight: 1 },
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
    ['memcache://a?discovery=yes', 'discovery is true or false'],
    ['memcache://a?timeout=5', "has no option 'timeout'"],
    ['memcache://a?timeoutMs=0', 'timeoutMs must be a number over 0'],
  ])('says of %s: %s', (text, message) => {
    expect(() => parseServers(text)).toThrow(message)
  })

  it.each(['', ' , ', 'a:port', 'a:0', 'a:70000', '::1', 'a:1:0', 'user@a', 'http://a'])('refuses %j', (text) => {
    expect(() => parseServers(text)).toThrow(/server|port|weight|host/)
  })
})
