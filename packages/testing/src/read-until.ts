import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'

/**
 * Reads from a stream until the received text ends with `end`, or matches it; returns the text, as latin1. A response
 * may arrive in any number of pieces, so the first `data` event may have only a part of it.
 *
 * @throws Error with the received text if the stream ends, closes or fails before that.
 */
export function readUntil(stream: Readable, end: string | RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = ''
    const take = (chunk: Buffer | string): void => {
      received += typeof chunk === 'string' ? chunk : chunk.toString('latin1')
      if (typeof end === 'string' ? !received.endsWith(end) : !end.test(received)) return
      leave()
      resolve(received)
    }
    const fail = (error?: Error): void => {
      leave()
      const why = error === undefined ? 'the stream ended' : error.message
      reject(new Error(`${why} before ${String(end)}, after ${JSON.stringify(received)}`))
    }
    const over = (): void => fail()
    const leave = (): void => {
      stream.off('data', take).off('end', over).off('close', over).off('error', fail)
    }
    if (stream.readableEnded || stream.destroyed) return over()
    stream.on('data', take).on('end', over).on('close', over).on('error', fail)
  })
}

/**
 * Returns the first line that a process prints on its piped standard output and that matches; later output is
 * discarded.
 *
 * @throws Error with the lines so far if the process ends before that.
 */
export async function readLine(child: ChildProcess, pattern: RegExp = /^/): Promise<string> {
  const output = child.stdout!
  let line: string | undefined
  let text = ''
  while (line === undefined) {
    text += await readUntil(output, '\n').catch((error: Error) => {
      throw new Error(`${child.spawnargs.join(' ')}: ${error.message}; printed before: ${JSON.stringify(text)}`)
    })
    line = text.split('\n').find((one) => pattern.test(one))
  }
  // A process whose output is not read would wait for a reader once the pipe is full.
  output.resume()
  return line
}
