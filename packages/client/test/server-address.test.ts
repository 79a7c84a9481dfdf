import { describe, expect, it } from 'vitest'
import { parseServers } from '../src/index.ts'

describe('parseServers', () => {
  it('reads hosts, ports, weights, IPv6 and unix sockets', () => {
    expect(parseServers('a,b:11212:2, [::1]:11213 ,/run/mc.sock')).toEqual([
      { name: 'a:11211', host: 'a', port: 11211, weight: 1 },
      { name: 'b:11212', host: 'b', port: 11212, weight: 2 },
      { name: '[::1]:11213', host: '::1', port: 11213, weight: 1 },
      { name: '/run/mc.sock', path: '/run/mc.sock', weight: 1 },
    ])
    expect(parseServers('memcache://a:1,b').map((server) => server.name)).toEqual(['a:1', 'b:11211'])
  })

  it.each(['', ' , ', 'a:port', 'a:0', 'a:70000', '::1', 'a:1:0', 'user@a', 'http://a'])('refuses %j', (text) => {
    expect(() => parseServers(text)).toThrow(/server|port|weight|host/)
  })
})
