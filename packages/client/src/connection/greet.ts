import { formatAuth, formatVersion, MemcacheAuthError, Opcode, speaksMeta } from 'memcache-ts-protocol'
import { binaryDialect } from '../dialects/binary/binary-dialect.ts'
import type { Dialect, DialectName } from '../dialects/dialect.ts'
import { metaDialect } from '../dialects/meta/meta-dialect.ts'
import { textDialect } from '../dialects/text/text-dialect.ts'
import type { LinesRequest } from '../operations/lines-operation.ts'

/** Who the client says it is. */
export interface Credentials {
  readonly username: string
  readonly password: string
}

/** `version`, which every server answers. */
export const VERSION_REQUEST: LinesRequest = { text: formatVersion(), binary: { opcode: Opcode.version } }

/** The dialect that a connection begins with. */
export function firstDialect(sasl: boolean): Dialect {
  return sasl ? binaryDialect : textDialect
}

/**
 * What is said on a new connection before anything else: credentials where there are any, and then the question for the
 * version. The server is there when it has answered; what follows is in the dialect that this resolves to.
 * @param ask sends a request in the connection's first dialect.
 * @throws MemcacheAuthError when the credentials are refused.
 */
export async function greet(
  ask: (request: LinesRequest) => Promise<string[]>,
  sasl: boolean,
  credentials: Credentials | undefined,
  protocol: DialectName | 'auto',
): Promise<Dialect> {
  if (credentials !== undefined) {
    const { username, password } = credentials
    if (sasl) {
      const value = `\0${username}\0${password}`
      await ask({ text: '', binary: { opcode: Opcode.saslAuth, key: 'PLAIN', value } })
    } else {
      const [line] = await ask({ text: formatAuth(username, password) })
      if (line !== 'STORED') throw new MemcacheAuthError(`the server answered ${line} to the credentials`)
    }
  }
  const [version = ''] = await ask(VERSION_REQUEST)
  if (sasl) return binaryDialect
  const meta = protocol === 'auto' ? speaksMeta(version.replace('VERSION ', '')) : protocol === 'meta'
  return meta ? metaDialect : textDialect
}
