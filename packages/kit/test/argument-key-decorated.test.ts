import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { argumentParts } from '../src/declare/argument-key.ts'

class Tenants extends Map<string, number> {
  readonly #tenant: string
  constructor(tenant: string) {
    super()
    this.#tenant = tenant
  }
  get tenant(): string {
    return this.#tenant
  }
}

class TenantBytes extends Uint8Array {
  readonly tenant = 'a'
}

class Labels extends Array<string> {}

const TENANT = Symbol('tenant')

function raise(error: Error): never {
  throw error
}

/** Runs code as a compiler has emitted it for a target without private members. */
function compiled(code: string): unknown {
  // oxlint-disable-next-line typescript/no-implied-eval -- the tests are not compiled for old targets
  return new Function(code)()
}

describe('an argument with more than its content', () => {
  it.each([
    ['an array with a property', Object.assign([1], { tenant: 'a' })],
    ['a map with a property', Object.assign(new Map(), { tenant: 'a' })],
    ['a date with a property', Object.assign(new Date(0), { tenant: 'a' })],
    ['a map of a class that hides its state', new Tenants('a')],
    ['a pattern with a property', Object.assign(/a/, { tenant: 'a' })],
    ['an array with the property 01', Object.assign([1, 2], { '01': 1 })],
    ['an array with the property 1.5', Object.assign([1, 2], { '1.5': 1 })],
    ['an array with the property -1', Object.assign([1, 2], { '-1': 1 })],
    ['an array with a symbol', Object.assign([1], { [TENANT]: 'a' })],
    ['a set with a symbol', Object.assign(new Set(), { [TENANT]: 'a' })],
    ['a URL with a symbol', Object.assign(new URL('http://a.test'), { [TENANT]: 'a' })],
    ['an array with a hidden property', Object.defineProperty([1], 'tenant', { value: 'a' })],
    ['a map with a hidden property', Object.defineProperty(new Map(), 'tenant', { value: 'a' })],
    ['a pattern with a hidden property', Object.defineProperty(/a/, 'tenant', { value: 'a' })],
    ['a view with a property', Object.assign(new Float32Array(2), { tenant: 'a' })],
    ['a view with a symbol', Object.assign(new Uint8Array(2), { [TENANT]: 'a' })],
    ['a Buffer with a property', Object.assign(Buffer.from('ab'), { tenant: 'a' })],
    ['a DataView with a property', Object.assign(new DataView(new ArrayBuffer(2)), { tenant: 'a' })],
    ['bytes with a property', Object.assign(new ArrayBuffer(2), { tenant: 'a' })],
    ['a view of a class', new TenantBytes(2)],
    ['a pattern with half of a character', new RegExp('\ud800')],
    [
      'private state, as esbuild emits it',
      compiled(`const map = new WeakMap(), __privateAdd = (self, to, value) => to.set(self, value)
      return new (class User { constructor() { __privateAdd(this, map, 'a'); this.id = 1 } })()`),
    ],
    [
      'private state, as SWC emits it',
      compiled(`const map = new WeakMap(), _class_private_field_init = (self, to, { value }) => to.set(self, value)
      return new (class User { constructor() { _class_private_field_init(this, map, { value: 'a' }); this.id = 1 } })()`),
    ],
    [
      'private state, as Babel emits it',
      compiled(`const map = new WeakMap(), _classPrivateFieldInitSpec = (self, to, value) => to.set(self, value)
      return new (class User { constructor() { _classPrivateFieldInitSpec(this, map, 'a'); this.id = 1 } })()`),
    ],
    [
      'state in a map outside of the class',
      compiled(`const tenants = new Map()
      return new (class User { constructor() { tenants.set(this, 'a'); this.id = 1 } })()`),
    ],
    ['an object that inherits properties', Object.create(Object.create(null, { tenant: { value: 'a' } }) as object)],
  ])('is refused: %s', (_, argument) => {
    expect(() => argumentParts([argument], 'find')).toThrow(/argument 1 of find .* set `key`/)
  })

  it.each([
    ['an array', [1, 2]],
    ['a sparse array', Object.assign([], { 3: 1 })],
    ['a map', new Map([[1, 2]])],
    ['a date', new Date(0)],
    ['a pattern', /a/g],
    ['a URL', new URL('http://a.test')],
    ['search parameters', new URLSearchParams('a=1')],
    ['a Buffer', Buffer.from('ab')],
    ['a view', new Float64Array([0, NaN])],
    ['a DataView of a part', new DataView(new ArrayBuffer(8), 2, 3)],
    ['bytes', new ArrayBuffer(2)],
    ['shared bytes', new SharedArrayBuffer(2)],
    ['an array of a class', Labels.from(['a'])],
    ['kinds of another realm', runInNewContext('[[1], new Map([[1, 2]]), new Date(0), /a/, new Uint8Array(2), {}]')],
  ])('is its content where it holds nothing more: %s', (_, argument) => {
    expect(argumentParts([argument], 'find')).toEqual(argumentParts([argument], 'find'))
  })

  it('is distinguished by the places of its holes', () => {
    const sparse = (items: object, length: number): unknown[] => Object.assign([], items, { length })
    const arrays = [{ 1: 'a' }, { 2: 'a' }, { 0: 'a', 2: 'a' }, { 1: 'a', 2: 'a' }, {}]
      .flatMap((items) => [3, 4, 2 ** 32 - 1].map((length) => sparse(items, length)))
      .concat([['a'], ['h', 'a'], [undefined, 'a', undefined]])
    const keys = arrays.map((array) => JSON.stringify(argumentParts([array], 'find')))
    expect(new Set(keys).size).toBe(arrays.length)
  })

  it('that is an instance of a subclass differs from an instance of the built-in class', () => {
    expect(argumentParts([Labels.from(['a'])], 'find')).not.toEqual(argumentParts([['a']], 'find'))
  })

  it('that cannot be encoded is refused', () => {
    const proxy = new Proxy([], { get: () => raise(new Error('no')) })
    expect(() => argumentParts([proxy], 'find')).toThrow('argument 1 of find cannot be read: set `key`')
  })
})
