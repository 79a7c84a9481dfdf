import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** What a `FaultProxy` does to the answers of the server behind it. */
export type Fault =
  /** Hands everything on. */
  | { readonly kind: 'none' }
  /** Hands answers on one byte a write. */
  | { readonly kind: 'byteByByte' }
  /** Accepts, reads, and never answers. */
  | { readonly kind: 'silent' }
  /** Closes the connection once so many bytes of answers have been handed on. */
  | { readonly kind: 'cutAfter'; readonly bytes: number }
  /** Hands so many bytes of answers on, and then nothing more. */
  | { readonly kind: 'stallAfter'; readonly bytes: number }
  /** Hands so many bytes of answers on, then an error line instead of what was next, and goes on behind it. */
  | { readonly kind: 'errorAfter'; readonly bytes: number }
  /** Gives meta answers another's opaque. */
  | { readonly kind: 'wrongOpaque' }
  /** Leaves out what was answered to each second piece of requests, as a proxy that lost it. */
  | { readonly kind: 'loseAnswers' }
  /** Resets every connection when its first request comes. */
  | { readonly kind: 'reset' }
  /** Closes every connection as soon as it is made. */
  | { readonly kind: 'closeOnConnect' }
  /** Answers every request with these bytes, whatever it was. */
  | { readonly kind: 'answer'; readonly bytes: string }

const ERROR_LINE = Buffer.from('SERVER_ERROR out of memory writing get response\r\n')

/** A TCP proxy in front of a server that misbehaves as told. */
export class FaultProxy implements AsyncDisposable {
  /** How connections behave from now on; those that are open change with it. */
  fault: Fault = { kind: 'none' }
  /** Connections made so far. */
  connections = 0
  readonly #target: { host: string; port: number }
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(target: { host: string; port: number }) {
    this.#target = target
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client))
  }

  /** Starts a proxy on a free port. */
  static async start(target: { host: string; port: number }): Promise<FaultProxy> {
    const proxy = new FaultProxy(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** `host:port`. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Connections that are open. */
  get openConnections(): number {
    return this.#sockets.size
  }

  /** Closes all connections, as a server that is restarted does. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.cutAll()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    this.connections++
    this.#sockets.add(client)
    client.on('error', () => {})
    if (this.fault.kind === 'closeOnConnect') {
      client.destroy()
      this.#sockets.delete(client)
      return
    }
    const server = connect(this.#target)
    let handedOn = 0
    let pieces = 0
    server.on('error', () => client.destroy())
    server.on('close', () => client.destroy())
    client.on('close', () => {
      this.#sockets.delete(client)
      server.destroy()
    })
    client.on('data', (chunk: Buffer) => this.#request(client, server, chunk))
    let behaved: Fault = this.fault
    server.on('data', (chunk: Buffer) => {
      // What is counted is counted from when the fault began.
      if (this.fault !== behaved) handedOn = 0
      behaved = this.fault
      if (this.fault.kind === 'loseAnswers' && pieces++ % 2 === 1) return
      handedOn += this.#reply(client, chunk, handedOn)
    })
  }

  #request(client: Socket, server: Socket, chunk: Buffer): void {
    if (this.fault.kind === 'reset') client.resetAndDestroy()
    else if (this.fault.kind === 'answer') client.write(this.fault.bytes)
    else if (this.fault.kind !== 'silent') server.write(chunk)
  }

  /** Hands an answer on, or what the fault leaves of it; returns how many bytes. */
  #reply(client: Socket, chunk: Buffer, handedOn: number): number {
    const { fault } = this
    switch (fault.kind) {
      case 'none':
      case 'loseAnswers':
        client.write(chunk)
        return chunk.length
      case 'wrongOpaque':
        client.write(Buffer.from(chunk.toString('latin1').replaceAll(/ O[\w-]{4}(?=[ \r])/g, ' O~~~~'), 'latin1'))
        return chunk.length
      case 'errorAfter': {
        const at = fault.bytes - handedOn
        if (at < 0 || at > chunk.length) client.write(chunk)
        else client.write(Buffer.concat([chunk.subarray(0, at), ERROR_LINE, chunk.subarray(at)]))
        return chunk.length
      }
      case 'byteByByte':
        for (const byte of chunk) client.write(Buffer.of(byte))
        return chunk.length
      case 'cutAfter':
      case 'stallAfter': {
        const rest = Math.max(0, fault.bytes - handedOn)
        const part = chunk.subarray(0, rest)
        if (part.length > 0) client.write(part)
        if (fault.kind === 'cutAfter' && part.length < chunk.length) client.end()
        return part.length
      }
      default:
        return 0
    }
  }
}
