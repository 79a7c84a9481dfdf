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

describe('an argument that holds more than its content', () => {
  it.each([
    ['an array with a property', Object.assign([1], { tenant: 'a' })],
    ['a map with a property', Object.assign(new Map(), { tenant: 'a' })],
    ['a date with a property', Object.assign(new Date(0), { tenant: 'a' })],
    ['a map of a class that hides its state', new Tenants('a')],
    ['a pattern with a property', Object.assign(/a/, { tenant: 'a' })],
  ])('is refused: %s', (_, argument) => {
    expect(() => argumentParts([argument], 'find')).toThrow(/argument 1 of find .* set `key`/)
  })

  it('is what it is where it holds nothing more', () => {
    expect(() =>
      argumentParts([[], [1, 2], new Map(), new Date(), /a/g, new URL('http://a.test')], 'find'),
    ).not.toThrow()
  })
})
