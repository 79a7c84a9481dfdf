import { MemcacheProtocolError } from 'memcache-ts-protocol'
import type { LinesRequest } from '../operations/lines-operation.ts'
import type { ServerAddress } from '../server-address.ts'

/** The request to a configuration endpoint: ElastiCache from 1.4.14 on, and Memorystore. */
export const CONFIGURATION_REQUEST: LinesRequest = { text: 'config get cluster\r\n', untilEnd: true }
/** The request to an older ElastiCache, which has the configuration as an item. */
export const OLD_CONFIGURATION_REQUEST: LinesRequest = { text: 'get AmazonElastiCache:cluster\r\n', untilEnd: true }

/** The length of the excerpt of an invalid response in an error. */
const EXCERPT_LENGTH = 200

/** A cluster as its configuration endpoint describes it. */
export interface ClusterConfiguration {
  /** The line of nodes as it was sent; it shows changes, since a node's address can change without the version. */
  readonly text: string
  readonly servers: readonly ServerAddress[]
}

/**
 * Reads the response of a configuration endpoint: a head, the version, and the nodes as `host|ip|port`; the ip may be
 * empty.
 *
 * @throws MemcacheProtocolError if the response is not a configuration.
 */
export function parseConfiguration(lines: readonly string[], endpoint: string): ClusterConfiguration {
  const [head = '', version = '', text = ''] = lines
  const nodes = text.split(' ').filter((node) => node !== '')
  if (
    !/^(CONFIG cluster|VALUE AmazonElastiCache:cluster) /.test(head) ||
    !/^\d+$/.test(version) ||
    nodes.length === 0
  ) {
    const answered = JSON.stringify(lines).slice(0, EXCERPT_LENGTH)
    throw new MemcacheProtocolError(`${endpoint} is no configuration endpoint: it answered ${answered}`)
  }
  const servers = nodes.map((node) => parseNode(node, endpoint))
  // A node that is listed twice is one server.
  return { text, servers: [...new Map(servers.map((server) => [`${server.name} ${server.ip}`, server])).values()] }
}

function parseNode(node: string, endpoint: string): ServerAddress {
  const [host = '', ip = '', port = ''] = node.split('|')
  const name = host === '' ? ip : host
  const isPort = /^\d+$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535
  if (name === '' || !isPort) {
    throw new MemcacheProtocolError(`${endpoint} told of a node that cannot be: ${JSON.stringify(node)}`)
  }
  return { name: `${name}:${Number(port)}`, host: name, port: Number(port), weight: 1, ...(ip === '' ? {} : { ip }) }
}
