/**
 * The version that `version` and `stats` return. Clients derive the features of a server from it, so it is that of the
 * memcached whose behaviour this server has; `memcache-ts-server -V` also prints the version of the package.
 */
export const PROTOCOL_VERSION = '1.6.45'
