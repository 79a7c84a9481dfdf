import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader, NONE, STOP } from '../src/framing.ts'
import type { FrameHandler } from '../src/framing.ts'

/** Records what it receives; a line `block N` is followed by a data block, and a line `stop` stops the reader. */
class Recorder implements FrameHandler {
  readonly events: string[] = []
  #block: Buffer[] = []

  line(buffer: Buffer, start: number, end: number): number {
    const line = buffer.toString('latin1', start, end)
    this.events.push(`line ${line}`)
    if (line === 'stop') return STOP
    const match = /^block (\d+)$/.exec(line)
    return match ? Number(match[1]) : NONE
  }

  data(buffer: Buffer, start: number, end: number, offset: number): void {
    expect(offset).toBe(Buffer.concat(this.#block).length)
    this.#block.push(Buffer.from(buffer.subarray(start, end)))
  }

  dataEnd(terminated: boolean): number {
    this.events.push(`data ${Buffer.concat(this.#block).toString('latin1')} ${terminated}`)
    this.#block = []
    return NONE
  }

  longLine(): boolean {
    this.events.push('long line')
    return false
  }
}

function read(input: Buffer, cuts: readonly number[], resumes = false): { events: string[]; reader: FrameReader } {
  const recorder = new Recorder()
  const reader = new FrameReader(recorder, 2048)
  // The same memory is used for every piece, as the server does: what is kept must have been copied.
  const shared = Buffer.alloc(input.length + 1)
  let from = 0
  for (const cut of [...cuts.filter((cut) => cut <= input.length).sort((a, b) => a - b), input.length]) {
    shared.fill(0)
    input.copy(shared, 1, from, cut)
    reader.push(shared, 1, 1 + cut - from)
    while (resumes && reader.stopped) reader.resume()
    from = cut
  }
  return { events: recorder.events, reader }
}

const frame = fc.oneof(
  fc.stringMatching(/^[a-z ]{0,20}$/).map((line) => `${line}\r\n`),
  fc.stringMatching(/^[a-z]{1,10}$/).map((line) => `${line}\n`),
  fc.constant('stop\r\n'),
  fc.stringMatching(/^[a-z\r\n]{0,40}$/).map((data) => `block ${data.length}\r\n${data}\r\n`),
)

describe('FrameReader', () => {
  it('reads the same frames in pieces of any length', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(400), { maxLength: 30 }), (frames, cuts) => {
        const input = Buffer.from(frames.join(''))
        expect(read(input, cuts, true).events).toEqual(read(input, [], true).events)
      }),
      { numRuns: 500 },
    )
  })

  it('reads byte by byte the same as at once', () => {
    const input = Buffer.from('get a\r\nblock 5\r\nab\r\nc\r\nversion\n\r\n')
    const everyByte = [...input.keys()]
    expect(read(input, everyByte).events).toEqual([
      'line get a',
      'line block 5',
      'data ab\r\nc true',
      'line version',
      'line ',
    ])
  })

  it('reads length + 2 bytes of a data block that is longer than stated, and the command after them', () => {
    expect(read(Buffer.from('block 3\r\nabcdef\r\n'), []).events).toEqual(['line block 3', 'data abc false', 'line f'])
  })

  it('takes an empty data block', () => {
    expect(read(Buffer.from('block 0\r\n\r\nx\n'), [9]).events).toEqual(['line block 0', 'data  true', 'line x'])
  })

  it('handles nothing behind a stop until it is resumed', () => {
    const { events, reader } = read(Buffer.from('a1\r\nstop\r\nb2\r\nblock 2\r\nhi\r\n'), [12])
    expect(events).toEqual(['line a1', 'line stop'])
    expect(reader.stopped).toBe(true)
    reader.resume()
    expect(events.slice(2)).toEqual(['line b2', 'line block 2', 'data hi true'])
    expect(reader.atBoundary).toBe(true)
  })

  it('gives a line without an end up when the handler does', () => {
    const { events, reader } = read(Buffer.from('x'.repeat(3000)), [1000, 2000])
    expect(events).toEqual(['long line'])
    reader.push(Buffer.from('\r\nget a\r\n'), 0, 9)
    expect(events).toEqual(['long line'])
    expect(reader.heldBytes).toBe(0)
  })
})
