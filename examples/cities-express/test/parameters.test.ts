import { describe, expect, it } from 'vitest'
import { cityChange, cityId, numberParameter, textParameter } from '../src/parameters.ts'

const latitude = (lat: unknown) => numberParameter({ lat }, 'lat', { min: -90, max: 90 })

describe('numberParameter', () => {
  it.each([
    ['48.85', 48.85],
    ['-90', -90],
    ['0', 0],
    ['9e1', 90],
  ])('reads %s', (text, number) => {
    expect(latitude(text)).toBe(number)
  })

  it('takes the default of one that is not given', () => {
    expect(numberParameter({}, 'km', { min: 1, max: 10, default: 5 })).toBe(5)
  })

  it.each(['', ' ', 'abc', 'NaN', 'Infinity', '90.1', '-91', '48,85', ['1', '2'], { a: '1' }])(
    'refuses %j',
    (given) => {
      expect(() => latitude(given)).toThrow(`lat must be one number from -90 to 90, not ${JSON.stringify(given)}.`)
    },
  )

  it('reports a missing one', () => {
    expect(() => latitude(undefined)).toThrow('lat must be one number from -90 to 90, and is missing.')
  })
})

describe('textParameter', () => {
  it('trims', () => {
    expect(textParameter({ q: ' São Paulo ' }, 'q')).toBe('São Paulo')
  })

  it.each(['', '   ', '\u0301', 'a\0b', 'x'.repeat(101), ['a', 'b'], undefined])('refuses %j', (q) => {
    expect(() => textParameter({ q }, 'q')).toThrow('q must be one text of 1 to 100 characters')
  })
})

describe('cityId', () => {
  it('reads a whole number', () => {
    expect(cityId('2988507')).toBe(2_988_507)
  })

  it.each(['0', '-1', '1.5', '1e3', '2147483648', '99999999999', 'paris', ' 1', ''])('refuses %j', (text) => {
    expect(() => cityId(text)).toThrow('The id of a city is a whole number')
  })
})

describe('cityChange', () => {
  it.each([
    [{ population: 0 }, { population: 0 }],
    [{ name: ' Lutetia ' }, { name: 'Lutetia' }],
    [
      { name: 'Lutetia', population: 80_000 },
      { name: 'Lutetia', population: 80_000 },
    ],
  ])('takes %j', (body, change) => {
    expect(cityChange(body)).toEqual(change)
  })

  it.each([
    [undefined, 'The body must be a JSON object'],
    [null, 'The body must be a JSON object'],
    [[], 'The body must be a JSON object'],
    [{}, 'There is nothing to change'],
    [{ country: 'FR' }, 'Only name and population can be changed, not "country".'],
    [{ population: '5' }, 'population must be a whole number from 0 to 2147483647, not "5".'],
    [{ population: -1 }, 'population must be'],
    [{ population: 1.5 }, 'population must be'],
    [{ population: 2 ** 31 }, 'population must be'],
    [{ population: null }, 'population must be'],
    [{ name: '' }, 'name must be a text of 1 to 200 characters'],
    [{ name: 'a\nb' }, 'name must be'],
    [{ name: 5 }, 'name must be'],
  ])('refuses %j', (body, message) => {
    expect(() => cityChange(body)).toThrow(message)
  })
})
