import { spawnSync } from 'node:child_process'
import { connect } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { launchServer } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { readCommandLine } from '../src/cli/arguments.ts'

const CLI = fileURLToPath(new URL('../bin/memcache-ts-server.js', import.meta.url))

function run(...args: string[]): { out: string; errors: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' })
  return { out: stdout, errors: stderr, status }
}

describe('memcache-ts-server', () => {
  it('serves until it is told to end', async () => {
    await using server = await launchServer({ memoryLimitMb: 8, args: ['-c', '5'] })
    const socket = connect(server.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('stats\r\n')
    const [stats] = (await once(socket, 'data')) as [Buffer]
    expect(stats.toString()).toContain(`STAT limit_maxbytes ${8 * 1024 * 1024}`)
    expect(stats.toString()).toContain('STAT max_connections 5')
    const closed = once(socket, 'close')
    process.kill(server.pid, 'SIGTERM')
    await closed
  })

  it('tells its version and its flags', () => {
    expect(run('-V')).toMatchObject({ status: 0, errors: '' })
    expect(run('-V').out).toMatch(/^memcache-ts-server \d+\.\d+\.\d+ \(memcached 1\.6\.45 compatible\)\n$/)
    expect(run('-h')).toMatchObject({ status: 0, errors: '' })
    expect(run('--help').out).toContain('-m, --memory-limit=<num>')
  })

  it.each([
    [['--fooble'], "Unknown option '--fooble'"],
    [['-m', 'much'], "-m wants a whole number, got 'much'"],
    [['-c', '0'], 'maxConnections must be a whole number from 1'],
    [['-l', 'a:b:c:g'], "-l wants a host or host:port, got 'a:b:c:g'"],
    [['-l', 'no.such.host.invalid'], 'cannot listen on no.such.host.invalid:11211'],
    [['extra'], "Unexpected argument 'extra'"],
  ])('ends at once on %j, with one line that says why', (args, message) => {
    const { errors, status } = run(...args)
    expect(errors).toContain(message)
    expect(errors.trimEnd().split('\n')).toHaveLength(1)
    expect(status).not.toBe(0)
  })

  it('tells that a port is taken', async () => {
    await using server = await launchServer()
    expect(run('-p', String(server.port)).errors).toContain(
      `cannot listen on 127.0.0.1:${server.port}: the port is in use`,
    )
  })
})

describe('readCommandLine', () => {
  it.each([
    ['-p 1 -m64 -c 9 -vv', { port: 1, memoryLimitMb: 64, maxConnections: 9, verbosity: 2, host: undefined }],
    ['--port=0 --memory-limit 128', { port: 0, memoryLimitMb: 128, verbosity: 0 }],
    ['-l 0.0.0.0', { host: '0.0.0.0', port: undefined }],
    ['-l 0.0.0.0:5', { host: '0.0.0.0', port: 5 }],
    ['-l [::1]:5', { host: '::1', port: 5 }],
    ['-l ::1', { host: '::1', port: undefined }],
  ])('reads %s', (line, options) => {
    expect(readCommandLine(line.split(' '))).toMatchObject({ action: 'serve', options })
  })
})
