import fc from 'fast-check'
import { MemcachedServer } from 'memcache-ts-server'
import { describeWithMemcached, launchMemcached, listenAsOldServer } from 'memcache-ts-testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemcachedClient } from '../src/index.ts'
import type { CallOptions, ClientKey, MemcachedClientOptions, MemcacheError } from '../src/index.ts'

const CHUNK_BYTES = 100
const KEYS = ['a', 'b']

/** Text, or a counter's bytes. */
function textOf(value: unknown): string | undefined {
  return Buffer.isBuffer(value) ? value.toString() : (value as string | undefined)
}

/** The value of a key, and whether bytes can be joined to it. */
type Item = { readonly text: string; readonly isPlain: boolean } | undefined

/** A call: what it is to resolve to ('ERR_…' is a rejection), and what the key has afterwards. */
interface Call {
  readonly name: string
  readonly make: (client: MemcachedClient, key: ClientKey, options: CallOptions) => Promise<unknown>
  readonly model: (item: Item) => { readonly result: unknown; readonly item: Item }
  readonly needsMeta?: boolean
}

function itemOf(text: string): Item {
  return { text, isPlain: text.length <= CHUNK_BYTES }
}

/** Small values, numbers among them, and values in chunks. */
const texts = fc.oneof(
  fc.constantFrom('7', '41', 'abc'),
  fc.integer({ min: CHUNK_BYTES + 1, max: 5 * CHUNK_BYTES }).map((length) => `${length}:`.padEnd(length, 'x')),
)

function store(mode: 'set' | 'add' | 'replace' | 'noreply', text: string): Call {
  return {
    name: `${mode} ${text.slice(0, 5)}`,
    make: (client, key, options) =>
      mode === 'noreply'
        ? client.set(key, text, 60, { ...options, noreply: true })
        : client[mode](key, text, 60, options),
    model: (item) => {
      const isStored = mode === 'set' || mode === 'noreply' || (mode === 'add') === (item === undefined)
      const result = mode === 'set' || mode === 'noreply' ? undefined : isStored
      return { result, item: isStored ? itemOf(text) : item }
    },
  }
}

function join(mode: 'append' | 'prepend', added: string, byMeta: boolean): Call {
  return {
    name: byMeta ? `meta.set ${mode}` : mode,
    needsMeta: byMeta,
    make: async (client, key, options) =>
      byMeta
        ? (await client.meta.set(key, added, { ...options, mode })).status === 'stored'
        : client[mode](key, added, options),
    model: (item) => {
      if (item === undefined) return { result: false, item }
      if (!item.isPlain) return { result: 'ERR_MEMCACHE_OPTION', item }
      const text = mode === 'append' ? item.text + added : added + item.text
      return { result: true, item: { text, isPlain: true } }
    },
  }
}

function read(
  name: string,
  make: (client: MemcachedClient, key: ClientKey, options: CallOptions) => Promise<unknown>,
): Call {
  return {
    name,
    needsMeta: name.startsWith('meta'),
    make: async (client, key, options) => {
      return textOf(await make(client, key, options))
    },
    model: (item) => ({ result: item?.text, item }),
  }
}

function change(name: string, make: Call['make'], model: Call['model']): Call {
  return { name, needsMeta: name.startsWith('meta'), make, model }
}

const counted = (item: Item): { result: unknown; item: Item } => {
  if (item === undefined) return { result: undefined, item }
  if (!/^\d+$/.test(item.text)) return { result: 'ERR_MEMCACHE_SERVER', item }
  const text = String(BigInt(item.text) + 1n)
  return { result: Number(text), item: { ...item, text } }
}

const calls: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom('set', 'add', 'replace', 'noreply'), texts)
      .map(([mode, text]) => store(mode as 'set', text)),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('append', 'prepend'), fc.constantFrom('1', 'y'), fc.boolean())
      .map(([mode, added, byMeta]) => join(mode as 'append', added, byMeta)),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      read('get', (client, key, options) => client.get(key, options)),
      read('gets', async (client, key, options) => (await client.gets(key, options))?.value),
      read('gat', (client, key, options) => client.gat(key, 60, options)),
      read('gats', async (client, key, options) => (await client.gats(key, 60, options))?.value),
      read('getMulti', async (client, key, options) => (await client.getMulti(['other', key], options)).get(key)),
      read(
        'getsMulti',
        async (client, key, options) => (await client.getsMulti([key, 'other'], options)).get(key)?.value,
      ),
      read('meta.get', async (client, key, options) => (await client.meta.get(key, options))?.value),
      read(
        'meta.get with a lifetime',
        async (client, key, options) => (await client.meta.get(key, { ...options, touchTtl: 60 }))?.value,
      ),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      change(
        'delete',
        (client, key, options) => client.delete(key, options),
        (item) => ({ result: item !== undefined, item: undefined }),
      ),
      change(
        'deleteMulti',
        async (client, key, options) => (await client.deleteMulti([key], options)).get(key),
        (item) => ({ result: item !== undefined, item: undefined }),
      ),
      change(
        'meta.delete',
        async (client, key, options) => client.meta.delete(key, options),
        (item) => ({ result: item === undefined ? 'notFound' : 'deleted', item: undefined }),
      ),
      change(
        'touch',
        (client, key, options) => client.touch(key, 60, options),
        (item) => ({ result: item !== undefined, item }),
      ),
      change(
        'meta.get without the value',
        async (client, key, options) =>
          (await client.meta.get(key, { ...options, value: false, touchTtl: 60 })) !== undefined,
        (item) => ({ result: item !== undefined, item }),
      ),
      change(
        'cas of another',
        (client, key, options) => client.cas(key, 'z'.repeat(300), 1n, 60, options),
        (item) => ({ result: item === undefined ? 'notFound' : 'exists', item }),
      ),
      change('incr', (client, key, options) => client.incr(key, 1, options), counted),
      change(
        'incr from 5',
        (client, key, options) => client.incr(key, 1, { ...options, initial: 5 }),
        (item) => (item === undefined ? { result: 5, item: itemOf('5') } : counted(item)),
      ),
    ),
  },
)

/** The ways to write a key. All are the same item. */
const ways: fc.Arbitrary<(key: string) => ClientKey> = fc.constantFrom(
  (key) => key,
  (key) => [key],
  (key) => Buffer.from(key),
)

const programs = fc.array(fc.tuple(fc.constantFrom(...KEYS), calls, ways), { minLength: 2, maxLength: 25 })

/** Calls all at once, in order; each finds what those before it on its key have left. */
async function runAtOnce(
  client: MemcachedClient,
  program: readonly (readonly [string, Call, (key: string) => ClientKey])[],
  speaksMeta: boolean,
) {
  const items = new Map<string, Item>()
  const made = program
    .filter(([, call]) => speaksMeta || call.needsMeta !== true)
    .map(([key, call, written]) => {
      const { result, item } = call.model(items.get(key))
      items.set(key, item)
      // Of one key, all calls are of its group.
      const options = key === 'b' ? { groupKey: 'group' } : {}
      const came = call
        .make(client, written(key), options)
        .catch((error: unknown) => (error as MemcacheError).code ?? error)
      return { step: `${call.name} of ${key}`, came, result }
    })
  const came = await Promise.all(made.map(async ({ step, came }) => ({ step, result: await came })))
  expect(came).toEqual(made.map(({ step, result }) => ({ step, result })))
  for (const key of KEYS) {
    const value = await client.get(key, key === 'b' ? { groupKey: 'group' } : {})
    expect(textOf(value)).toBe(items.get(key)?.text)
  }
}

type Started = { readonly options: MemcachedClientOptions; readonly stop: () => Promise<void> }

function describeOrder(name: string, speaksMeta: boolean, start: () => Promise<Started>): void {
  describe(`calls that are not awaited, ${name}`, () => {
    let started: Started
    beforeAll(async () => {
      started = await start()
    })
    afterAll(() => started.stop())

    it('take effect in their order, for all commands and forms of keys', async () => {
      await fc.assert(
        fc.asyncProperty(programs, async (program) => {
          const options = { chunkBytes: CHUNK_BYTES, timeoutMs: 20_000, connectTimeoutMs: 20_000, ...started.options }
          await using client = new MemcachedClient(options)
          await client.flushAll()
          await runAtOnce(client, program, speaksMeta)
        }),
        { numRuns: 60 },
      )
    })
  })
}

async function ours(): Promise<Started> {
  const server = new MemcachedServer({ port: 0 })
  const { port } = await server.listen()
  return { options: { servers: `127.0.0.1:${port}` }, stop: () => server.close() }
}

async function old(): Promise<Started> {
  const server = new MemcachedServer()
  const { address, close } = await listenAsOldServer(server)
  const stop = async (): Promise<void> => {
    close()
    await server.close()
  }
  return { options: { servers: address }, stop }
}

async function debian(protocol: 'meta' | 'text' | 'binary'): Promise<Started> {
  const server = await launchMemcached()
  const options = { servers: `${server.host}:${server.port}`, protocol }
  return { options, stop: async () => server[Symbol.asyncDispose]() }
}

describeOrder('by meta commands', true, ours)
describeOrder('on an old server', false, old)
describeWithMemcached('on memcached itself', () => {
  describeOrder('meta', true, () => debian('meta'))
  describeOrder('text', false, () => debian('text'))
  describeOrder('binary', false, () => debian('binary'))
})

it('without chunks, joins of bytes are in order too', async () => {
  const { options, stop } = await ours()
  await using client = new MemcachedClient({ timeoutMs: 20_000, ...options })
  await client.set('log', '', 60)
  const letters = Array.from({ length: 10 }, (_, index) => String.fromCharCode(97 + index))
  await Promise.all(letters.map((letter) => client.append('log', letter)))
  expect(await client.get('log')).toBe('abcdefghij')
  const [, read] = await Promise.all([client.append('log', '!'), client.get('log'), client.delete('log')])
  expect(read).toBe('abcdefghij!')
  expect(await client.get('log')).toBeUndefined()
  await client.close()
  await stop()
})
