/**
 * Exchanges that ours answers otherwise than memcached 1.6.45, each with the reason, by the packets sent.
 *
 * @type {Readonly<Record<string, string>>}
 */
export const KNOWN_DIFFERENCES = {
  'mg djQ= b N30 k v\\r\\nmg djQ= b k v\\r\\nmg v4 k v\\r\\nmd djQ= b k q\\r\\nmg v4\\r\\n':
    'An item that `mg … N` makes for a base64 key: memcached forgets that the key is binary and returns its bytes as they ' +
    'are, which may hold a line end. protocol.txt ("Meta Get") has `b` for the key to be taken and returned as base64.',
}
