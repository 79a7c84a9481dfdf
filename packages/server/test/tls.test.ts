import { once } from 'node:events'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectPlain, Socket } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import fc from 'fast-check'
import { FakeClock, TestCertificates, until } from 'memcache-ts-testing'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { MemcachedServer, MemcacheOptionError } from '../src/index.ts'
import type { MemcachedServerOptions, ServerTlsOptions } from '../src/index.ts'
import { ServerCounters } from '../src/stats/server-counters.ts'
import { TlsAcceptor } from '../src/tls/tls-acceptor.ts'
import { resolveTlsOptions } from '../src/tls/tls-options.ts'

const certificates = new TestCertificates()
const files = certificates.issue('server')
const clientFiles = certificates.issue('client')
const stranger = certificates.issue('stranger', { selfSigned: true })
const ca = readFileSync(certificates.ca.cert)
const tls: ServerTlsOptions = { chainCertFile: files.cert, keyFile: files.key }
const mutual: ServerTlsOptions = { ...tls, caCertFile: certificates.ca.cert }
const ours = { cert: readFileSync(clientFiles.cert), key: readFileSync(clientFiles.key) }
const theirs = { cert: readFileSync(stranger.cert), key: readFileSync(stranger.key) }

afterAll(() => certificates.dispose())
afterEach(() => {
  vi.useRealTimers()
})

async function serve(options: MemcachedServerOptions = {}): Promise<{ server: MemcachedServer; port: number }> {
  const server = new MemcachedServer({ port: 0, tls, ...options })
  const { port } = await server.listen()
  return { server, port }
}

/** A connection over TLS that has finished its handshake. */
async function secure(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', ca, ...options })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

/** Resolves when it is closed, for any reason: `once` would reject on an error before. */
function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

/** Sends a request and returns what is received until it ends with `end`, or the connection does. */
async function send(socket: Socket, request: string | Buffer, end = '\r\n'): Promise<string> {
  let received = ''
  const done = new Promise<void>((resolve) => {
    const take = (chunk: Buffer): void => {
      received += chunk.toString('latin1')
      if (!received.endsWith(end)) return
      socket.off('data', take)
      socket.off('close', resolve)
      resolve()
    }
    socket.on('data', take)
    socket.once('close', resolve)
  })
  socket.write(request)
  await done
  return received
}

/** Returns the reply that a client gets, or an empty reply if it is refused during or after the handshake. */
async function attempt(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', ca, ...options })
  socket.on('error', () => {})
  const closed = closeOf(socket)
  const reply = send(socket, 'mn\r\n')
  const text = await reply
  socket.destroy()
  await closed
  return text
}

describe('TLS', () => {
  /** Certificate × what is requested × version: which clients are served. */
  const cases = (['TLSv1.2', 'TLSv1.3'] as const).flatMap((version) =>
    (['none', 'request', 'require', 'once'] as const).flatMap((verifyMode) =>
      (['no', 'a valid', 'an invalid'] as const).map((certificate) => ({ version, verifyMode, certificate })),
    ),
  )
  it.each(cases)('$version, verifyMode $verifyMode, $certificate client certificate', async (one) => {
    const { server, port } = await serve({ tls: { ...mutual, verifyMode: one.verifyMode } })
    await using _ = server
    const shown = { no: {}, 'a valid': ours, 'an invalid': theirs }[one.certificate]
    const isServed =
      one.verifyMode === 'none' ||
      one.certificate === 'a valid' ||
      (one.verifyMode === 'request' && one.certificate === 'no')
    expect(await attempt(port, { ...shown, maxVersion: one.version })).toBe(isServed ? 'MN\r\n' : '')
    expect(server.stats()['ssl_handshake_errors']).toBe(isServed ? 0 : 1)
  })

  it('trusts no public authority to sign client certificates', async () => {
    const { server, port } = await serve({ tls: { ...tls, verifyMode: 'require' } })
    await using _ = server
    expect(await attempt(port, ours)).toBe('')
  })

  it('leaves each address its own rule by prefix', async () => {
    const host = ['127.0.0.1', 'notls:127.0.0.1', 'mtls:127.0.0.1', 'btls:127.0.0.1']
    const { server } = await serve({ host, tls: { ...mutual, verifyMode: 'require' } })
    await using _ = server
    const [byDefault, plain, mtls, btls] = [...server.portLines.matchAll(/: (\d+)/g)].map((match) => Number(match[1]))
    expect(await attempt(byDefault!, {})).toBe('')
    expect(await attempt(byDefault!, ours)).toBe('MN\r\n')
    expect(await attempt(mtls!, {})).toBe('')
    expect(await attempt(mtls!, ours)).toBe('MN\r\n')
    expect(await attempt(btls!, {})).toBe('MN\r\n')
    const socket = connectPlain(plain!, '127.0.0.1')
    expect(await send(socket, 'mn\r\n')).toBe('MN\r\n')
    socket.destroy()
  })

  it('refuses versions before minVersion', async () => {
    const { server, port } = await serve({ tls: { ...tls, minVersion: 'TLSv1.3' } })
    await using _ = server
    expect(await attempt(port, { maxVersion: 'TLSv1.2' })).toBe('')
    expect(await attempt(port, {})).toBe('MN\r\n')
  })

  it('refuses invalid arguments immediately, and names them', () => {
    const make = (options: object): MemcachedServer => new MemcachedServer({ tls: options as ServerTlsOptions })
    expect(() => make({})).toThrow(new MemcacheOptionError('tls.chainCertFile must name the certificate file'))
    expect(() => make({ cert: 'a' })).toThrow("tls has no option 'cert': `cert` is `chainCertFile` here")
    expect(() => make({ ...tls, verifyMode: 2 })).toThrow('tls.verifyMode must be one of none, request, require, once')
    expect(() => make({ ...tls, keyFile: clientFiles.key })).toThrow(/^Error loading the key: .*key values mismatch$/)
    expect(() => make({ ...tls, keyFile: files.cert })).toThrow(/^Error loading the key: /)
    expect(() => make({ ...tls, chainCertFile: files.key })).toThrow(
      /^Error loading the certificate chain: .*no start line$/,
    )
    expect(() => make({ ...tls, caCertFile: files.key })).toThrow(
      /^Error loading the CA certificate: .*no certificate or crl/,
    )
    expect(() => make({ ...tls, caCertFile: '/nowhere' })).toThrow(
      'Error loading the CA certificate: /nowhere : error:80000002:system library::No such file or directory',
    )
    expect(() => make({ ...tls, ciphers: 'no-such' })).toThrow('Error setting the provided cipher(s): no-such')
  })

  it('takes a key in DER, and one in the file of the certificate', async () => {
    const { createPrivateKey } = await import('node:crypto')
    const key = readFileSync(files.key)
    for (const type of ['pkcs8', 'sec1'] as const) {
      const der = join(certificates.folder, `key-${type}.der`)
      writeFileSync(der, createPrivateKey(key).export({ format: 'der', type }))
      const { server, port } = await serve({ tls: { ...tls, keyFile: der, keyFormat: 'der' } })
      await using _ = server
      expect(await attempt(port, {})).toBe('MN\r\n')
    }
    const both = join(certificates.folder, 'both.pem')
    writeFileSync(both, Buffer.concat([readFileSync(files.cert), key]))
    const { server, port } = await serve({ tls: { chainCertFile: both } })
    await using _ = server
    expect(await attempt(port, {})).toBe('MN\r\n')
  })
})

describe('sessions of TLS', () => {
  async function resume(from: number, to: number, version: 'TLSv1.2' | 'TLSv1.3'): Promise<boolean | undefined> {
    const first = connect({ port: from, host: '127.0.0.1', ca, maxVersion: version })
    const session = new Promise<Buffer>((resolve) => first.once('session', resolve))
    const none = send(first, 'mn\r\n').then(() => undefined)
    // Without tickets, a session of TLS 1.2 is reported too, and one of TLS 1.3 is not.
    const got = await Promise.race([session, none.then(() => new Promise((resolve) => setImmediate(resolve)))])
    first.destroy()
    const second = connect({
      port: to,
      host: '127.0.0.1',
      ca,
      maxVersion: version,
      ...(got === undefined ? {} : { session: got as Buffer }),
    })
    second.on('error', () => {})
    const reply = await send(second, 'mn\r\n')
    const isReused = second.isSessionReused()
    second.destroy()
    return reply === '' ? undefined : isReused
  }

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('are resumed with sessionCache alone, and counted (%s)', async (version) => {
    const without = await serve()
    await using _ = without.server
    expect(await resume(without.port, without.port, version)).toBe(false)
    expect(without.server.stats()['ssl_new_sessions']).toBe(undefined)
    const { server, port } = await serve({ tls: { ...tls, sessionCache: true } })
    await using __ = server
    expect(await resume(port, port, version)).toBe(true)
    expect(server.stats()['ssl_new_sessions']).toBe(1)
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'do not go from where no certificate is asked for to where one is required (%s)',
    async (version) => {
      const host = ['btls:127.0.0.1', 'mtls:127.0.0.1']
      const { server } = await serve({ host, tls: { ...mutual, sessionCache: true } })
      await using _ = server
      const [open, closed] = [...server.portLines.matchAll(/: (\d+)/g)].map((match) => Number(match[1]))
      expect(await resume(open!, closed!, version)).toBe(undefined)
    },
  )
})

describe('new authorities', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'end the sessions that the previous certificates have verified (%s)',
    async (version) => {
      const caFile = join(certificates.folder, 'changing-ca.pem')
      copyFileSync(certificates.ca.cert, caFile)
      const { server, port } = await serve({
        tls: { ...tls, caCertFile: caFile, verifyMode: 'require', sessionCache: true },
      })
      await using _ = server
      const first = connect({ port, host: '127.0.0.1', ca, ...ours, maxVersion: version })
      const told = once(first, 'session') as Promise<[Buffer]>
      expect(await send(first, 'mn\r\n')).toBe('MN\r\n')
      const [session] = await told
      first.destroy()
      server.reload()
      expect(await attempt(port, { ...ours, session, maxVersion: version })).toBe('MN\r\n')
      copyFileSync(stranger.cert, caFile)
      server.reload()
      expect(await attempt(port, { ...ours, session, maxVersion: version })).toBe('')
      expect(await attempt(port, { ...theirs, maxVersion: version })).toBe('MN\r\n')
    },
  )
})

describe('new certificates', () => {
  const live: ServerTlsOptions = {
    chainCertFile: join(certificates.folder, 'live.pem'),
    keyFile: join(certificates.folder, 'live.key'),
    caCertFile: join(certificates.folder, 'live-ca.pem'),
  }
  const [certPath, keyPath, caPath] = [live.chainCertFile, live.keyFile!, live.caCertFile!]

  function install(from: { cert: string; key: string }): void {
    copyFileSync(from.cert, certPath)
    copyFileSync(from.key, keyPath)
    copyFileSync(certificates.ca.cert, caPath)
  }

  async function servedBy(port: number): Promise<string> {
    const socket = await secure(port)
    const { subject } = socket.getPeerCertificate()
    socket.destroy()
    return String(subject.CN)
  }

  it.each(['refresh_certs', 'reload()'])('are taken by %s, for connections that come from then on', async (way) => {
    install(files)
    const { server, port } = await serve({ tls: live })
    await using _ = server
    const old = await secure(port)
    install(clientFiles)
    expect(await servedBy(port)).toBe('server')
    if (way === 'reload()') server.reload()
    else expect(await send(old, 'refresh_certs\r\n')).toBe('OK\r\n')
    expect(await servedBy(port)).toBe('client')
    expect(await send(old, 'mn\r\n')).toBe('MN\r\n')
    expect(old.getPeerCertificate().subject.CN).toBe('server')
    old.destroy()
  })

  it('change nothing if any file cannot be used, and the response and one line of the log give the reason', async () => {
    install(files)
    const clock = new FakeClock()
    const { server, port } = await serve({ tls: live, clock })
    await using _ = server
    const lines: string[] = []
    server.on('log', (line) => lines.push(line))
    const socket = await secure(port)
    clock.advanceSeconds(9)
    for (const [path, what] of [
      [certPath, 'the certificate chain'],
      [keyPath, 'the key'],
      [caPath, 'the CA certificate'],
    ] as const) {
      for (const content of [
        undefined,
        '',
        'garbage',
        '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      ]) {
        install(clientFiles)
        if (content === undefined) rmSync(path)
        else writeFileSync(path, content)
        const answer = await send(socket, 'refresh_certs\r\n')
        expect(answer).toMatch(new RegExp(`^Error loading ${what}: ${path} : error:[0-9A-F]{8}:[^:]*::[^:]+\r\n$`))
        expect(lines.splice(0)).toEqual([`${answer.trimEnd()}; the certificates stay as they were`])
        server.reload()
        expect(lines.splice(0)).toEqual([`${answer.trimEnd()}; the certificates stay as they were`])
        expect(await servedBy(port)).toBe('server')
      }
    }
    expect(server.stats()['time_since_server_cert_refresh']).toBe(9)
    install(clientFiles)
    expect(await send(socket, 'refresh_certs\r\n')).toBe('OK\r\n')
    expect(await servedBy(port)).toBe('client')
    expect(await send(socket, 'refresh_certs noreply\r\nmn\r\n')).toBe('MN\r\n')
    expect(server.stats()['time_since_server_cert_refresh']).toBe(0)
    socket.destroy()
  })

  it('are refused by a server without TLS', async () => {
    await using server = new MemcachedServer({ port: 0 })
    const { port } = await server.listen()
    const socket = connectPlain(port, '127.0.0.1')
    expect(await send(socket, 'refresh_certs\r\n')).toBe('Error TLS not enabled\r\n')
    // As memcached, which hides the success alone.
    expect(await send(socket, 'refresh_certs noreply\r\n')).toBe('Error TLS not enabled\r\n')
    socket.destroy()
  })

  it('come in the middle of connections that come and go', async () => {
    install(files)
    const { server, port } = await serve({ tls: live })
    await using _ = server
    const replies: string[] = []
    const clients = Array.from({ length: 8 }, async () => {
      for (let round = 0; round < 5; round++) replies.push(await attempt(port, {}))
    })
    const swaps = (async () => {
      for (let round = 0; round < 10; round++) {
        install(round % 2 === 0 ? clientFiles : files)
        server.reload()
        await attempt(port, {})
      }
    })()
    await Promise.all([...clients, swaps])
    expect(new Set(replies)).toEqual(new Set(['MN\r\n']))
    expect(server.stats()).toMatchObject({ ssl_handshake_errors: 0, ssl_proto_errors: 0 })
  })
})

describe('statistics of TLS', () => {
  it('have the lines of memcached in their place', async () => {
    const { server, port } = await serve({
      tls: { ...mutual, verifyMode: 'request', ciphers: 'HIGH', minVersion: 'TLSv1.3', writeBufferBytes: 65_536 },
    })
    await using _ = server
    const socket = await secure(port, ours)
    const settings = await send(socket, 'stats settings\r\n', 'END\r\n')
    expect(/STAT inline_ascii_response no\r\n(.*)STAT num_napi_ids/s.exec(settings)![1]).toBe(
      [
        ['ssl_enabled', 'yes'],
        ['ssl_chain_cert', files.cert],
        ['ssl_key', files.key],
        ['ssl_verify_mode', 1],
        ['ssl_keyformat', 1],
        ['ssl_ciphers', 'HIGH'],
        ['ssl_ca_cert', certificates.ca.cert],
        ['ssl_wbuf_size', 65_536],
        ['ssl_session_cache', 'no'],
        ['ssl_kernel_tls', 'no'],
        ['ssl_min_version', 'tlsv1.3'],
      ]
        .map(([name, value]) => `STAT ${name} ${value}\r\n`)
        .join(''),
    )
    expect(await send(socket, 'stats\r\n', 'END\r\n')).toMatch(
      /STAT log_watchers 0\r\nSTAT ssl_handshake_errors 0\r\nSTAT ssl_proto_errors 0\r\nSTAT time_since_server_cert_refresh \d\r\nSTAT unexpected_napi_ids/,
    )
    const conns = await send(socket, 'stats conns\r\n', 'END\r\n')
    expect(conns).toContain(`:listen_addr tcp:127.0.0.1:${port}\r\n`)
    expect(conns).toContain(`:addr tcp:127.0.0.1:${socket.localPort}\r\n`)
    socket.destroy()
  })

  it('report failed handshakes to watchers of connevents', async () => {
    const { server, port } = await serve()
    await using _ = server
    const watcher = await secure(port)
    expect(await send(watcher, 'watch connevents\r\n')).toBe('OK\r\n')
    const plain = connectPlain(port, '127.0.0.1')
    plain.on('error', () => {})
    const told = send(watcher, '', 'reason=error cfd=5\n')
    plain.write('get a\r\n')
    expect(await told).toMatch(
      /type=conn_new .* cfd=5\n.* type=conntlserr fd=5 msg=error:0A00010B:SSL routines::wrong version number\n.* type=conn_close .*reason=error cfd=5\n/,
    )
    watcher.destroy()
  })
})

describe('connections over TLS', () => {
  /** The end is sent to the client within TLS; otherwise the client would assume that an attacker cut off the response. */
  it.each([
    ['quit', 'quit\r\n'],
    ['a line that is too long', 'x'.repeat(9000)],
    ['idle_timeout', ''],
  ])('end with close_notify: %s', async (way, request) => {
    if (way === 'idle_timeout') vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const clock = new FakeClock()
    const { server, port } = await serve({ idleTimeoutSeconds: 3, clock })
    await using _ = server
    const socket = await secure(port)
    expect(await send(socket, 'mn\r\n')).toBe('MN\r\n')
    let hasError = false
    socket.on('error', () => (hasError = true))
    const ended = once(socket, 'end')
    const closed = closeOf(socket)
    socket.write(request)
    if (way === 'idle_timeout') {
      clock.advanceSeconds(4)
      vi.advanceTimersByTime(1000)
    }
    await ended
    await closed
    expect(hasError).toBe(false)
    expect(server.stats()).toMatchObject({ ssl_proto_errors: 0, idle_kicks: way === 'idle_timeout' ? 1 : 0 })
  })

  it('hold back replies for a client that does not read, and lose none', async () => {
    const { server, port } = await serve({ memoryLimitMb: 64 })
    await using _ = server
    const value = Buffer.alloc(700_000, 'v').toString()
    const slow = await secure(port)
    const other = await secure(port)
    expect(await send(slow, `set big 0 0 ${value.length}\r\n${value}\r\n`)).toBe('STORED\r\n')
    slow.pause()
    const gets = 100
    slow.write('get big\r\n'.repeat(gets))
    await until(async () => (await send(other, 'stats conns\r\n', 'END\r\n')).includes('conn_mwrite'))
    // The waiting response has the value that was read; another value under the key does not change it.
    expect(server.stats()['bytes_written']).toBeLessThan((gets / 2) * value.length)
    const changed = 'w'.repeat(value.length)
    expect(await send(other, `set big 0 0 ${value.length}\r\n${changed}\r\n`)).toBe('STORED\r\n')
    let received = ''
    const reply = 'VALUE big 0 700000\r\n'.length + value.length + '\r\nEND\r\n'.length
    await new Promise<void>((resolve) => {
      slow.on('data', (chunk: Buffer) => {
        received += chunk.toString('latin1')
        if (received.length === gets * reply) resolve()
      })
      slow.resume()
    })
    const values = [...received.matchAll(/VALUE big 0 700000\r\n([vw]+)\r\nEND\r\n/g)].map((match) => match[1]!)
    expect(values.length).toBe(gets)
    const olds = values.findIndex((one) => one === changed)
    expect(olds).toBeGreaterThan(0)
    expect(values.every((one, index) => one === (index < olds ? value : changed))).toBe(true)
    slow.destroy()
    other.destroy()
  })

  it('refuse renegotiation, which ends them', async () => {
    const { server, port } = await serve()
    await using _ = server
    const socket = await secure(port, { maxVersion: 'TLSv1.2' })
    const closed = closeOf(socket)
    socket.renegotiate({}, () => {})
    socket.write('mn\r\n')
    await closed
    expect(await attempt(port, {})).toBe('MN\r\n')
  })
})

describe('clients that speak no TLS, or not all of it', () => {
  it('are closed, after any first bytes, and others are served', async () => {
    const { server, port } = await serve()
    await using _ = server
    const other = await secure(port)
    const record = fc
      .tuple(fc.constantFrom(20, 21, 22, 23, 24), fc.constantFrom(0, 1, 2, 3, 4), fc.uint8Array({ maxLength: 64 }))
      .map(([type, minor, body]) => Buffer.from([type, 3, minor, 0, body.length, ...body]))
    const hello = fc
      .uint8Array({ minLength: 1, maxLength: 80 })
      .map((body) => Buffer.from([22, 3, 1, 0, body.length + 4, 1, 0, 0, body.length, ...body]))
    const first = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
      record,
      hello,
      fc.array(record, { maxLength: 4 }).map((records) => Buffer.concat(records)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(first, { minLength: 20, maxLength: 20 }), async (all) => {
        const closed = all.map(async (bytes) => {
          const socket = connectPlain(port, '127.0.0.1')
          socket.on('error', () => {})
          socket.on('data', () => {})
          socket.end(bytes)
          await closeOf(socket)
        })
        expect(await send(other, 'mn\r\n')).toBe('MN\r\n')
        await Promise.all(closed)
      }),
      { numRuns: Number(process.env['TLS_FUZZ_RUNS'] ?? 25) },
    )
    expect(await send(other, 'mn\r\n')).toBe('MN\r\n')
    // The last of them may still be on its way out.
    await until(() => server.stats()['curr_connections'] === 1)
    other.destroy()
  })

  it('have handshakeTimeoutSeconds, even if they make slow progress', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const clock = new FakeClock()
    const { server, port } = await serve({ tls: { ...tls, handshakeTimeoutSeconds: 3 }, clock })
    await using _ = server
    const other = await secure(port)
    const slow = connectPlain(port, '127.0.0.1')
    slow.on('error', () => {})
    const closed = closeOf(slow)
    slow.write(Buffer.from([22]))
    await until(() => server.stats()['curr_connections'] === 2)
    for (const byte of [3, 1, 0]) {
      clock.advanceSeconds(1)
      slow.write(Buffer.from([byte]))
      expect(await send(other, 'mn\r\n')).toBe('MN\r\n')
      vi.advanceTimersByTime(1000)
    }
    await closed
    expect(await send(other, 'mn\r\n')).toBe('MN\r\n')
    expect(server.stats()['curr_connections']).toBe(1)
    other.destroy()
  })

  it('count for maxConnections, and are gone when they break off', async () => {
    const { server, port } = await serve({ maxConnections: 2 })
    await using _ = server
    const half = [connectPlain(port, '127.0.0.1'), connectPlain(port, '127.0.0.1')]
    for (const socket of half) {
      socket.on('error', () => {})
      socket.write(Buffer.from([22, 3, 1]))
    }
    await until(() => server.stats()['curr_connections'] === 2)
    const third = connectPlain(port, '127.0.0.1')
    expect(await send(third, '')).toBe('ERROR Too many open connections\r\n')
    half[0]!.resetAndDestroy()
    half[1]!.destroy()
    await until(() => server.stats()['curr_connections'] === 0)
    expect(await attempt(port, {})).toBe('MN\r\n')
  })

  it('are each counted off when many break off at once, before and after they are accepted', async () => {
    const { server, port } = await serve()
    await using _ = server
    let connected = 0
    for (let round = 0; round < 10; round++) {
      const sockets = Array.from({ length: 20 }, () => connectPlain(port, '127.0.0.1'))
      const closed = sockets.map(async (socket) => {
        socket.on('error', () => {})
        const end = closeOf(socket)
        await once(socket, 'connect')
        connected++
        socket.resetAndDestroy()
        await end
      })
      await Promise.all(closed)
    }
    expect(connected).toBe(200)
    await until(() => {
      const { total_connections: total, curr_connections: open } = server.stats()
      return total === 200 && open === 0
    })
    expect(await attempt(port, {})).toBe('MN\r\n')
  })

  it('whose addresses are no longer known are counted off too', () => {
    const counters = new ServerCounters()
    const abandoned: number[] = []
    const acceptor = new TlsAcceptor(resolveTlsOptions(tls), {
      counters,
      now: () => 0,
      secured: () => {},
      failed: () => {},
      abandoned: ({ id }) => abandoned.push(id),
    })
    const sockets = [1, 2, 3].map((id) => {
      const socket = new Socket()
      const ends = { id, peer: '', listenAddress: '', remoteAddress: undefined, remotePort: undefined }
      acceptor.accept(socket, 'none', ends)
      return socket
    })
    for (const socket of sockets) socket.emit('close', false)
    expect(abandoned).toEqual([1, 2, 3])
    expect([...acceptor.pending]).toEqual([])
    acceptor.close()
  })

  it('do not hold up close()', async () => {
    const { server, port } = await serve()
    const half = connectPlain(port, '127.0.0.1')
    half.on('error', () => {})
    const closed = closeOf(half)
    half.write(Buffer.from([22, 3, 1]))
    await until(() => server.stats()['curr_connections'] === 1)
    await server.close()
    await closed
    expect(server.stats()['curr_connections']).toBe(0)
  })
})
