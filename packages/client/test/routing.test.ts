import { createHash } from 'node:crypto'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemcachedClient, parseServers } from '../src/index.ts'
import type { HashStrategy } from '../src/index.ts'
import { createRouter as createRouterWith, HASH_STRATEGIES } from '../src/routing/create-router.ts'
import type { Router } from '../src/routing/router.ts'
import type { ServerAddress } from '../src/server-address.ts'
import { md5 } from '../src/routing/md5.ts'

/** The results of libmemcached, recorded by vectors/record.py. */
interface Recorded {
  readonly servers: readonly string[]
  readonly cases: Readonly<Record<string, number>>
}

function readVectors(name: string): Recorded[] {
  return JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), 'utf8')) as Recorded[]
}

function createRouter(hash: HashStrategy, servers: readonly ServerAddress[]): Router {
  return createRouterWith({ hash, prefix: '', hashWithPrefix: false, hashSocketsAs: 'path:0' }, servers)
}

/** The servers of 3,000 keys in libmemcached, with prefixes and unix sockets, recorded by vectors/record.py. */
interface Placement {
  readonly hash: HashStrategy
  readonly servers: readonly string[]
  readonly prefix: string
  readonly hashWithPrefix: boolean
  /** The index of each key's server. */
  readonly digits: string
}

const placements = JSON.parse(readFileSync(new URL('vectors/placements.json', import.meta.url), 'utf8')) as Placement[]

const hasPylibmc = spawnSync('/usr/bin/python3', ['-c', 'import _pylibmc']).status === 0

const many = Array.from({ length: 5000 }, (_, index) => `key:${index}`)

describe.each<[HashStrategy, string]>([
  ['ketama', 'ketama-weighted'],
  ['ketama-spy', 'ketama-spy'],
  ['modula', 'modula'],
])('%s', (strategy, vectors) => {
  it.each(readVectors(vectors).map((recorded) => ({ list: recorded.servers.join(','), recorded })))(
    'takes the servers that libmemcached takes, of $list',
    ({ list, recorded }) => {
      const router = createRouter(strategy, parseServers(list).servers)
      const keys = Object.keys(recorded.cases)
      expect(keys).toHaveLength(99)
      expect(Object.fromEntries(keys.map((key) => [key, router.serverOf(key, 0)]))).toEqual(recorded.cases)
    },
  )
})

describe.each(HASH_STRATEGIES.map((strategy) => [strategy]))('%s', (strategy) => {
  const four = createRouter(strategy, parseServers('a,b,c,d').servers)

  it('spreads keys over all servers', () => {
    const shares = [0, 0, 0, 0]
    for (const key of many) shares[four.serverOf(key, 0)]!++
    for (const share of shares) expect(share).toBeGreaterThan(many.length / 10)
  })

  it('moves on to the other servers in order, each once', () => {
    for (const key of many.slice(0, 200)) {
      const turns = [0, 1, 2, 3].map((attempt) => four.serverOf(key, attempt))
      expect(turns.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3])
    }
  })

  it('takes keys of bytes as it takes their text', () => {
    for (const key of ['plain', 'käse☂', 'x'.repeat(250)]) {
      expect(four.serverOf(Buffer.from(key), 0)).toBe(four.serverOf(key, 0))
    }
  })
})

describe.each(HASH_STRATEGIES.filter((strategy) => strategy !== 'modula').map((strategy) => [strategy]))(
  '%s',
  (strategy) => {
    const four = createRouter(strategy, parseServers('a,b,c,d').servers)

    it('moves few keys when a server is added at the end', () => {
      const five = createRouter(strategy, parseServers('a,b,c,d,e').servers)
      const moved = many.filter((key) => four.serverOf(key, 0) !== five.serverOf(key, 0))
      expect(moved.length / many.length).toBeGreaterThan(0.1)
      expect(moved.length / many.length).toBeLessThan(0.32)
    })

    it('gives a server its share by weight', () => {
      const weighted = createRouter(strategy, parseServers('a:1:1,b:1:3').servers)
      const heavy = many.filter((key) => weighted.serverOf(key, 0) === 1).length / many.length
      expect(heavy).toBeGreaterThan(0.65)
      expect(heavy).toBeLessThan(0.85)
    })
  },
)

it('computes MD5', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: 'grapheme', maxLength: 200 })), (text) => {
      const words = md5(text)
      const digest = Buffer.alloc(16)
      for (const [index, word] of words.entries()) digest.writeInt32LE(word, index * 4)
      expect(digest.toString('hex')).toBe(createHash('md5').update(text).digest('hex'))
    }),
  )
})

describe('libmemcached’s placement of 3,000 keys', () => {
  it.each(placements.map((placement) => [placement.hash, placement.servers.join(','), placement] as const))(
    'is that of %s on %s',
    async (hash, list, { prefix, hashWithPrefix, digits, servers }) => {
      await using client = new MemcachedClient({ servers: list, prefix, hash, hashWithPrefix })
      const names = servers.map((server) => client.servers.findIndex((name) => server.startsWith(name)))
      expect(names).toEqual(servers.map((_, index) => index))
      const chosen = Array.from(digits, (_, index) => client.servers.indexOf(client.serverOf(`user:${index * 7919}`)!))
      expect(chosen.join('')).toBe(digits)
      const bytes = Array.from({ length: 200 }, (_, index) => Buffer.from(`user:${index * 7919}`))
      expect(bytes.map((key) => client.servers.indexOf(client.serverOf(key)!)).join('')).toBe(digits.slice(0, 200))
    },
  )

  it.skipIf(!hasPylibmc)("is the result of this machine's libmemcached", () => {
    const script = fileURLToPath(new URL('vectors/record.py', import.meta.url))
    const live = execFileSync('/usr/bin/python3', [script, '--print-placements'], { maxBuffer: 2 ** 24 })
    expect(JSON.parse(live.toString())).toEqual(placements)
  })

  it('was another one before: an option keeps it', async () => {
    const servers = ['/run/a.sock', '/run/b.sock', '10.0.0.1:11211']
    const named = createRouterWith(
      { hash: 'ketama', prefix: '', hashWithPrefix: true, hashSocketsAs: 'path' },
      parseServers(servers.join(',')).servers,
    )
    const hosts = parseServers('x,y,10.0.0.1').servers.map((server, index) =>
      index === 2
        ? server
        : { name: servers[index]!, stream: { name: 'x', connect: () => new PassThrough() }, weight: 1 },
    )
    const byName = createRouter('ketama', hosts)
    for (const key of many.slice(0, 500)) expect(named.serverOf(key, 0)).toBe(byName.serverOf(key, 0))
    await using client = new MemcachedClient({ servers, prefix: 'app', hashWithPrefix: true, hashSocketsAs: 'path' })
    for (const key of many.slice(0, 500)) {
      expect(client.serverOf(key)).toBe(servers[named.serverOf(`app:${key}`, 0)])
    }
    expect(() => new MemcachedClient({ hashWithPrefix: 'true' as never })).toThrow(
      'hashWithPrefix must be true or false',
    )
    expect(() => new MemcachedClient({ hashSocketsAs: 'name' as never })).toThrow(
      "hashSocketsAs must be 'path:0' or 'path'",
    )
  })
})
