/** memcached keeps received bytes, and the responses that it has not sent, in buffers of this size. */
const BUFFER_BYTES = 16 * 1024
/** The number of responses that fit one of memcached's buffers. */
const RESPONSES_PER_BUFFER = 13

/**
 * How many responses may wait under a limit of memcached's `read_buf_mem_limit`, of which each thread gets a share: one
 * buffer of the share is the one that the thread reads into.
 */
export function pendingResponses(limitBytes: number, threads: number): number {
  const buffers = Math.floor(limitBytes / threads / BUFFER_BYTES)
  return Math.max(1, buffers - 1) * RESPONSES_PER_BUFFER
}

/** The limit in bytes that `maxPendingResponses` stands for; 0 for no limit. */
export function readBufferLimit(maxPendingResponses: number): number {
  return maxPendingResponses === 0 ? 0 : (Math.ceil(maxPendingResponses / RESPONSES_PER_BUFFER) + 1) * BUFFER_BYTES
}
