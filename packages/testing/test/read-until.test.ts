import { spawn } from 'node:child_process'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { readLine, readUntil } from '../src/index.ts'

describe('readUntil', () => {
  it.each([
    ['one piece', ['STORED\r\nEND\r\n']],
    ['many', 'STORED\r\nEND\r\n'.split('')],
  ])('returns all that came in %s, and leaves no listener', async (_, pieces) => {
    const stream = new PassThrough()
    const listeners = stream.eventNames()
    const reply = readUntil(stream, 'END\r\n')
    for (const piece of pieces) stream.write(piece)
    expect(await reply).toBe('STORED\r\nEND\r\n')
    expect(stream.eventNames()).toEqual(listeners)
  })

  it.each<[string, (stream: PassThrough) => unknown, string]>([
    ['ends', (stream) => stream.end(), 'the stream ended'],
    ['closes', (stream) => stream.destroy(), 'the stream ended'],
    ['fails', (stream) => stream.destroy(new Error('reset')), 'reset'],
  ])('rejects with what came when the stream %s', async (_, finish, why) => {
    const stream = new PassThrough()
    const reply = readUntil(stream, /END/)
    stream.write('STOR')
    finish(stream)
    await expect(reply).rejects.toThrow(`${why} before /END/`)
    await expect(readUntil(stream, 'END')).rejects.toThrow('the stream ended before END')
  })
})

describe('readLine', () => {
  const print = (script: string) => spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })

  it('returns the first line that matches, printed in any pieces', async () => {
    const child = print(
      `process.stdout.write('a\\nli'); setImmediate(() => console.log('stening on 1\\nlistening on 2'))`,
    )
    expect(await readLine(child, /^listening/)).toBe('listening on 1')
  })

  it('rejects when the process ends without that line', async () => {
    await expect(readLine(print(`console.log('a'); process.exit(1)`), /b/)).rejects.toThrow('printed before: "a\\n"')
  })
})
