/** The two ends of a connection, as `stats conns` names them. */
export interface ConnectionEnds {
  /** Its number in `stats conns`. */
  readonly id: number
  readonly peer: string
  readonly listenAddress: string
  /** Both are `undefined` if the connection does not come over the network. */
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
}

/** Returns an address as `stats conns` shows it. */
export function peerText(host: string | undefined, port: number | undefined): string {
  if (host === undefined) return 'unix:'
  return host.includes(':') ? `tcp6:[${host}]:${port}` : `tcp:${host}:${port}`
}
