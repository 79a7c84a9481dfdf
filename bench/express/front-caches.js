// Debian's nginx and Varnish as caches in front of an application: what a hit costs that never reaches Node.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from 'memcache-ts-testing'

/** Clock ticks a second of /proc on Linux. */
const TICKS = 100

/** Whether a program is installed. */
export function isInstalled(program) {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** nginx with `proxy_cache` in shared memory and one worker. */
export async function launchNginx(origin) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-nginx-'))
  const port = await freePort()
  const config = `
${process.getuid() === 0 ? 'user root;' : ''} daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 100000000;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=pages:10m;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://127.0.0.1:${origin}; proxy_cache pages; proxy_http_version 1.1; }
  }
}`
  writeFileSync(join(folder, 'nginx.conf'), config)
  const child = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder, '-e', join(folder, 'error.log')])
  return opened(child, port, folder)
}

/** Varnish with its storage in memory. */
export async function launchVarnish(origin) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-varnish-'))
  // Its child is another user.
  chmodSync(folder, 0o755)
  const port = await freePort()
  const args = ['-F', '-n', folder, '-a', `127.0.0.1:${port}`, '-b', `127.0.0.1:${origin}`, '-s', 'malloc,64m']
  const child = spawn('varnishd', args, { stdio: 'ignore' })
  return opened(child, port, folder)
}

async function opened(child, port, folder) {
  child.once('error', (error) => console.error(error.message))
  await listening(port, child)
  return {
    port,
    pids: () => familyOf(child.pid),
    /** Processor time of all its processes so far, in microseconds. */
    cpuMicroseconds: () => familyOf(child.pid).reduce((sum, pid) => sum + cpuOf(pid), 0),
    async stop() {
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function familyOf(pid) {
  const pids = [pid]
  for (const parent of pids) {
    const text = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
    pids.push(...text.split(' ').filter(Boolean).map(Number))
  }
  return pids
}

function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS
}

async function listening(port, child) {
  for (let attempt = 0; attempt < 100 && child.exitCode === null; attempt++) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await new Promise((resolve) =>
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false)),
    )
    socket.destroy()
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`nothing listens on port ${port}`)
}
