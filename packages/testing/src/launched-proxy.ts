import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { launchMemcached } from './launched-server.ts'
import type { LaunchedServer } from './launched-server.ts'
import { responds } from './responds.ts'

/** A running server or proxy that speaks memcached's protocol, until it is disposed of. */
export interface LaunchedProxy extends AsyncDisposable {
  /** `host:port`. */
  readonly address: string
  /** `host:port` of the memcached behind it; its own address if there is none. */
  readonly behind: string
}

/** Starts Debian's nutcracker (twemproxy) before a memcached. */
export async function launchNutcracker(): Promise<LaunchedProxy> {
  const server = await launchMemcached()
  const [port, statisticsPort] = [await freePort(), await freePort()]
  const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-nutcracker-'))
  const file = join(folder, 'nutcracker.yml')
  const pool = ['listen', `127.0.0.1:${port}`, 'hash', 'fnv1a_64', 'distribution', 'ketama', 'timeout', '2000']
  const lines = pool.flatMap((word, index) => (index % 2 === 0 ? [`  ${word}: ${pool[index + 1]}`] : []))
  writeFileSync(file, ['pool:', ...lines, '  servers:', `   - ${server.address}:1`, ''].join('\n'))
  const stop = await launch('nutcracker', ['-c', file, '-s', String(statisticsPort)], port)
  return proxyOf(server, { port, folder, stop })
}

/** Returns a proxy that ends with its server and its configuration. */
function proxyOf(
  server: LaunchedServer,
  { port, folder, stop }: { readonly port: number; readonly folder: string; readonly stop: () => Promise<unknown> },
): LaunchedProxy {
  return {
    address: `127.0.0.1:${port}`,
    behind: server.address,
    async [Symbol.asyncDispose]() {
      await stop()
      await server.kill()
      rmSync(folder, { recursive: true })
    },
  }
}

/** The memcached with a proxy that `.ci/build-memcached-proxy` makes; Debian's has none. */
export const MEMCACHED_PROXY = process.env['MEMCACHED_PROXY'] ?? '/usr/local/bin/memcached-proxy'

/** Starts memcached's own proxy before a memcached. */
export async function launchMemcachedProxy(): Promise<LaunchedProxy> {
  const server = await launchMemcached()
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-proxy-'))
  const file = join(folder, 'proxy.lua')
  writeFileSync(
    file,
    `function mcp_config_pools()
  return mcp.pool({ mcp.backend('behind', '${server.host}', '${server.port}') })
end
function mcp_config_routes(pool)
  mcp.attach(mcp.CMD_ANY_STORAGE, function(request) return pool(request) end)
end
`,
  )
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const stop = await launch(
    MEMCACHED_PROXY,
    [...user, '-l', '127.0.0.1', '-p', String(port), '-o', `proxy_config=${file}`],
    port,
  )
  return proxyOf(server, { port, folder, stop })
}

/** Starts Debian's yrmcds, a server with the classic text protocol. */
export async function launchYrmcds(): Promise<LaunchedProxy> {
  const [port, replicationPort] = [await freePort(), await freePort()]
  const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-yrmcds-'))
  const file = join(folder, 'yrmcds.conf')
  const options = [
    `virtual_ip = 127.0.0.1`,
    `port = ${port}`,
    `repl_port = ${replicationPort}`,
    `temp_dir = "${folder}"`,
  ]
  const user = process.getuid?.() === 0 ? ['user = root', 'group = root'] : []
  writeFileSync(file, [...user, ...options, 'log.threshold = error', 'buckets = 1000', 'workers = 2', ''].join('\n'))
  const stop = await launch('yrmcdsd', ['-f', file], port)
  const address = `127.0.0.1:${port}`
  return {
    address,
    behind: address,
    async [Symbol.asyncDispose]() {
      await stop()
      rmSync(folder, { recursive: true })
    },
  }
}

/** Starts a command and waits until it responds to `version` on a port; returns a function that ends it. */
async function launch(command: string, args: readonly string[], port: number): Promise<() => Promise<void>> {
  // Debian installs daemons in folders that are not on a user's PATH.
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` }
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  let printed = ''
  for (const output of [child.stdout, child.stderr]) output.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  const gone = once(child, 'exit')
  const ended = gone.then(([code]: unknown[]) => {
    throw new Error(`${command} ended with ${String(code)}: ${printed}`)
  })
  ended.catch(() => {})
  while (!(await Promise.race([responds(port, /^VERSION/), ended])))
    await new Promise((resolve) => setTimeout(resolve, 10))
  return async () => {
    child.kill('SIGKILL')
    await gone
  }
}
