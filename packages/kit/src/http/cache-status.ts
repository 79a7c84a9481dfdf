/** Why a request went on to the handler (RFC 9211, section 2.2). */
export type ForwardReason = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'miss' | 'request' | 'stale' | 'partial'

/** What a cache did with a request (RFC 9211). */
export type CacheStatus =
  | {
      readonly hit: true
      /** How long it is still fresh, in seconds; negative when it is stale. */
      readonly ttlSeconds: number
    }
  | {
      readonly hit: false
      readonly forward?: ForwardReason | undefined
      /** The handler's status, where the client got another one. */
      readonly forwardStatus?: number | undefined
      readonly ttlSeconds?: number | undefined
      readonly stored?: boolean | undefined
      /** Answered by what another request's handler gave. */
      readonly collapsed?: boolean | undefined
      readonly detail?: string | undefined
    }

/** The name that this cache has in `Cache-Status`. */
const NAME = 'memcache-ts'

/** `Cache-Status` (RFC 9211): what this cache did, behind what others closer to the origin did. */
export function cacheStatusField(status: CacheStatus, before?: string): string {
  const parts = [NAME]
  if (status.hit) {
    parts.push('hit')
  } else {
    if (status.forward !== undefined) parts.push(`fwd=${status.forward}`)
    if (status.forwardStatus !== undefined) parts.push(`fwd-status=${status.forwardStatus}`)
  }
  // With an Age of whole seconds it adds up to the lifetime.
  if (status.ttlSeconds !== undefined) parts.push(`ttl=${Math.ceil(status.ttlSeconds)}`)
  if (!status.hit) {
    if (status.stored === true) parts.push('stored')
    if (status.collapsed === true) parts.push('collapsed')
    if (status.detail !== undefined) parts.push(`detail=${status.detail}`)
  }
  const ours = parts.join('; ')
  return before === undefined || before === '' ? ours : `${before}, ${ours}`
}
