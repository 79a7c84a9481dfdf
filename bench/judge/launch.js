import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, connect } from 'node:net'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../packages/server/bin/memcache-ts-server.js', import.meta.url))

/** Starts a server, on a free port unless one is given: ours as built, or the real memcached. */
export async function launch({ realMemcached = false, memoryLimitMb = 64, port: given } = {}) {
  const port = given ?? (await freePort())
  // Both servers require a user when they are started as root.
  const asRoot = process.getuid() === 0 ? ['-u', 'root'] : []
  const [command, args] = realMemcached
    ? ['memcached', [...asRoot, '-l', '127.0.0.1', '-t', '1']]
    : [process.execPath, [CLI, ...asRoot]]
  const child = spawn(command, [...args, '-p', String(port), '-m', String(memoryLimitMb)], { stdio: 'ignore' })
  child.once('error', (error) => {
    console.error(`${command} could not be started: ${error.message}`)
    process.exit(1)
  })
  while (!(await answers(port))) {
    const { exitCode, signalCode } = child
    if (exitCode !== null || signalCode !== null) throw new Error(`${command} ended with ${signalCode ?? exitCode}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return { port, address: `127.0.0.1:${port}`, pid: child.pid, stop: () => child.kill('SIGKILL') }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function answers(port) {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
