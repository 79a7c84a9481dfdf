import { describe, expect, it } from 'vitest'
import { Command, Request, RequestError } from '../src/request.ts'
import { errorReply } from '../src/text/response.ts'
import { hashKey } from '../src/key-hash.ts'
import { CapitalFlag, Flag } from '../src/meta/flag.ts'
import { parseRequest } from '../src/request-parser.ts'
import { nextKey } from '../src/text/request-parser.ts'

/** One record for all, as a connection has it: what a request left behind must not show in the next. */
const request = new Request()

function parse(line: string): Request {
  const bytes = Buffer.from(`..${line}\r\n`, 'latin1')
  parseRequest(request, bytes, 2, bytes.length - 2)
  return request
}

function errorOf(line: string): string | undefined {
  return errorReply(parse(line).error)?.toString('latin1').trimEnd()
}

function keysOf(line: string): string[] {
  parse(line)
  const keys: string[] = []
  while (nextKey(request)) keys.push(request.keyText())
  return keys
}

describe('parseRequest, text', () => {
  it('reads the keys of a get without a copy', () => {
    expect(keysOf('get a  bc d ')).toEqual(['a', 'bc', 'd'])
    expect(request.command).toBe(Command.get)
    expect(keysOf('gats -7 a b')).toEqual(['a', 'b'])
    expect(request.exptime).toBe(-7)
  })

  it('hashes a key as hashKey does', () => {
    parse('get user:42')
    nextKey(request)
    expect(request.keyHash).toBe(hashKey(Buffer.from('user:42'), 0, 7))
  })

  it('reads a storage line', () => {
    expect(parse('set key 4294967295 2592001 10 noreply')).toMatchObject({
      command: Command.set,
      error: RequestError.none,
      clientFlags: 4_294_967_295,
      exptime: 2_592_001,
      valueLength: 10,
      noreply: true,
      hasCas: false,
    })
    expect(request.keyText()).toBe('key')
    expect(parse('cas key 0 0 3 18446744073709551615').cas.toBigInt()).toBe(18_446_744_073_709_551_615n)
    expect(request.noreply).toBe(false)
    expect(request.hasCas).toBe(true)
  })

  it('keeps 32 bits of client flags of up to 64, as memcached does', () => {
    expect(parse('set a 4294967301 0 1').clientFlags).toBe(5)
    expect(parse('set a 18446744073709551615 0 1').clientFlags).toBe(4_294_967_295)
  })

  it('knows the data block of a storage line that it refuses, so that it can be swallowed', () => {
    for (const line of [
      `set ${'k'.repeat(251)} 0 0 7`,
      'set a x 0 7',
      'set a -1 0 7',
      'set a 0 x 7',
      'cas a 0 0 7 x',
      'cas a 0 0 7',
    ]) {
      expect(parse(line)).toMatchObject({ error: RequestError.badFormat, valueLength: 7 })
    }
    for (const line of [
      'set a 0 0',
      'set a 0 0 x',
      'set a 0 0 -1',
      'set a 0 0 2147483647',
      'set',
      'set a 0 0 4294967296',
    ]) {
      expect(parse(line)).toMatchObject({ error: RequestError.badFormat, valueLength: -1 })
    }
  })

  it('finds noreply wherever it is legal', () => {
    for (const line of [
      'set a 0 0 1 noreply',
      'delete a noreply',
      'delete a 0 noreply',
      'incr a 1 noreply',
      'touch a 0 noreply ',
    ]) {
      expect(parse(line).noreply, line).toBe(true)
    }
    expect(parse('delete anoreply').noreply).toBe(false)
  })

  it.each([
    ['x', 'CLIENT_ERROR bad command line format'],
    ['', 'CLIENT_ERROR bad command line format'],
    ['foo', 'ERROR'],
    ['GET a', 'ERROR'],
    ['  get a', 'ERROR'],
    ['get', 'CLIENT_ERROR bad command line format'],
    ['gat 10', 'CLIENT_ERROR bad command line format'],
    ['gat x a', 'CLIENT_ERROR invalid exptime argument'],
    ['touch a x', 'CLIENT_ERROR invalid exptime argument'],
    ['incr a', 'CLIENT_ERROR bad command line format'],
    ['incr a -1', 'CLIENT_ERROR invalid numeric delta argument'],
    ['decr a 18446744073709551616', 'CLIENT_ERROR invalid numeric delta argument'],
    [`delete ${'k'.repeat(251)}`, 'CLIENT_ERROR bad command line format'],
  ])('answers %j as memcached does', (line, reply) => {
    expect(errorOf(line)).toBe(reply)
  })

  it('hears HTTP in the last word', () => {
    expect(parse('POST /get HTTP/1.1').error).toBe(RequestError.http)
    expect(errorOf('POST /get HTTP/1.1')).toBeUndefined()
  })
})

describe('parseRequest, meta', () => {
  it('reads flags in their order and their arguments', () => {
    parse('mg key v t N30 R-1 Oabc k')
    expect(request).toMatchObject({
      command: Command.metaGet,
      error: 0,
      vivifyExptime: 30,
      recacheExptime: -1,
      flagCount: 6,
    })
    expect(request.flags).toBe(Flag.returnValue | Flag.returnTtl | Flag.returnKey)
    expect(request.capitalFlags).toBe(CapitalFlag.vivify | CapitalFlag.recache | CapitalFlag.opaque)
    const tokens = [...Array(6).keys()].map((index) =>
      request.buffer.toString('latin1', request.flagStart[index], request.flagEnd[index]),
    )
    expect(tokens).toEqual(['v', 't', 'N30', 'R-1', 'Oabc', 'k'])
  })

  it('reads an ms with its mode, cas and client flags', () => {
    parse('ms key 5 MA C18446744073709551615 E7 F9 T60 I q')
    expect(request).toMatchObject({
      command: Command.metaSet,
      valueLength: 5,
      mode: 65,
      clientFlags: 9,
      exptime: 60,
      hasCas: true,
    })
    expect(request.cas.toBigInt()).toBe(18_446_744_073_709_551_615n)
    expect(request.newCas.toBigInt()).toBe(7n)
  })

  it('counts by one, by default', () => {
    expect(parse('ma c').delta.toBigInt()).toBe(1n)
    expect(parse('ma c D5 J7 MD').delta.toBigInt()).toBe(5n)
    expect(request.initial.toBigInt()).toBe(7n)
    expect(parse('ma c').delta.toBigInt()).toBe(1n)
  })

  it('decodes a base64 key', () => {
    parse('mg Zm9v b k')
    expect(request.keyText()).toBe('foo')
    expect(request.keyHash).toBe(hashKey(Buffer.from('foo'), 0, 3))
    expect(request.keyBuffer).not.toBe(request.buffer)
  })

  it('keeps a line beyond the buffer it came in', () => {
    const bytes = Buffer.from('....ms Zm9v 5 b Oxyz k\r\n', 'latin1')
    parseRequest(request, bytes, 4, bytes.length - 2)
    request.keep()
    bytes.fill(0)
    expect(request.buffer.toString('latin1', request.flagStart[1], request.flagEnd[1])).toBe('Oxyz')
    expect(request.keyText()).toBe('foo')
  })

  it.each([
    ['mg', 'CLIENT_ERROR bad command line format'],
    ['mx', 'ERROR'],
    ['mg a v v', 'CLIENT_ERROR duplicate flag'],
    ['mg a Y', 'CLIENT_ERROR invalid flag'],
    ['mg a !', 'CLIENT_ERROR bad command line format'],
    [`mg a O${'x'.repeat(32)}`, 'CLIENT_ERROR opaque token too long'],
    [`mg a ${'v '.repeat(20)}`, 'CLIENT_ERROR options flags are too long'],
    [`mg ${'k'.repeat(251)}`, 'CLIENT_ERROR bad command line format'],
    ['mg !!! b', 'CLIENT_ERROR error decoding key'],
    ['ms a', 'CLIENT_ERROR bad command line format'],
    ['ms a 1 MZ', 'CLIENT_ERROR invalid mode for ms M token'],
    ['ms a 1 Mset', 'CLIENT_ERROR invalid mode for ms M token'],
    ['ms a 1 Tx', 'CLIENT_ERROR bad token in command line format'],
    ['ms a 1 Fx', 'CLIENT_ERROR bad command line format'],
    ['ma a MZ', 'CLIENT_ERROR invalid mode for ma M token'],
    ['ma a Dx', 'CLIENT_ERROR invalid or duplicate flag'],
    ['md a v v', 'CLIENT_ERROR duplicate flag'],
  ])('answers %j as memcached does', (line, reply) => {
    expect(errorOf(line)).toBe(reply)
  })
})
