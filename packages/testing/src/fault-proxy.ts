import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** The fault that a `FaultProxy` applies to the responses of the server behind it. */
export type Fault =
  /** Forwards everything. */
  | { readonly kind: 'none' }
  /** Forwards responses with one write per byte. */
  | { readonly kind: 'byteByByte' }
  /** Accepts connections and reads, but never responds. */
  | { readonly kind: 'silent' }
  /** Closes the connection after this many bytes of responses. */
  | { readonly kind: 'cutAfter'; readonly bytes: number }
  /** Forwards this many bytes of responses, and then nothing more. */
  | { readonly kind: 'stallAfter'; readonly bytes: number }
  /** Forwards this many bytes of responses, then inserts an error line, and then forwards the rest. */
  | { readonly kind: 'errorAfter'; readonly bytes: number }
  /** Replaces the opaque of meta responses. */
  | { readonly kind: 'wrongOpaque' }
  /** Drops every second piece of responses, like a proxy that loses responses. */
  | { readonly kind: 'loseResponses' }
  /** Resets every connection at its next request. */
  | { readonly kind: 'reset' }
  /** Closes every connection at its next request. */
  | { readonly kind: 'closeOnRequest' }
  /**
   * Sends the error for too many connections and closes every connection as soon as it is accepted, like memcached at
   * its `-c`.
   */
  | { readonly kind: 'refuse' }
  /** Holds responses until `release`. */
  | { readonly kind: 'hold' }
  /** Closes every connection as soon as it is accepted. */
  | { readonly kind: 'closeOnConnect' }
  /** Responds to every request with these bytes. */
  | { readonly kind: 'respond'; readonly bytes: string }

const REFUSAL = 'ERROR Too many open connections\r\n'
const ERROR_LINE = Buffer.from('SERVER_ERROR out of memory writing get response\r\n')

/** A TCP proxy in front of a server that injects faults. */
export class FaultProxy implements AsyncDisposable {
  /** The fault of all connections, including open ones, from now on. */
  fault: Fault = { kind: 'none' }
  /** Returns the fault of one connection, by its number from 1; `undefined` means `fault`. */
  faultOf: (connection: number) => Fault | undefined = () => undefined
  /** The number of connections accepted so far. */
  connections = 0
  /** The held responses, in order. */
  readonly #held: { client: Socket; chunk: Buffer }[] = []
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

  /** The number of open connections. */
  get openConnections(): number {
    return this.#sockets.size
  }

  /** Closes all connections, like a server that is restarted. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Forwards the held responses, or this many bytes of them. */
  release(bytes = Infinity): void {
    let rest = bytes
    for (
      let held = this.#held.shift();
      held !== undefined && rest > 0;
      held = rest > 0 ? this.#held.shift() : undefined
    ) {
      const part = held.chunk.subarray(0, rest)
      rest -= part.length
      held.client.write(part)
      if (part.length < held.chunk.length) {
        this.#held.unshift({ client: held.client, chunk: held.chunk.subarray(part.length) })
      }
    }
  }

  /** The number of held bytes. */
  get heldBytes(): number {
    return this.#held.reduce((sum, { chunk }) => sum + chunk.length, 0)
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
    const number = this.connections
    const faultNow = (): Fault => this.faultOf(number) ?? this.fault
    const { kind } = faultNow()
    if (kind === 'closeOnConnect' || kind === 'refuse') {
      client.on('close', () => this.#sockets.delete(client))
      if (kind === 'refuse') client.resume().end(REFUSAL)
      else client.destroy()
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
    client.on('data', (chunk: Buffer) => this.#request(faultNow(), { client, server }, chunk))
    let behaved = faultNow()
    server.on('data', (chunk: Buffer) => {
      // Bytes are counted from the start of the fault.
      const fault = faultNow()
      if (fault !== behaved) handedOn = 0
      behaved = fault
      if (fault.kind === 'loseResponses' && pieces++ % 2 === 1) return
      handedOn += this.#reply(fault, { client, handedOn }, chunk)
    })
  }

  #request(
    fault: Fault,
    { client, server }: { readonly client: Socket; readonly server: Socket },
    chunk: Buffer,
  ): void {
    if (fault.kind === 'reset') client.resetAndDestroy()
    else if (fault.kind === 'closeOnRequest') client.destroy()
    else if (fault.kind === 'respond') client.write(fault.bytes)
    else if (fault.kind !== 'silent') server.write(chunk)
  }

  /** Forwards a response, or the part that the fault leaves of it; returns the number of forwarded bytes. */
  #reply(
    fault: Fault,
    { client, handedOn }: { readonly client: Socket; readonly handedOn: number },
    chunk: Buffer,
  ): number {
    switch (fault.kind) {
      case 'none':
      case 'loseResponses':
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
      case 'hold':
        this.#held.push({ client, chunk: Buffer.from(chunk) })
        return chunk.length
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
