import type { ServerResponse } from 'node:http'
import { setHeadArguments } from '../fields.ts'
import type { ClientOutput } from './response-capture.ts'

/**
 * Sends everything that is written to a background response to a client instead. If one side is closed early, the other
 * side is closed too.
 */
export function relay(from: ServerResponse, client: ClientOutput): void {
  let isHeadSent = false
  let hasEnded = false
  const sendHead = (status: number): void => {
    if (isHeadSent) return
    isHeadSent = true
    for (const [name, value] of Object.entries(from.getHeaders())) {
      if (value !== undefined && name !== 'transfer-encoding') client.response.setHeader(name, value)
    }
    client.writeHead(status)
    Object.defineProperty(from, 'headersSent', { configurable: true, value: true })
  }
  from.writeHead = (status: number, ...rest: readonly unknown[]) => {
    setHeadArguments(from, rest)
    sendHead(status)
    return from
  }
  from.write = (chunk: unknown, ...rest: unknown[]) => {
    sendHead(from.statusCode)
    callBack(rest)
    return client.write(chunk)
  }
  from.end = (...args: unknown[]) => {
    if (hasEnded) return from
    hasEnded = true
    sendHead(from.statusCode)
    client.end(typeof args[0] === 'function' ? undefined : args[0])
    callBack(args)
    process.nextTick(() => from.emit('finish'))
    return from
  }
  client.response.on('drain', () => from.emit('drain'))
  client.response.once('close', () => from.destroy())
  from.once('close', () => {
    if (!hasEnded) client.response.destroy()
  })
}

function callBack(args: readonly unknown[]): void {
  const callback = args.find((argument) => typeof argument === 'function') as (() => void) | undefined
  if (callback !== undefined) process.nextTick(callback)
}
