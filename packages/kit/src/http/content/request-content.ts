/** The content of a request, as far as it is known before its handler runs. */
export type RequestContent =
  /** The bytes as they were received. The handler can still read them. */
  | { readonly kind: 'whole'; readonly bytes: Uint8Array }
  /**
   * A body parser before the cache has read the bytes. These bytes encode the parsed value, and differ if the value
   * differs. The request cannot be repeated.
   */
  | { readonly kind: 'parsed'; readonly bytes: Uint8Array }
  /** The content is too large, or it is not known what the handler will see. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** The client disconnected before it had sent the whole content. */
  | { readonly kind: 'gone' }

/** Content that can be part of a key. */
export type KnownContent = Extract<RequestContent, { kind: 'whole' | 'parsed' }>

/** The maximum content in a key, in bytes; a request with more goes to the handler. */
export const MAX_CONTENT_BYTES = 1_048_576

export const NO_CONTENT: KnownContent = { kind: 'whole', bytes: Buffer.alloc(0) }
export const TOO_LARGE: RequestContent = { kind: 'unknown', reason: 'content-too-large' }
