/**
 * The version that `version` and `stats` tell. Clients read from it what a server can do, so it is the memcached whose
 * behaviour ours is held against, as other drop-in servers do; `memcache-ts-server -V` names our own beside it.
 */
export const PROTOCOL_VERSION = '1.6.45'
