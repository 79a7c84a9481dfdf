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
