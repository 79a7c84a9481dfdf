/** The reason why a request was forwarded to the handler (RFC 9211, section 2.2). */
export type ForwardReason = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'miss' | 'request' | 'stale' | 'partial'

/** The treatment of a request by a cache (RFC 9211). */
export type CacheStatus =
  | {
      readonly hit: true
      /** How long the response is still fresh, in seconds; negative if it is stale. */
      readonly ttlSeconds: number
    }
  | {
      readonly hit: false
      readonly forward?: ForwardReason | undefined
      /** The handler's status, if the client got another status. */
      readonly forwardStatus?: number | undefined
      readonly ttlSeconds?: number | undefined
      readonly stored?: boolean | undefined
      /** Whether the response came from the handler call of another request. */
      readonly collapsed?: boolean | undefined
      readonly detail?: string | undefined
    }

/** The name of this cache in `Cache-Status`. */
const NAME = 'memcache-ts'

/** Returns the value of `Cache-Status` (RFC 9211): the member of this cache, after those of caches closer to the origin. */
export function cacheStatusField(status: CacheStatus, before?: string): string {
  const parts = [NAME]
  if (status.hit) {
    parts.push('hit')
  } else {
    if (status.forward !== undefined) parts.push(`fwd=${status.forward}`)
    if (status.forwardStatus !== undefined) parts.push(`fwd-status=${status.forwardStatus}`)
  }
  // Rounded up, so that it and an `Age` in whole seconds add up to the lifetime.
  if (status.ttlSeconds !== undefined) parts.push(`ttl=${Math.ceil(status.ttlSeconds)}`)
  if (!status.hit) {
    if (status.stored === true) parts.push('stored')
    if (status.collapsed === true) parts.push('collapsed')
    if (status.detail !== undefined) parts.push(`detail=${status.detail}`)
  }
  const ours = parts.join('; ')
  return before === undefined || before === '' ? ours : `${before}, ${ours}`
}
