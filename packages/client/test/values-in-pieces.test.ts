import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import fc from 'fast-check'
import { ClientFlags } from 'memcache-ts-protocol'
import { describe, expect, it } from 'vitest'
import { MemcachedClient } from '../src/index.ts'
import type { ServerStream } from '../src/index.ts'

/**
 * Values of all kinds that arrive in pieces: those that are copied when they are read, and those whose memory is the
 * caller's.
 */
const STORED = [
  { flags: ClientFlags.string, bytes: (id: number) => Buffer.from(`${id}|`.repeat(9000)) },
  { flags: ClientFlags.string, bytes: (id: number) => Buffer.from(`${id}ä€😀`.repeat(3000)) },
  { flags: ClientFlags.json, bytes: (id: number) => Buffer.from(JSON.stringify({ id, text: `é${'x'.repeat(7000)}` })) },
  { flags: ClientFlags.bytes, bytes: (id: number) => Buffer.alloc(9000, id + 1) },
  { flags: ClientFlags.string, bytes: (id: number) => Buffer.from(`${id}!`.repeat(200_000)) },
  { flags: ClientFlags.string, bytes: (id: number) => Buffer.from(`${id}`) },
]

/** A server whose responses to gets are held back, so that the test delivers their pieces in its own order. */
class HoldingServer implements ServerStream {
  readonly name: string
  readonly #id: number
  readonly #requested: () => void
  #held = Buffer.alloc(0)
  #isHolding = true
  #end: Duplex | undefined

  constructor(id: number, requested: () => void) {
    this.name = `server-${id}`
    this.#id = id
    this.#requested = requested
  }

  connect(): Duplex {
    const [ours, theirs] = duplexPair()
    this.#end = theirs
    theirs.on('error', () => {})
    theirs.on('data', (request: Buffer) => {
      for (const line of request.toString('latin1').split('\r\n')) this.#answer(line.split(' '))
    })
    return ours
  }

  #answer([command, ...keys]: string[]): void {
    if (command === 'version') this.#end!.write('VERSION 1.6.45\r\n')
    if (command === 'mn') this.#end!.write('MN\r\n')
    if (command !== 'get') return
    const parts = keys.flatMap((key) => {
      const { flags, bytes } = STORED[Number(key)]!
      const value = bytes(this.#id)
      return [Buffer.from(`VALUE ${key} ${flags} ${value.length}\r\n`), value, Buffer.from('\r\n')]
    })
    this.#held = Buffer.concat([this.#held, ...parts, Buffer.from('END\r\n')])
    if (this.#isHolding) this.#requested()
    else this.deliver(Infinity)
  }

  /** Sends so many bytes of what is held back. */
  deliver(bytes: number): void {
    this.#end!.write(this.#held.subarray(0, bytes))
    this.#held = this.#held.subarray(bytes)
  }

  /** Cuts the connection, and forgets what was to be sent on it. */
  cut(): void {
    this.#held = Buffer.alloc(0)
    this.#end!.end()
  }

  /** Sends what is held back, and holds nothing back from now on. */
  release(): void {
    this.#isHolding = false
    this.deliver(Infinity)
  }
}

function decoded(key: number, id: number): unknown {
  const { flags, bytes } = STORED[key]!
  if (flags === ClientFlags.bytes) return bytes(id)
  return flags === ClientFlags.json ? JSON.parse(bytes(id).toString()) : bytes(id).toString()
}

const SERVERS = 3
const scenario = fc.record({
  requested: fc.array(fc.tuple(fc.nat(SERVERS - 1), fc.nat(STORED.length - 1)), { minLength: 1, maxLength: 10 }),
  pieces: fc.array(fc.tuple(fc.nat(SERVERS - 1), fc.integer({ min: 1, max: 70_000 })), { maxLength: 60 }),
  aborted: fc.option(fc.nat(9), { nil: undefined }),
  cut: fc.option(fc.nat(SERVERS - 1), { nil: undefined }),
})

describe('values that come in pieces', () => {
  it('are each caller’s own, in any pieces and order of arrival', async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ requested, pieces, aborted, cut }) => {
        const silent = new Set(requested.map(([server]) => server))
        const servers: HoldingServer[] = []
        const allRequested = new Promise<void>((resolve) => {
          for (let id = 0; id < SERVERS; id++) {
            const heard = (): void => {
              silent.delete(id)
              if (silent.size === 0) resolve()
            }
            servers.push(new HoldingServer(id, heard))
          }
        })
        await using client = new MemcachedClient({ servers, poolSize: 1, timeoutMs: 60_000, failover: 'none' })
        const controller = new AbortController()
        const calls = requested.map(([server, key], index) => {
          const signal = index === aborted ? controller.signal : undefined
          return client.get(`${key}`, { server: `server-${server}`, signal })
        })
        const settled = Promise.allSettled(calls)
        await allRequested
        const connected = new Set(requested.map(([server]) => server))
        for (const [index, [server, bytes]] of pieces.entries()) {
          if (connected.has(server)) servers[server]!.deliver(bytes)
          if (index === pieces.length >> 1) {
            controller.abort()
            if (cut !== undefined && connected.has(cut)) servers[cut]!.cut()
          }
          await new Promise((done) => setImmediate(done))
        }
        for (const server of connected) servers[server]!.release()
        for (const [index, outcome] of (await settled).entries()) {
          const [server, key] = requested[index]!
          if (outcome.status === 'fulfilled') expect(outcome.value).toEqual(decoded(key, server))
          else expect(server === cut || index === aborted).toBe(true)
        }
      }),
      { numRuns: 60 },
    )
  })
})
