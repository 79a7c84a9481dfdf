import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { connect as connectTls } from 'node:tls'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, launchServer, readUntil, TestCertificates, until } from 'memcache-ts-testing'
import { afterAll, describe, expect, it } from 'vitest'
import { UdpClient } from './udp-client.ts'
import { readCommandLine } from '../src/cli/arguments.ts'
import { FLAGS } from '../src/cli/flags.ts'
import { MemcachedServer } from '../src/memcached-server.ts'

const CLI = fileURLToPath(new URL('../bin/memcache-ts-server.js', import.meta.url))

const MANY_SWITCHES = {
  disableEvictions: true,
  disableCas: true,
  disableFlushAll: true,
  disableDumping: true,
  disableWatch: true,
  enableShutdown: true,
  tuning: {},
}

const NO_MODERN = {
  tuning: {
    slabAutomove: 0,
    largestChunkBytes: 16_384,
    slabReassign: false,
    lruSegmented: false,
    lruCrawler: false,
    lruMaintainer: false,
  },
}

/** It requires a user when started as root, as tests in a container are. */
const AS_ROOT = process.getuid?.() === 0 ? ['-u', 'root'] : []

function run(...args: string[]): { out: string; errors: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(process.execPath, [CLI, ...AS_ROOT, ...args], { encoding: 'utf8' })
  return { out: stdout, errors: stderr, status }
}

describe('memcache-ts-server', () => {
  it('serves until it gets a signal', async () => {
    await using server = await launchServer({ memoryLimitMb: 8, args: ['-c', '5'] })
    const socket = connect(server.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('stats\r\n')
    const stats = await readUntil(socket, 'END\r\n')
    expect(stats).toContain(`STAT limit_maxbytes ${8 * 1024 * 1024}`)
    expect(stats).toContain('STAT max_connections 5')
    const closed = once(socket, 'close')
    process.kill(server.pid, 'SIGTERM')
    await closed
  })

  it('counts memory that it does not have for tests, as memcached: 4 GiB at once, with --debug-commands alone', () => {
    const environment = { T_MEMD_INITIAL_MALLOC: '4294967328' }
    const read = (...args: string[]): unknown => readCommandLine(args, environment)
    expect(read('-m', '4098', '--debug-commands')).toMatchObject({ options: { tuning: { reservedBytes: 4294967328 } } })
    expect(read('-m', '4098')).not.toMatchObject({ options: { tuning: { reservedBytes: 4294967328 } } })
    const store = (reservedBytes: number): MemcachedServer =>
      new MemcachedServer({ memoryLimitMb: 4098, tuning: { reservedBytes } })
    expect(store(4294967328).stats()['limit_maxbytes']).toBe(4098 * 1024 * 1024)
  })

  it('prints its version and its flags', () => {
    expect(run('-V')).toMatchObject({ status: 0, errors: '' })
    expect(run('-V').out).toMatch(/^memcache-ts-server \d+\.\d+\.\d+ \(memcached 1\.6\.45 compatible\)\n$/)
    expect(run('-h')).toMatchObject({ status: 0, errors: '' })
    expect(run('--help').out).toContain('-m, --memory-limit=<num>')
  })

  it.each([
    [['--fooble'], 'unknown flag --fooble; memcache-ts-server --help lists the flags'],
    [['-m', 'much'], "-m needs a whole number, got 'much'"],
    [['-m'], '-m needs a value: <num>'],
    [['-c', '0'], '-c must be at least 1, got 0'],
    [['-c', '-1'], "-c needs a whole number, got '-1'"],
    [['-t', '0'], '-t must be at least 1, got 0'],
    [['-R', '0'], '-R must be at least 1, got 0'],
    [['-B', 'http'], "-B must be one of auto, binary or ascii, got 'http'"],
    [['-I', '1000'], '-I must be a whole number from 1024'],
    [['-I', '40m'], 'must be at most half of -m (64): raise -m, or lower -I'],
    [['-I', '2q'], "-I needs a size such as 512k or 2m, got '2q'"],
    [['-f', '1'], "-f must be greater than 1, got '1'"],
    [['-p', '70000'], '-p needs a port from 1 to 65535, 0 or -1'],
    [['-o', 'fooble'], "-o has no word 'fooble'"],
    [['-o', 'slab_automove_window=2'], '-o slab_automove_window must be a whole number from 3 to 1800'],
    [['-o', 'hot_lru_pct'], '-o hot_lru_pct needs a value'],
    [['-o', 'hot_lru_pct=50,warm_lru_pct=50'], 'cannot be more than 80 together'],
    [['-o', 'slab_chunk_max=16384'], "is in kilobytes, from 1 to 1024, got '16384'"],
    [['-o', 'slab_chunk_max=300'], '-I (1048576) must be evenly divisible by -o slab_chunk_max'],
    [['-o', 'slab_sizes=200-100'], '-o slab_sizes must rise by more than 8 bytes each'],
    [['-S'], '-S needs passwords: set MEMCACHED_SASL_PWDB'],
    [['-S', '-B', 'auto'], 'ERROR: You cannot allow the ASCII protocol while using SASL.'],
    [['-S', '-B', 'binary', '-B', 'ascii'], 'ERROR: You cannot allow the ASCII protocol while using SASL.'],
    [['-S', '-U', '5'], 'ERROR: Cannot enable UDP while using binary SASL authentication.'],
    [['-S', '-Y', 'users'], '-S and -Y exclude each other'],
    [['-Y', '/nonexistent/users'], 'cannot read the authentication file /nonexistent/users: ENOENT'],
    [
      ['-Y', 'users', '-B', 'auto'],
      'ERROR: You cannot allow the BINARY protocol while using ascii authentication tokens.',
    ],
    [
      ['-Y', 'users', '-B', 'binary'],
      'ERROR: You cannot allow the BINARY protocol while using ascii authentication tokens.',
    ],
    [['-Y', 'users', '-U', '5'], 'Cannot use UDP with ascii authentication enabled (-U 0 to disable)'],
    [['-Z'], '-Z needs a certificate: add -o ssl_chain_cert=<file>,ssl_key=<file>'],
    [
      ['-Z', '-o', 'ssl_chain_cert=/nowhere.pem'],
      'Error loading the certificate chain: /nowhere.pem : error:80000002:',
    ],
    [['-Z', '-p', '0', '-o', 'ssl_chain_cert=a.pem'], 'ERROR: You cannot enable SSL without a TCP port.'],
    [['-o', 'ssl_verify_mode=4'], '-o ssl_verify_mode must be a whole number from 0 to 3'],
    [['-o', 'ssl_min_version=4'], '-o ssl_min_version must be a whole number from 0 to 3'],
    [['-o', 'ssl_keyformat=PEM'], '-o ssl_keyformat must be a whole number from 1 to 2'],
    [['-l', 'notls:127.0.0.1'], "'notls' option is valid only when SSL is enabled: add -Z"],
    [['-l', '127.0.0.1,mtls:127.0.0.1:1'], "'mtls' option is valid only when SSL is enabled: add -Z"],
    [['-u', 'nobody-of-that-name', '-p', '-1'], "there is no user 'nobody-of-that-name'"],
    [['-l', 'a:b:c:g'], "-l needs a host or host:port, got 'a:b:c:g'"],
    [['-l', 'no.such.host.invalid'], 'cannot listen on no.such.host.invalid:11211'],
    [['extra'], "unexpected argument 'extra'"],
  ])('ends at once on %j, with one line that says why', (args, message) => {
    const { errors, status } = run(...args)
    expect(errors).toContain(message)
    expect(errors.trimEnd().split('\n')).toHaveLength(1)
    expect(status).not.toBe(0)
  })

  it('refuses more connections than files can be open, as memcached; a server for tests warns', () => {
    // More than any kernel allows, so that root cannot raise the limit either.
    const tooMany = ['-c', '99999999999', '-l', 'no.such.host.invalid']
    const printed = /^memcache-ts-server: -c 99999999999 needs as many open files, but the limit is \d+: raise it .+\n$/
    expect(run(...tooMany)).toMatchObject({ status: 71, errors: expect.stringMatching(printed) })
    expect(run(...tooMany, '--debug-commands').errors).toMatch(/^memcache-ts-server: warning: -c 9.+\n.+cannot listen/)
  })

  it('reports that a port is in use', async () => {
    await using server = await launchServer()
    expect(run('-p', String(server.port)).errors).toContain(
      `cannot listen on 127.0.0.1:${server.port}: the port is in use`,
    )
  })
})

/** Ports that the server wrote to the file that MEMCACHED_PORT_FILENAME names, once it is there. */
async function readPorts(file: string): Promise<string> {
  await until(() => existsSync(file))
  return readFileSync(file, 'utf8')
}

describe('the address that it listens on', () => {
  const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-server-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  let files = 0

  async function start(...args: string[]): Promise<{ child: ChildProcess; ports: string } & AsyncDisposable> {
    const file = join(folder, `ports-${files++}`)
    const child = spawn(process.execPath, [CLI, ...AS_ROOT, ...args], {
      env: { ...process.env, MEMCACHED_PORT_FILENAME: file },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const exited = once(child, 'exit')
    const ports = await readPorts(file)
    return {
      child,
      ports,
      [Symbol.asyncDispose]: async () => {
        child.kill('SIGKILL')
        await exited
      },
    }
  }

  async function ask(where: { port: number } | { path: string }, request: string): Promise<string> {
    const socket = connect('port' in where ? { ...where, host: '127.0.0.1' } : where)
    await once(socket, 'connect')
    socket.write(request)
    const answer = await readUntil(socket, request.startsWith('stats') ? 'END\r\n' : '\r\n')
    socket.destroy()
    return answer
  }

  it('takes a free port with -p -1 and writes it to the file of MEMCACHED_PORT_FILENAME', async () => {
    await using server = await start('-p', '-1')
    expect(server.ports).toMatch(/^TCP INET: \d+\n$/)
    expect(await ask({ port: Number(server.ports.slice(10)) }, 'version\r\n')).toBe('VERSION 1.6.45\r\n')
  })

  it('listens on a list of addresses', async () => {
    const other = await freePort()
    await using server = await start('-p', '-1', '-l', `127.0.0.1,127.0.0.1:${other}`)
    const ports = [...server.ports.matchAll(/TCP INET: (\d+)/g)].map(([, port]) => Number(port))
    expect(ports).toHaveLength(2)
    expect(ports[1]).toBe(other)
    for (const port of ports) expect(await ask({ port }, 'mn\r\n')).toBe('MN\r\n')
  })

  it('listens on a unix socket with the mask of -a, over a stale one', async () => {
    const path = join(folder, 'socket')
    const first = await start('-s', path, '-a', '770')
    expect(statSync(path).mode & 0o777).toBe(0o770)
    expect(await ask({ path }, 'mn\r\n')).toBe('MN\r\n')
    await first[Symbol.asyncDispose]()
    expect(existsSync(path)).toBe(true)
    await using second = await start('-s', path)
    expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(second.ports).toBe('')
    expect(await ask({ path }, 'stats conns\r\n')).toContain(`:listen_addr unix:${path}\r\n`)
  })

  it('listens nowhere with -p 0', async () => {
    await using server = await start('-p', '0')
    expect(server.ports).toBe('')
  })

  it.each([
    [['-U', '-1'], /^TCP INET: \d+\nUDP INET: \d+\n$/],
    [['-p', '-1', '-U', '-1'], /^TCP INET: \d+\nUDP INET: \d+\n$/],
    [['-p', '0', '-U', '-1'], /^UDP INET: \d+\n$/],
    [['-p', '-1', '-U', '0'], /^TCP INET: \d+\n$/],
    [['-U', '-1', '-l', '127.0.0.1,127.0.0.2'], /^(TCP INET: \d+\n){2}(UDP INET: \d+\n){2}$/],
  ])('serves UDP where -U says, %j', async (args, lines) => {
    await using server = await start(...args)
    expect(server.ports).toMatch(lines)
    for (const [, port] of server.ports.matchAll(/UDP INET: (\d+)/g)) {
      await using client = await UdpClient.open(Number(port), args.includes('-l') ? '127.0.0.2' : '127.0.0.1')
      if (port === server.ports.match(/(\d+)\n$/)![1]) expect((await client.request('mn\r\n')).text).toBe('MN\r\n')
    }
  })

  it('has one port for TCP and UDP with -U alone', async () => {
    const port = await freePort()
    await using server = await start('-U', String(port))
    expect(server.ports).toBe(`TCP INET: ${port}\nUDP INET: ${port}\n`)
  })

  it('runs in the background with -d, and writes its process id', async () => {
    const pidfile = join(folder, 'pid')
    const port = await freePort()
    const { status, errors } = run('-d', '-P', pidfile, '-p', String(port))
    expect({ status, errors }).toEqual({ status: 0, errors: '' })
    const pid = Number(readFileSync(pidfile, 'utf8'))
    expect(await ask({ port }, 'stats\r\n')).toContain(`STAT pid ${pid}\r\n`)
    expect(run('-d', '-p', String(port))).toMatchObject({ status: 1 })
    process.kill(pid, 'SIGKILL')
  })

  it('continues to serve if its pid file cannot be written, and reports it', async () => {
    const server = await start('-p', '-1', '-P', '/nonexistent/pid')
    let printed = ''
    server.child.stderr!.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    const exited = once(server.child, 'close')
    expect(await ask({ port: Number(server.ports.slice(10)) }, 'mn\r\n')).toBe('MN\r\n')
    server.child.kill('SIGTERM')
    await exited
    expect(printed).toMatch(
      /^memcache-ts-server: warning: could not write the pid file \/nonexistent\/pid: ENOENT[^\n]*\n$/,
    )
  })

  it.runIf(process.getuid?.() === 0)(
    'runs as root only if -u root says so, and gives root up before it listens',
    async () => {
      const { status, stderr } = spawnSync(process.execPath, [CLI, '-p', '-1'], { encoding: 'utf8' })
      expect(status).toBe(64)
      expect(stderr).toMatch(/^memcache-ts-server: started as root without -u: .*-u root[^\n]*\n$/)
      expect(run('-u', 'nobody-of-that-name', '-p', '-1').status).toBe(67)
      chmodSync(folder, 0o777)
      const path = join(folder, 'nobodys')
      await using server = await start('-s', path, '-u', 'nobody')
      const { uid } = statSync(path)
      expect(uid).not.toBe(0)
      expect(readFileSync(`/proc/${server.child.pid}/status`, 'utf8')).toContain(
        `Uid:\t${uid}\t${uid}\t${uid}\t${uid}\n`,
      )
    },
  )

  it.runIf(process.getuid?.() === 0)(
    'reads a key that is root’s alone before root is given up; a refresh afterwards cannot, says so, and changes nothing',
    async () => {
      const certificates = new TestCertificates()
      try {
        const { cert, key } = certificates.issue('server')
        chmodSync(certificates.folder, 0o755)
        chmodSync(cert, 0o644)
        expect(statSync(key).mode & 0o077).toBe(0)
        chmodSync(folder, 0o777)
        const words = ['-Z', '-o', `ssl_chain_cert=${cert},ssl_key=${key}`, '-l', '127.0.0.1,notls:127.0.0.1']
        await using server = await start('-p', '-1', '-u', 'nobody', ...words)
        const [secure, plain] = [...server.ports.matchAll(/: (\d+)/g)].map((match) => Number(match[1]))
        expect(await ask({ port: plain! }, 'refresh_certs\r\n')).toBe(
          `Error loading the key: ${key} : error:8000000D:system library::Permission denied\r\n`,
        )
        const socket = connectTls({ port: secure!, host: '127.0.0.1', ca: readFileSync(certificates.ca.cert) })
        socket.write('mn\r\n')
        expect(await readUntil(socket, '\r\n')).toBe('MN\r\n')
        socket.destroy()
        // A file of passwords is read again while it runs: it has to be the user's to read.
        const users = join(folder, 'root-users')
        writeFileSync(users, 'a:b\n', { mode: 0o600 })
        const { status, errors } = run('-u', 'nobody', '-p', '-1', '-Y', users)
        expect(errors).toBe(`memcache-ts-server: cannot read ${users} as the user of -u: EACCES\n`)
        expect(status).toBe(64)
      } finally {
        certificates.dispose()
      }
    },
  )

  it('reads the certificates again on SIGHUP, and logs one line if it cannot', async () => {
    const certificates = new TestCertificates()
    try {
      const { cert, key } = certificates.issue('server')
      await using server = await launchServer({
        speaksText: false,
        args: ['-Z', '-o', `ssl_chain_cert=${cert},ssl_key=${key}`],
      })
      const subject = async (): Promise<string> => {
        const socket = connectTls({ port: server.port, host: '127.0.0.1', ca: readFileSync(certificates.ca.cert) })
        await once(socket, 'secureConnect')
        const { subject: names } = socket.getPeerCertificate()
        socket.destroy()
        return String(names.CN)
      }
      expect(await subject()).toBe('server')
      const next = certificates.issue('next')
      copyFileSync(next.cert, cert)
      copyFileSync(next.key, key)
      process.kill(server.pid, 'SIGHUP')
      await until(async () => (await subject()) === 'next')
      writeFileSync(key, 'nonsense')
      process.kill(server.pid, 'SIGHUP')
      await until(() => server.output.includes('the certificates stay as they were\n'))
      expect(await subject()).toBe('next')
    } finally {
      certificates.dispose()
    }
  })

  it('gives the unix socket its permissions from its first moment on', async () => {
    const before = process.umask(0)
    try {
      await using server = new MemcachedServer({ unixSocket: join(folder, 'moment'), unixSocketMode: 0o750 })
      const listening = server.listen()
      // Node has bound it within the call.
      expect(statSync(join(folder, 'moment')).mode & 0o777).toBe(0o750)
      await listening
      expect(process.umask()).toBe(0)
    } finally {
      process.umask(before)
    }
  })

  it.each([
    ['SIGTERM', 0],
    ['SIGINT', 0],
    ['SIGUSR1', 0],
  ] as const)('ends on %s', async (signal, code) => {
    const server = await start('-p', '-1')
    const exited = once(server.child, 'exit')
    server.child.kill('SIGHUP')
    expect(await ask({ port: Number(server.ports.slice(10)) }, 'mn\r\n')).toBe('MN\r\n')
    server.child.kill(signal)
    expect((await exited)[0]).toBe(code)
  })

  it.each(['shutdown', 'shutdown graceful'])('ends on %s when -A allows it', async (command) => {
    const server = await start('-p', '-1', '-A')
    const port = Number(server.ports.slice(10))
    expect(await ask({ port }, 'shutdown now\r\n')).toBe('CLIENT_ERROR invalid shutdown mode\r\n')
    const exited = once(server.child, 'exit')
    const socket = connect(port, '127.0.0.1')
    socket.write(`${command}\r\n`)
    expect((await exited)[0]).toBe(0)
    socket.destroy()
  })

  it('logs in one line which options have no effect', async () => {
    const args = ['-p', '-1', '-U', '0', '-k', '-L', '-r', '-t', '4', '-o', 'modern,hash_algorithm=xxh3,ext_threads=2']
    const server = await start(...args)
    let printed = ''
    server.child.stderr!.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    const exited = once(server.child, 'close')
    server.child.kill('SIGTERM')
    await exited
    expect(printed.trimEnd().split('\n')).toEqual([
      'memcache-ts-server: warning: -k has no effect: Node cannot lock memory',
      'memcache-ts-server: warning: -L has no effect: memory is allocated page by page',
      'memcache-ts-server: warning: -r has no effect: set the limit of core files where you start it',
      'memcache-ts-server: warning: -t 4 has no effect: there is one thread',
      'memcache-ts-server: warning: -o hash_algorithm,ext_threads has no effect',
    ])
  })
})

describe('readCommandLine', () => {
  it.each([
    ['-p 1 -m64 -c 9 -vv', { port: 1, memoryLimitMb: 64, maxConnections: 9, verbosity: 2, tuning: {} }],
    ['--port=0 --memory-limit 128', { port: 0, memoryLimitMb: 128, tuning: {} }],
    ['-p -1', { port: 0, tuning: {} }],
    ['-U 5', { port: 5, udpPort: 5, tuning: {} }],
    ['-p 4 -U 5', { port: 4, udpPort: 5, tuning: {} }],
    ['-l 0.0.0.0', { host: ['0.0.0.0'], tuning: {} }],
    ['-l 0.0.0.0:5,[::1]:6 -l ::1', { host: ['0.0.0.0:5', '[::1]:6', '::1'], tuning: {} }],
    ['-l proto[ascii]:tag[web]:127.0.0.1:5', { host: ['127.0.0.1:5'], tuning: {} }],
    ['-s /tmp/x -a 0770', { unixSocket: '/tmp/x', unixSocketMode: 0o770, tuning: {} }],
    ['-MCFXWA', MANY_SWITCHES],
    [
      '-I 2m -R 5 -b 99 -D |',
      { itemMaxBytes: 2_097_152, maxRequestsPerEvent: 5, backlog: 99, prefixDelimiter: '|', tuning: {} },
    ],
    ['-f 1.5 -n 100', { tuning: { growthFactor: 1.5, minItemBytes: 100 } }],
    [
      '-o no_lru_crawler,idle_timeout=7 -o hashpower=20',
      { idleTimeoutSeconds: 7, tuning: { lruCrawler: false, hashPower: 20 } },
    ],
    ['-o slab_automove=2,slab_chunk_max=16,no_modern', NO_MODERN],
    ['--debug-commands -B ascii', { debugCommands: true, protocol: 'ascii', tuning: {} }],
  ])('reads %s', (line, options) => {
    const commandLine = readCommandLine(line.split(' '))
    expect(commandLine.action === 'serve' && commandLine.options).toEqual(options)
  })

  it('accepts every flag and word of memcached 1.6.45', () => {
    const line =
      '-p 1 -U 0 -s /tmp/x -a 700 -A -l 127.0.0.1 -r -u nobody -m 64 -M -c 10 -k -v -P /tmp/pid -f 1.25 -n 48 -L -D : -t 4' +
      ' -R 20 -C -b 1024 -B auto -I 1m -F -X -W -e /tmp/memory -N 1 -o maxconns_fast,no_maxconns_fast,hashpower=16' +
      ',tail_repair_time=60,hash_algorithm=murmur3,lru_crawler,no_lru_crawler,lru_crawler_sleep=100,lru_crawler_tocrawl=0' +
      ',read_buf_mem_limit=0,resp_obj_mem_limit=0,no_lru_maintainer,lru_maintainer,hot_lru_pct=20,warm_lru_pct=40' +
      ',hot_max_factor=0.2,warm_max_factor=2,temporary_ttl=61,idle_timeout=0,slab_chunk_max=512,slab_sizes=100-200' +
      ',watcher_logbuf_size=256,worker_logbuf_size=64,track_sizes,no_hashexpand,modern,slab_reassign,no_slab_reassign' +
      ',slab_automove,slab_automove=1,no_slab_automove,slab_automove_ratio=0.8,slab_automove_window=10,no_chunked_items' +
      ',inline_ascii_resp,no_inline_ascii_resp,drop_privileges,no_drop_privileges,relaxed_privileges,sock_cookie_id=1' +
      ',ssl_chain_cert=a,ssl_key=b,ssl_verify_mode=0,ssl_keyformat=1,ssl_ciphers=c,ssl_ca_cert=d,ssl_wbuf_size=16' +
      ',ssl_session_cache,ssl_kernel_tls,ssl_min_version=2,ext_path=/tmp/e:1G,ext_page_size=64,ext_wbuf_size=4' +
      ',ext_threads=1,ext_io_depth=1,ext_item_size=512,ext_item_age=0,ext_low_ttl=0,ext_recache_rate=2000' +
      ',ext_compact_under=1,ext_drop_under=1,ext_max_sleep=1,ext_max_frag=0.8,ext_drop_unread,slab_automove_freeratio=0.01'
    expect(readCommandLine(line.split(' ')).action).toBe('serve')
  })

  it('accepts every flag by its long name too, and lists it in the help', () => {
    const help = run('--help').out
    for (const { long } of Object.values(FLAGS)) expect(help).toContain(`--${long}`)
    expect(help).toContain('unix-socket')
    expect(help).toContain('enable-ssl')
    expect(help).toContain('no_lru_maintainer'.replace('no_', ''))
  })
})
