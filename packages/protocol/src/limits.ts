/** Longest key in bytes (protocol.txt, "Keys"). */
export const MAX_KEY_BYTES = 250
/** Longest opaque token of a meta command, its `O` not counted. */
export const MAX_OPAQUE_BYTES = 31
/** A line this long without its end closes the connection, unless it is a `get` or `gets`. */
export const MAX_LINE_BYTES = 2048
/** Most words that one meta command may have, its own and the key among them. */
export const MAX_META_TOKENS = 20
/** Relative expiry ends here: a larger exptime is a Unix time (protocol.txt, "Expiration times"). */
export const MAX_RELATIVE_EXPTIME_SECONDS = 60 * 60 * 24 * 30
/** Where memcached listens unless told otherwise. */
export const DEFAULT_PORT = 11211
/** The item limit unless `-I` says otherwise. */
export const DEFAULT_ITEM_MAX_BYTES = 1024 * 1024

/** The largest item that memcached can be told to hold (`-I`, 1 GiB); an answer that announces more is broken. */
export const MAX_VALUE_BYTES = 1024 ** 3
