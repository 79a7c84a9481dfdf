/** The longest key, in bytes (protocol.txt, "Keys"). */
export const MAX_KEY_BYTES = 250
/** The longest opaque of a meta command, without its `O`. */
export const MAX_OPAQUE_BYTES = 31
/** The maximum length of an unfinished line, unless it is a `get` or `gets`: a longer line closes the connection. */
export const MAX_LINE_BYTES = 2048
/** The maximum number of words of a meta command, including its name and the key. */
export const MAX_META_TOKENS = 20
/** The longest relative exptime: a larger exptime is a Unix time (protocol.txt, "Expiration times"). */
export const MAX_RELATIVE_EXPTIME_SECONDS = 60 * 60 * 24 * 30
/** The default port of memcached. */
export const DEFAULT_PORT = 11211
/** The default item limit (`-I`). */
export const DEFAULT_ITEM_MAX_BYTES = 1024 * 1024

/** The largest item limit of memcached (`-I`, 1 GiB); a response that announces more is malformed. */
export const MAX_VALUE_BYTES = 1024 ** 3
