import type { ServerResponse } from 'node:http'
import { Observable } from 'rxjs'
import type { Subscriber } from 'rxjs'

/** The parts of RxJS's subscribers that are used here. */
interface LinkedSubscriber {
  next(value: undefined): void
  readonly destination?: LinkedSubscriber
  /** Subscribers of operators have this property; the consumer of the values does not. */
  readonly isStopped?: boolean
}

/**
 * Returns the observable of a request whose response was already sent. It completes without a value, so that
 * `finalize`, `timeout` and `tap({ complete })` of outer interceptors work. Only the consumer behind all operators gets
 * `undefined`, since Nest's `lastValueFrom` treats an empty observable as an error.
 */
export function answered(): Observable<undefined> {
  return new Observable<undefined>((subscriber) => {
    consumerOf(subscriber).next(undefined)
    subscriber.complete()
  })
}

/** Returns the last subscriber of a chain. */
function consumerOf(subscriber: Subscriber<undefined>): LinkedSubscriber {
  let at = subscriber as unknown as LinkedSubscriber
  while (typeof at.destination?.isStopped === 'boolean') at = at.destination
  return at
}

type Method = (this: object, ...args: unknown[]) => unknown

/** The methods by which Nest's adapters and exception filters send a response, in Express and in Fastify. */
const SENDING = ['status', 'code', 'send', 'json', 'redirect', 'render', 'view'] as const

/** The methods that interceptors may call when their observables end. */
const DESCRIBING = ['setHeader', 'appendHeader', 'removeHeader'] as const

const nothing: Method = function () {
  return this
}

/** A method of Node's response that does nothing after the head was sent, where Node's own throws. */
const UNTIL_SENT = DESCRIBING.map((name) => {
  const original = Symbol(name)
  const guarded: Method = function (...args) {
    const response = this as ServerResponse & Record<symbol, Method>
    return response.headersSent ? response : response[original]!.apply(response, args)
  }
  return { name, original, guarded }
})

/**
 * Makes a response that was already sent ignore further attempts to send it, even if its head is not on the wire yet.
 * Fields that are set too late are dropped, since code around the cache does not know that the response was sent.
 *
 * @param response the platform's; on Express it is Node's.
 */
export function silence(response: object, raw: ServerResponse): void {
  const methods = response as Record<string, Method>
  for (const name of SENDING) methods[name] = nothing
  const node = raw as unknown as Record<string | symbol, Method>
  for (const { name, original, guarded } of UNTIL_SENT) {
    node[original] = node[name]!
    node[name] = guarded
  }
}
