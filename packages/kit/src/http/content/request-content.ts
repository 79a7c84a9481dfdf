/** The content of a request, as far as it is known before its handler runs. */
export type RequestContent =
  /** The bytes as they came. The handler can still read them. */
  | { readonly kind: 'whole'; readonly bytes: Uint8Array }
  /**
   * The bytes were read before the cache: this is what a body parser made of them, encoded so that no two values are
   * the same. The request cannot be made again.
   */
  | { readonly kind: 'parsed'; readonly bytes: Uint8Array }
  /** It is too large, or it is not known what the handler will see of it. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** The client left before it had sent all of it. */
  | { readonly kind: 'gone' }

/** Content that can be part of a key. */
export type KnownContent = Extract<RequestContent, { kind: 'whole' | 'parsed' }>

/** Content that is larger is not read: the request goes to its handler. In bytes. */
export const MAX_CONTENT_BYTES = 1_048_576

export const NO_CONTENT: KnownContent = { kind: 'whole', bytes: Buffer.alloc(0) }
export const TOO_LARGE: RequestContent = { kind: 'unknown', reason: 'content-too-large' }
