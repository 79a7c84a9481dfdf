import type { ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers'
import { deferResponse, withdrawField } from '../deferred/deferred-response.ts'
import { makeHoldable } from '../deferred/method-output.ts'
import type { RequestSession } from './request-session.ts'
import { onceClosed } from './session-client.ts'
import type { SessionSettings } from './session-options.ts'
import { warnOfLoss } from './session-writes.ts'

/** Continues with the next handler, or, given an error, with the application's error handlers. */
type Next = (error?: unknown) => void

/** A response, and the next handler of its request. */
interface NextHandler {
  readonly response: ServerResponse
  readonly next: Next
}

type AnyMethod = (this: ServerResponse, ...args: unknown[]) => ServerResponse

/**
 * A session and the response of its request, in `node:http` and `node:http2`. As in express-session, the cookie is
 * decided when the head is written, and the session is stored when the response is ended. If the head is sent before
 * the end, as in a stream, the session is stored before the head.
 */
export class ResponseSession {
  readonly #settings: SessionSettings
  readonly #session: RequestSession
  readonly #response: ServerResponse
  readonly #next: Next
  #isHeadWritten = false
  #isEnding = false
  /** Whether the session is finished with this response. */
  #isOver = false
  #sentCookie: string | undefined

  constructor(settings: SessionSettings, session: RequestSession, { response, next }: NextHandler) {
    this.#settings = settings
    this.#session = session
    this.#response = response
    this.#next = next
  }

  /** Reads the session or creates one, then continues with the request. */
  open(): void {
    this.#watch()
    this.#session.open((error) => {
      if (error === undefined) return this.#next()
      this.#isOver = true
      this.#next(error)
    })
  }

  /**
   * Wraps `writeHead` and `end` of the response, as on-headers does, to see when they are called. The state is held in
   * closures, since each further property on a response of Express costs more than all of the closures.
   */
  #watch(): void {
    // oxlint-disable-next-line typescript/no-this-alias -- the methods below are the response's
    const session = this
    makeHoldable(this.#response)
    const response = this.#response as unknown as Partial<Record<'writeHead' | 'end', AnyMethod>>
    const { writeHead, end } = response
    // The response of a WebSocket handshake in engine.io has neither method.
    if (writeHead === undefined || end === undefined) return this.#session.denyCookie()
    response.writeHead = function (...args) {
      session.#head(args)
      return writeHead.apply(this, args)
    }
    response.end = function (...args) {
      return session.#finish() ? end.apply(this, args) : this
    }
    onceClosed(this.#response, () => this.#closed())
  }

  #head(args: unknown[]): void {
    if (this.#isHeadWritten || this.#isOver) return
    this.#isHeadWritten = true
    try {
      // If the response is being ended, `#finish` has committed the session.
      if (!this.#isEnding) this.#commit('head')
      this.#setCookie(args)
    } catch (error) {
      this.#giveUp()
      throw error
    }
  }

  /** Returns whether the response can be ended now; otherwise the error handlers get it. */
  #finish(): boolean {
    if (this.#isEnding || this.#isOver) return true
    this.#isEnding = true
    try {
      this.#commit('end')
    } catch (error) {
      this.#giveUp()
      if (this.#response.headersSent) throw error
      this.#next(error)
      return false
    }
    return true
  }

  /**
   * Stores what was changed until now if the client has left before the response was ended: a stream or a file without
   * a client ends no response. The handler may still run; if it ends the response, the session is stored again.
   */
  #closed(): void {
    if (this.#isEnding || this.#isOver) return
    const session = this.#session
    try {
      session.commit('end')
      session
        .settleWrites((error, kind) => {
          if (this.#settings.down?.forgives(error, kind) !== true) throw error
        })
        .catch(warnOfLoss)
    } catch (error) {
      // No response is left that an error handler could send.
      warnOfLoss(error)
    }
  }

  #commit(at: 'head' | 'end'): void {
    const session = this.#session
    session.commit(at)
    if (!session.isPending) return
    deferResponse(
      this.#response,
      session.settle((error, kind) => {
        const { down } = this.#settings
        // With a store of another kind, as in express-session: the response is sent although its session could not be
        // saved.
        if (down === undefined) return void setImmediate(this.#next, error)
        if (!down.forgives(error, kind)) throw error
        if (kind === 'save' && this.#sentCookie !== undefined && !session.isStored) {
          withdrawField(this.#response, 'Set-Cookie', this.#sentCookie)
        }
      }),
      (error) => {
        this.#giveUp()
        this.#next(error)
      },
    )
  }

  /** Leaves the response to the error handlers. It keeps a session cookie only if the session was stored under a new id. */
  #giveUp(): void {
    this.#isOver = true
    const cookie = this.#session.abandon()
    const response = this.#response
    if (response.headersSent || cookie === this.#sentCookie) return
    if (this.#sentCookie !== undefined) removeCookie(response, this.#sentCookie)
    if (cookie !== undefined) addCookie(response, cookie)
  }

  #setCookie(args: unknown[]): void {
    let cookie: string | undefined
    try {
      cookie = this.#session.cookieToSend()
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
      // An attribute that no cookie can have.
      setImmediate(this.#next, error)
    }
    if (cookie === undefined) return
    this.#sentCookie = cookie
    moveFields(this.#response, args)
    addCookie(this.#response, cookie)
  }
}

/** Sets the fields that were passed to `writeHead`, so that its `Set-Cookie` and the session's are both sent. */
function moveFields(response: ServerResponse, args: unknown[]): void {
  const index = typeof args[1] === 'string' ? 2 : 1
  const fields = args[index] ?? (index === 1 ? args[2] : undefined)
  if (typeof fields !== 'object' || fields === null) return
  const pairs: [string, unknown][] = Array.isArray(fields) ? pairsOf(fields) : Object.entries(fields)
  const names = new Set<string>()
  for (const [name, value] of pairs) {
    const isAnother = names.has(name.toLowerCase())
    names.add(name.toLowerCase())
    if (isAnother) response.appendHeader(name, value as string)
    else if (name !== '') response.setHeader(name, value as string)
  }
  args.length = index
}

/** Returns the fields in a list of alternating names and values, or of pairs. */
function pairsOf(fields: readonly unknown[]): [string, unknown][] {
  if (Array.isArray(fields[0])) return fields as [string, unknown][]
  return Array.from({ length: fields.length >> 1 }, (_, at) => [String(fields[2 * at]), fields[2 * at + 1]])
}

function addCookie(response: ServerResponse, cookie: string): void {
  const previous = response.getHeader('Set-Cookie') ?? []
  response.setHeader('Set-Cookie', [...(Array.isArray(previous) ? previous : [String(previous)]), cookie])
}

function removeCookie(response: ServerResponse, cookie: string): void {
  const cookies = response.getHeader('Set-Cookie')
  const left = (Array.isArray(cookies) ? cookies : []).filter((each) => each !== cookie)
  if (left.length === 0) response.removeHeader('Set-Cookie')
  else response.setHeader('Set-Cookie', left)
}
