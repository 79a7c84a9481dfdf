import type { ServerResponse } from 'node:http'
import { Observable } from 'rxjs'
import type { Subscriber } from 'rxjs'

/** What RxJS's subscribers have, as far as it is needed. */
interface LinkedSubscriber {
  next(value: undefined): void
  readonly destination?: LinkedSubscriber
  /** The subscribers of operators have it, and what consumes the values has not. */
  readonly isStopped?: boolean
}

/**
 * What an interceptor returns whose request has been answered already. It completes, so that the operators of the
 * interceptors around it end as they do otherwise (`finalize`, `timeout`, `tap({ complete })`); but it has no value for
 * them, since there is none. Only the consumer behind all operators is given `undefined`: Nest's `lastValueFrom` takes
 * no value for an error.
 */
export function answered(): Observable<undefined> {
  return new Observable<undefined>((subscriber) => {
    consumerOf(subscriber).next(undefined)
    subscriber.complete()
  })
}

/** The last of a chain of subscribers, each of which hands its values on to the next. */
function consumerOf(subscriber: Subscriber<undefined>): LinkedSubscriber {
  let at = subscriber as unknown as LinkedSubscriber
  while (typeof at.destination?.isStopped === 'boolean') at = at.destination
  return at
}

type Method = (this: object, ...args: unknown[]) => unknown

/** What Nest's adapters, or an exception filter, send a response with, in Express and in Fastify. */
const SENDING = ['status', 'code', 'send', 'json', 'redirect', 'render', 'view'] as const

/** What interceptors say of a response when their observables end. */
const DESCRIBING = ['setHeader', 'appendHeader', 'removeHeader'] as const

const nothing: Method = function () {
  return this
}

/** A method of Node's response that does nothing once the head is sent, in place of throwing. */
const UNTIL_SENT = DESCRIBING.map((name) => {
  const original = Symbol(name)
  const guarded: Method = function (...args) {
    const response = this as ServerResponse & Record<symbol, Method>
    return response.headersSent ? response : response[original]!.apply(response, args)
  }
  return { name, original, guarded }
})

/**
 * Has whatever else is sent with a response that was answered go nowhere: its head may not be on the wire yet. Fields
 * that are set too late are dropped, since nobody around the cache knows that it has answered.
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
