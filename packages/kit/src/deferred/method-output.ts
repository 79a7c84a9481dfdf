import type { ServerResponse } from 'node:http'
import { types } from 'node:util'
import type { AnyResponse, ResponseOutput } from './deferred-response.ts'
import { IS_NODE } from './http1-output.ts'
import { isHttp2 } from './http2-output.ts'

/** The number of held bytes at which the writer has to wait. */
const HIGH_WATER_MARK = 65_536
const SENDING_METHODS = ['writeHead', 'write', 'end', 'flushHeaders'] as const
const FIELD_METHODS = ['setHeader', 'setHeaders', 'appendHeader', 'removeHeader'] as const

type Method = (typeof SENDING_METHODS)[number]
type AnyFunction = (this: unknown, ...args: unknown[]) => unknown
type Gated = Omit<ServerResponse, Method> & Record<Method, AnyFunction>
type Step = { readonly method: Method; readonly args: unknown[] }

const outputs = new WeakMap<AnyResponse, MethodOutput>()

/**
 * Prepares a response for being held later. It has to be called before the caller wraps methods of the response. In
 * Node, where `Http1Output` holds any response, it does nothing.
 */
export function makeHoldable(response: AnyResponse): void {
  if (!IS_NODE && typeof response.writeHead === 'function' && !isHttp2(response)) gateMethods(response)
}

/** Replaces the sending methods of a response, in any runtime. */
export function gateMethods(response: ServerResponse): void {
  if (!outputs.has(response)) outputs.set(response, new MethodOutput(response))
}

/** Returns the output of a response whose methods were replaced. */
export function methodOutputOf(response: AnyResponse): ResponseOutput | undefined {
  return outputs.get(response)
}

/**
 * The output of a response of `node:http` in Bun and Deno, which do not send by the methods that `Http1Output`
 * replaces. The public methods that send are replaced; while the output is held, their calls are recorded, and they are
 * repeated when it is released. Meanwhile the properties of the response report that it was sent. Middlewares that
 * wrapped the methods earlier see the calls when they are repeated; middlewares that wrap them later see the calls
 * immediately. The head is always written before the body is passed on, since a middleware that wraps `writeHead` may
 * hold the output.
 */
class MethodOutput implements ResponseOutput {
  readonly #response: Gated
  readonly #methods: Readonly<Record<Method, AnyFunction>>
  #steps: Step[] = []
  #heldBytes = 0
  #isHolding = false
  #isHeadRecorded = false
  #isEndRecorded = false
  #wantsDrain = false
  #onEnded: (() => void) | undefined
  /** The response's own properties that are replaced while the output is held; `undefined` if it had no such property. */
  #shadowed = new Map<string, PropertyDescriptor | undefined>()
  isHeadSent = false

  constructor(response: ServerResponse) {
    this.#response = response as unknown as Gated
    const { writeHead, write, end, flushHeaders } = this.#response
    this.#methods = { writeHead, write, end, flushHeaders }
    this.#response.writeHead = (...args) => this.#writeHead(args)
    this.#response.write = (...args) => this.#write(args)
    this.#response.end = (...args) => this.#end(args)
    this.#response.flushHeaders = (...args) => this.#flushHeaders(args)
  }

  hold(): void {
    this.#isHolding = true
  }

  release(): void {
    if (!this.#isHolding) return
    const steps = this.#forget()
    this.#letGo()
    for (const { method, args } of steps) this.#pass(method, args)
    const wantsDrain = this.#wantsDrain
    this.#wantsDrain = false
    if (wantsDrain && !this.#response.writableNeedDrain) this.#response.emit('drain')
  }

  drop(onEnded: () => void): void {
    this.#onEnded = onEnded
    for (const { method, args } of this.#forget()) if (method === 'write') callBack(args)
    this.#response.emit('drain')
  }

  discard(): void {
    this.#forget()
    this.#letGo()
  }

  withdraw(name: string, value: string): void {
    if (this.isHeadSent) return
    const response = this.#response
    const shadowed = [...this.#shadowed.keys()]
    this.#unshadow()
    const values = [response.getHeader(name) ?? []].flat().filter((each) => each !== value)
    if (values.length === 0) response.removeHeader(name)
    else response.setHeader(name, values as string[])
    if (shadowed.length > 0) this.#reportHead()
    if (this.#isEndRecorded) this.#reportEnd()
  }

  abort(): void {
    this.#forget()
    this.#letGo()
    const { socket } = this.#response
    if (socket === null) this.#response.destroy()
    else socket.destroy()
  }

  #writeHead(args: unknown[]): unknown {
    if (!this.#isHolding) return this.#pass('writeHead', args)
    if (this.isHeadSent || this.#isHeadRecorded) throw headersSentError()
    this.#isHeadRecorded = true
    this.#steps.push({ method: 'writeHead', args })
    this.#response.statusCode = args[0] as number
    this.#reportHead()
    return this.#response
  }

  #write(args: unknown[]): unknown {
    this.#ensureHead()
    if (!this.#isHolding) return this.#pass('write', args)
    if (this.#onEnded !== undefined) {
      callBack(args)
      return true
    }
    this.#steps.push({ method: 'write', args })
    this.#heldBytes += byteLength(args)
    const hasRoom = this.#heldBytes < HIGH_WATER_MARK
    this.#wantsDrain ||= !hasRoom
    return hasRoom
  }

  #end(args: unknown[]): unknown {
    this.#ensureHead(byteLength(args))
    if (!this.#isHolding) return this.#pass('end', args)
    if (this.#isEndRecorded) return this.#response
    this.#isEndRecorded = true
    this.#reportEnd()
    if (this.#onEnded === undefined) this.#steps.push({ method: 'end', args })
    else process.nextTick(this.#onEnded)
    return this.#response
  }

  #flushHeaders(args: unknown[]): unknown {
    this.#ensureHead()
    if (!this.#isHolding) return this.#pass('flushHeaders', args)
    this.#steps.push({ method: 'flushHeaders', args })
    return undefined
  }

  /** Writes the head by the outermost `writeHead`, with the length of a body that is sent as a whole, as Node does. */
  #ensureHead(bodyBytes?: number): void {
    const response = this.#response
    if (this.#isHeadRecorded || response.headersSent) return
    const hasLength = response.hasHeader('Content-Length') || response.hasHeader('Transfer-Encoding')
    if (bodyBytes !== undefined && !hasLength && this.#hasBody()) response.setHeader('Content-Length', bodyBytes)
    response.writeHead(response.statusCode)
  }

  #hasBody(): boolean {
    const { statusCode, req } = this.#response
    return req.method !== 'HEAD' && statusCode !== 204 && statusCode !== 304 && statusCode >= 200
  }

  #pass(method: Method, args: unknown[]): unknown {
    this.isHeadSent = true
    return this.#methods[method].apply(this.#response, args)
  }

  #forget(): Step[] {
    const steps = this.#steps
    this.#steps = []
    this.#heldBytes = 0
    return steps
  }

  #letGo(): void {
    this.#isHolding = false
    this.#isHeadRecorded = false
    this.#isEndRecorded = false
    this.#unshadow()
  }

  #reportHead(): void {
    this.#shadow('headersSent', true)
    // Middlewares such as compression look at this property of Node's responses.
    this.#shadow('_header', 'held')
    for (const method of FIELD_METHODS) {
      this.#shadow(method, () => {
        throw headersSentError()
      })
    }
  }

  #reportEnd(): void {
    this.#shadow('writableEnded', true)
    this.#shadow('finished', true)
    this.#shadow('writableFinished', false)
  }

  #shadow(name: string, value: unknown): void {
    if (!this.#shadowed.has(name)) this.#shadowed.set(name, Object.getOwnPropertyDescriptor(this.#response, name))
    Object.defineProperty(this.#response, name, { value, configurable: true, writable: true, enumerable: true })
  }

  #unshadow(): void {
    for (const [name, descriptor] of this.#shadowed) {
      if (descriptor === undefined) Reflect.deleteProperty(this.#response, name)
      else Object.defineProperty(this.#response, name, descriptor)
    }
    this.#shadowed.clear()
  }
}

function headersSentError(): Error {
  return Object.assign(new Error('Cannot change the head after it was sent to the client'), {
    code: 'ERR_HTTP_HEADERS_SENT',
  })
}

function byteLength([chunk, encoding]: readonly unknown[]): number {
  if (typeof chunk === 'string') {
    return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
  }
  return types.isUint8Array(chunk) ? chunk.byteLength : 0
}

/** Calls the callback of a write as if the write was done. */
function callBack(args: readonly unknown[]): void {
  const callback = args.at(-1)
  if (typeof callback === 'function') process.nextTick(callback)
}
