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

const nothing: Method = function () {
  return this
}

/** The methods by which Nest's adapters and exception filters send a response, in Express and in Fastify. */
const SENDING = ['status', 'code', 'send', 'json', 'redirect', 'render', 'view'] as const

/** The methods that interceptors may call when their observables end. */
const DESCRIBING = ['setHeader', 'appendHeader', 'removeHeader'] as const

/** Returns the method that replaces another one on a response that was sent. */
function silenced(name: string, original: Method): Method {
  if ((SENDING as readonly string[]).includes(name)) return nothing
  // Node's own method throws after the head was sent.
  return function (...args) {
    return (this as ServerResponse).headersSent ? this : original.apply(this, args)
  }
}

/**
 * Makes a response that was already sent ignore further attempts to send it, even if its head is not on the wire yet.
 * Fields that are set too late are dropped, since code around the cache does not know that the response was sent.
 *
 * @param response the platform's; on Express it is Node's.
 */
export function silence(response: object, raw: ServerResponse): void {
  if (response === raw) return replaceAll(response)
  replaceSending(response)
  replaceDescribing(raw)
}

const replaceAll = replacing([...SENDING, ...DESCRIBING])
const replaceSending = replacing(SENDING)
const replaceDescribing = replacing(DESCRIBING)

/**
 * Returns a function that replaces methods of an object. The methods of its prototype are replaced by a prototype
 * between them, one for all objects of that prototype, since ten own functions on each response cost a sixth of a hit.
 * Methods that middleware has put on the response itself are replaced there.
 */
function replacing(names: readonly string[]): (object: object) => void {
  const prototypes = new WeakMap<object, object>()
  return (object) => {
    const methods = object as Record<string, Method>
    for (const name of names) if (Object.hasOwn(object, name)) methods[name] = silenced(name, methods[name]!)
    const prototype = Object.getPrototypeOf(object) as Record<string, Method>
    let between = prototypes.get(prototype)
    if (between === undefined) {
      between = Object.create(prototype) as object
      for (const name of names) {
        Object.defineProperty(between, name, {
          value: silenced(name, prototype[name]!),
          writable: true,
          configurable: true,
        })
      }
      prototypes.set(prototype, between)
    }
    Object.setPrototypeOf(object, between)
  }
}
