import 'reflect-metadata'
import { Exclude, Expose, instanceToPlain, Transform, Type } from 'class-transformer'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Cached, cached, CachePut, cacheOf, defineCache, MemcacheOptionError } from '../src/index.ts'
import type { LoadingOptions, Memcache } from '../src/index.ts'
import { openCache } from './open-cache.ts'
import type { TestCaches } from './open-cache.ts'

class Address {
  street: string
  constructor(street: string) {
    this.street = street.trim()
  }
  shout(): string {
    return this.street.toUpperCase()
  }
}
class User {
  id: number
  @Type(() => Address) address: Address
  @Type(() => Address) others: Address[]
  born = new Date(0)
  roles = new Set(['admin'])
  photo = Buffer.from([1, 2, 3])
  balance = 5n
  constructor(id: number) {
    // A constructor that needs its argument is never called without.
    this.id = Number(id.toFixed())
    this.address = new Address('Main Street')
    this.others = [new Address('High Street')]
  }
  get isAdmin(): boolean {
    return this.roles.has('admin')
  }
}

let test: TestCaches
let logged: string[]
const logger = { info: () => {}, warn: (message: string) => logged.push(message) }
const user = async (id: number): Promise<User> => new User(id)

beforeEach(async () => {
  logged = []
  test = await openCache({ asDefault: true, logger })
})
afterEach(() => test.close())

/** Each way to a value of `load`, as a function of the cache. */
const WAYS: Record<
  string,
  (cache: Memcache, load: (id: number) => Promise<unknown>, options: LoadingOptions) => (id: number) => Promise<unknown>
> = {
  getOrSet: (cache, load, options) => (id) =>
    cache.getOrSet(['user', id], () => load(id), { ttlSeconds: 60, ...options }),
  getOrSetMany: (cache, load, options) => async (id) => {
    const many = async (ids: readonly number[]) => Promise.all(ids.map(load))
    return (await cache.getOrSetMany([id], many, { ttlSeconds: 60, ...options, key: (one) => ['user', one] })).get(id)
  },
  cached: (cache, load, options) => cached(load, { name: 'user', cache, ttlSeconds: 60, ...options }),
  defineCache: (cache, load, options) => {
    const users = defineCache({ name: 'user', cache, ttlSeconds: 60, ...options, load })
    return (id) => users.getOrSet(id)
  },
  '@Cached': (cache, load, options) => {
    class Users {
      @Cached({ ttlSeconds: 60, cache, ...options })
      async find(id: number): Promise<unknown> {
        return load(id)
      }
    }
    return (id) => new Users().find(id)
  },
}

/** Returns the values that callers get on a miss, on a joined load, on a hit, and twice from memory. */
async function answers(
  way: string,
  load: (id: number) => Promise<unknown>,
  options: LoadingOptions,
): Promise<unknown[]> {
  const cold = WAYS[way]!(test.another({ logger }), load, options)
  const memory = WAYS[way]!(test.another({ l1: true, logger }), load, options)
  const misses = await Promise.all([cold(1), cold(1)])
  return [...misses, await cold(1), await memory(1), await memory(1), await memory(1)]
}

describe.each(Object.keys(WAYS))('%s', (way) => {
  it('without a class returns plain data to each caller, on a miss and on a hit, and logs that once', async () => {
    const all = await answers(way, user, {})
    const { id, born, roles, photo, balance } = new User(1)
    const plain = {
      id,
      born,
      roles,
      photo,
      balance,
      address: { street: 'Main Street' },
      others: [{ street: 'High Street' }],
    }
    for (const one of all) expect(one).toStrictEqual(plain)
    expect(new Set(all).size).toBe(all.length)
    const ofUser = logged.filter((message) => message.includes('an instance of User '))
    expect(ofUser).toHaveLength(1)
    expect(ofUser[0]).toMatch(/an instance of User is stored as plain data.*set the option type: User/)
  })

  it('with type returns a separate instance to each caller, and logs nothing', async () => {
    const all = (await answers(way, user, { type: User })) as User[]
    for (const one of all) {
      expect(one).toStrictEqual(new User(1))
      expect(one.isAdmin).toBe(true)
      expect(one.address.shout()).toBe('MAIN STREET')
      expect(one.others[0]).toBeInstanceOf(Address)
    }
    expect(new Set(all).size).toBe(all.length)
    expect(new Set(all.map(({ address }) => address)).size).toBe(all.length)
    expect(logged).toEqual([])
  })

  it('with revive gives each caller the value that revive returns', async () => {
    const revive = ({ id }: { id: number }) => new User(id)
    for (const options of [{ revive }, { type: revive }]) {
      const all = await answers(way, user, options)
      for (const one of all) expect(one).toStrictEqual(new User(1))
    }
    expect(logged).toEqual([])
  })

  it('creates instances in arrays, Maps and Sets, and keeps null', async () => {
    const lists = async () => [new User(1), null, new Map([['a', new User(2)]]), new Set([new User(3)])]
    const all = (await answers(way, lists, { type: User })) as Awaited<ReturnType<typeof lists>>[]
    for (const one of all) expect(one).toStrictEqual(await lists())
    await test.cache.client.flushAll()
    for (const nothing of await answers(way, async () => null, { type: User })) expect(nothing).toBeNull()
  })
})

describe('type', () => {
  it('logs once which property needs a type', async () => {
    class Post {
      author = new User(1)
    }
    for (const key of ['a', 'b']) {
      const post = await test.cache.getOrSet(key, () => new Post(), { type: Post })
      expect(post).toBeInstanceOf(Post)
      expect(post.author).not.toBeInstanceOf(User)
    }
    expect(logged.filter((message) => message.includes('User'))).toHaveLength(1)
    expect(logged[0]).toMatch(
      /holds an instance of User, and every caller gets a plain object .* in its place: .*@Type\(\(\) => User\)/,
    )
  })

  it('keeps every property, including those that decorators hide in serialized output', async () => {
    @Exclude()
    class Account {
      @Expose() id = 1
      password = 'hunter2'
      @Expose() @Transform(({ value }) => `${value}!`) name = 'ann'
    }
    for (const _ of ['miss', 'hit']) {
      const account = await test.cache.getOrSet('account', () => new Account(), { type: Account })
      expect(account).toStrictEqual(new Account())
      expect(instanceToPlain(account)).toEqual({ id: 1, name: 'ann!' })
    }
  })

  it('instances are passed to a lifetime function', async () => {
    const ttls = [{ type: User }, { revive: ({ id }: { id: number }) => new User(id) }, {}]
    for (const [id, options] of ttls.entries()) {
      const given: unknown[] = []
      const ttlSeconds = (value: User) => (given.push(value.isAdmin), 60)
      await test.cache.getOrSet(['user', id], () => new User(id), { ...options, ttlSeconds })
      expect(given).toEqual([true])
    }
  })

  it('does not change values that have their own stored form', async () => {
    const values = () => [new User(1), new Date(0), /a/g, new URL('http://a/'), new Uint8Array([1]), 5n, 'text', null]
    for (const _ of ['miss', 'hit']) {
      expect(await test.cache.getOrSet('mixed', values, { type: User })).toStrictEqual(values())
    }
  })

  it('creates instances for reads without a load, too', async () => {
    const users = defineCache({ name: 'users', type: User, load: user })
    class Service {
      @Cached({ ttlSeconds: 60, type: User })
      async find(id: number): Promise<User> {
        return new User(id)
      }
      @CachePut({ key: (saved: User) => ['find', saved.id] })
      async save(saved: User): Promise<User> {
        return saved
      }
    }
    const service = new Service()
    await users.set(1, new User(1))
    await service.save(new User(1))
    expect(await users.get(1)).toStrictEqual(new User(1))
    expect(await users.getMany([1, 2])).toStrictEqual(new Map([[1, new User(1)]]))
    expect(await users.get(3)).toBeUndefined()
    expect(await cacheOf(service, 'find').get([1])).toStrictEqual(new User(1))
    expect(await users.warm([1, 2])).toEqual({ loaded: 1, skipped: 1, failed: 0 })
    expect(await users.get(2)).toStrictEqual(new User(2))
    expect(logged).toEqual([])
  })

  it.each<[LoadingOptions, string]>([
    [{ type: 'User' as never }, 'type must be a class, or a function of the stored value, got string'],
    [{ revive: User as never }, 'pass a class as type'],
    [{ revive: {} as never }, 'revive must be a function'],
    [{ type: User, revive: () => 1 }, 'type and revive exclude each other'],
    [{ types: User } as never, '`types` is `type` here'],
  ])('%o is refused where it is written', async (options, message) => {
    expect(() => Cached(options)).toThrow(message)
    expect(() => cached(user, { name: 'a', ...options })).toThrow(message)
    expect(() => defineCache({ name: 'a', load: user, ...options })).toThrow(message)
    await expect(test.cache.getOrSet('a', () => 1, options)).rejects.toThrow(message)
  })
})

describe('instances that type creates without the rules that hide their properties', () => {
  class Owner {
    id = 1
    @Exclude() password = 'hunter2'
  }
  class SubOwner extends Owner {
    name = 'ann'
  }
  class AdminOwner extends Owner {
    @Exclude() key = 'k'
  }
  class Transformed {
    @Transform(() => 'hidden') password = 'hunter2'
  }
  @Exclude()
  class Hidden {
    password = 'hunter2'
    @Expose() id = 1
  }
  class Post {
    readonly [property: string]: unknown
    constructor(properties: object) {
      Object.assign(this, properties)
    }
  }
  class TypedPost {
    @Type(() => Owner) owner = new Owner()
    other: Owner | undefined
  }
  const untyped = new TypedPost()
  untyped.other = new Owner()

  it.each<[string, Function, () => object, boolean]>([
    ['in a property without @Type', Post, () => new Post({ owner: new Owner() }), false],
    ['in a list in one', Post, () => new Post({ owners: [{ one: new Owner() }] }), false],
    ['by @Transform', Post, () => new Post({ of: new Transformed() }), false],
    ['by their class', Post, () => new Post({ of: new Map([['a', new Hidden()]]) }), false],
    ['in one property of two', TypedPost, () => untyped, false],
    ['of a subclass with rules of its own', Owner, () => [new Owner(), new AdminOwner()], false],
    ['of a subclass without', Owner, () => [new Owner(), new SubOwner()], true],
    ['of the type itself', Owner, () => [new Owner(), new Owner()], true],
    ['with @Type', TypedPost, () => new TypedPost(), true],
  ])('serialize as those that were loaded, on every answer: %s', async (_, type, load, isStored) => {
    const options = { type: type as never }
    const expected = instanceToPlain(load())
    for (const way of Object.keys(WAYS)) {
      const values = await answers(way, async () => load(), options)
      for (const value of values) expect([way, instanceToPlain(value)]).toEqual([way, expected])
      await test.cache.client.flushAll()
    }
    for (let call = 0; call < 2; call++) await test.cache.getOrSet('again', load, options)
    expect(test.cache.stats().loads).toBe(isStored ? 1 : 2)
    const told = logged.filter((message) => message.includes('is loaded but not stored'))
    if (isStored) expect(told).toEqual([])
    else
      expect(told[0]).toMatch(/does not bring back the instances of \w+, whose @Exclude, .*: give their property @Type/)
  })
})

describe('an explicitly stored instance that type creates without the rules that hide its properties', () => {
  class Owner {
    @Exclude() password = 'hunter2'
  }
  class Post {
    id = 1
    owner = new Owner()
  }
  class AdminPost extends Post {
    @Exclude() key = 'k'
  }
  class Service {
    @Cached({ ttlSeconds: 60, type: Post })
    async find(_id: number): Promise<Post> {
      return new Post()
    }
    @CachePut({ key: (id: number) => ['find', id] })
    async save(_id: number): Promise<Post> {
      return new Post()
    }
  }

  it('is refused, and a put deletes the value that it cannot replace', async () => {
    const posts = defineCache({ name: 'posts', type: Post, load: async (_id: number) => new Post() })
    for (const value of [new Post(), [new Post()], new Map([['a', new AdminPost()]])]) {
      await expect(posts.set(1, value as Post)).rejects.toThrow(/whose @Exclude, .* would have no effect/)
      await expect(test.cache.set('a', value)).rejects.toThrow(MemcacheOptionError)
      await expect(test.cache.add('a', value)).rejects.toThrow(MemcacheOptionError)
    }
    expect(await test.cache.has('a')).toBe(false)
    const service = new Service()
    await test.cache.namespace('Service').set(['find', 1], 'old')
    expect(await service.save(1)).toBeInstanceOf(Post)
    expect(await test.cache.namespace('Service').get(['find', 1])).toBeUndefined()
    expect(instanceToPlain(await service.find(1))).toEqual({ id: 1, owner: {} })
  })

  it('is stored if no class has such rules, or the readers get plain data', async () => {
    class Plain {
      owner = new Address('a')
    }
    await test.cache.getOrSet('plain', () => new Plain(), { type: Plain })
    expect(await test.cache.set('b', new Plain())).toBe(true)
    expect(await test.cache.set('c', { post: new Owner() })).toBe(true)
    const circular: unknown[] = []
    circular.push(circular)
    await expect(test.cache.set('d', circular)).rejects.toThrow(MemcacheOptionError)
  })
})

describe('a stored value that the reviver refuses', () => {
  /** The reviver of a newer version of the program, with a field that the stored value lacks. */
  const revive = (stored: { id: number; roles: string[] }) => ({ id: stored.id, role: stored.roles[0]! })
  const current = async (id: number) => ({ id, roles: ['admin'] })

  it('is a miss, and is replaced by the next load', async () => {
    for (const [id, name] of Object.keys(WAYS).entries()) {
      const [before, after] = [test.another(), test.another()]
      const old = WAYS[name]!(before, async () => ({ id }), {})
      const renewed = WAYS[name]!(after, current, { revive })
      await old(id)
      for (const _ of ['replaced', 'hit']) expect(await renewed(id)).toEqual({ id, role: 'admin' })
      expect(after.stats().cacheErrors).toBe(1)
    }
  })

  it('is missing if nothing is loaded', async () => {
    const old = { id: 1 }
    await test.cache.set('old', old)
    await test.cache.set('new', await current(2))
    expect(await test.cache.get('old', { revive })).toBeUndefined()
    expect(await test.cache.getMany(['old', 'new'], { revive })).toEqual(new Map([['new', { id: 2, role: 'admin' }]]))
    await expect(test.cache.get('new', { reviver: revive } as never)).rejects.toThrow('`reviver` is `revive` here')
  })

  it('rejects the call if the value was just loaded, without a second load', async () => {
    let loads = 0
    const load = async () => ({ id: ++loads })
    await expect(test.cache.getOrSet('a', load, { revive })).rejects.toThrow(TypeError)
    expect(loads).toBe(1)
    const many = async (ids: readonly number[]) => ids.map((id) => (id === 1 ? { id } : { id, roles: ['a'] }))
    await expect(test.cache.getOrSetMany([1, 2], many, { revive })).rejects.toThrow(TypeError)
  })
})

describe('an explicitly stored value', () => {
  it('is plain data for all callers', async () => {
    const cache = test.another({ l1: true, logger })
    await cache.set('user', new Address('x'))
    for (const _ of ['memory', 'again']) expect(await cache.get('user')).toStrictEqual({ street: 'x' })
    expect(logged).toHaveLength(1)
  })

  it('that has its own stored form is returned unchanged', async () => {
    const url = new URL('http://a/')
    for (const _ of ['miss', 'hit']) expect(await test.cache.getOrSet('url', () => ({ url }))).toEqual({ url })
  })
})

describe('a plain object around instances of type', () => {
  class Account {
    id: number
    constructor(id: number) {
      this.id = id
    }
  }
  class Node {
    name: string
    @Type(() => Node) parent: Node | undefined
    constructor(name: string, parent?: Node) {
      this.name = name
      this.parent = parent
    }
  }
  const page = async (id: number) => ({ items: [new Account(id)], total: 1 })

  it.each(Object.keys(WAYS))(
    'reaches every caller as it was loaded, is not stored, and is told once: %s',
    async (way) => {
      const get = WAYS[way]!(test.cache, page, { type: Account })
      for (const value of [...(await Promise.all([get(1), get(1)])), await get(1)]) {
        expect(value).toEqual({ items: [{ id: 1 }], total: 1 })
        expect((value as Awaited<ReturnType<typeof page>>).items[0]).toBeInstanceOf(Account)
        expect(value).not.toBeInstanceOf(Account)
      }
      expect(logged).toEqual([
        expect.stringMatching(/is loaded but not stored: type: Account is the class of the value itself.*@Type/),
      ])
    },
  )

  it('is stored if the class declares its properties with @Type, or if the outer objects are plain rows', async () => {
    const row = async (): Promise<unknown> => ({ name: 'leaf', parent: new Node('root') })
    const nodes = cached(row, { name: 'nodes', type: Node })
    const rows = cached(async () => [{ id: 1 }, new Account(2)], { name: 'rows', type: Account })
    for (let call = 0; call < 2; call++) {
      expect(await nodes()).toBeInstanceOf(Node)
      expect(((await nodes()) as Node).parent).toBeInstanceOf(Node)
      expect((await rows()).every((each) => each instanceof Account)).toBe(true)
    }
    expect(test.cache.stats()).toMatchObject({ loads: 2 })
    expect(logged).toEqual([])
  })
})

it('an instance of a subclass of a built-in class is logged once, and comes back as an instance of the built-in class', async () => {
  class Rows extends Array<number> {}
  class Table extends Map<string, number> {}
  class Tags extends Set<string> {}
  class Day extends Date {}
  class Page extends URL {}
  class Samples extends Float32Array {}
  const made: Readonly<Record<string, () => object>> = {
    Rows: () => Rows.from([1, 2]),
    Table: () => new Table([['a', 1]]),
    Tags: () => new Tags(['a']),
    Day: () => new Day(5),
    Page: () => new Page('http://a/'),
    Samples: () => new Samples([0.5]),
  }
  for (const [name, make] of Object.entries(made)) {
    logged = []
    const get = (): Promise<object> => test.cache.getOrSet(name, async () => ({ within: make() }))
    const values = [...(await Promise.all([get(), get()])), await get()]
    for (const value of values) {
      expect(value).toStrictEqual(values[0])
      expect((value as { within: object }).within).not.toBeInstanceOf(make().constructor)
    }
    expect(logged).toEqual([expect.stringContaining(`an instance of ${name} is stored as plain data`)])
  }
  logged = []
  const language = [
    [1],
    new Map(),
    new Set(),
    new Date(0),
    /a/,
    new Uint16Array(1),
    Buffer.from('a'),
    new TypeError('x'),
  ]
  await test.cache.getOrSet('language', () => language)
  expect(logged).toEqual([])
})
