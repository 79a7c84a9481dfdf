import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeWithCommand, launchServer } from 'memcache-ts-testing'
import { expect, it } from 'vitest'

/** Debian's own, regardless of the path. */
const PYTHON = '/usr/bin/python3'

/** Clients that we did not write, as Debian has them, against our command line. */
function python(script: string, port: number): string {
  const path = fileURLToPath(new URL(`debian-clients/${script}`, import.meta.url))
  const { stdout, stderr } = spawnSync(PYTHON, [path, String(port)], { encoding: 'utf8' })
  return stderr === '' ? stdout.trim() : stderr
}

describeWithCommand(
  { command: [PYTHON, '-c', 'import pymemcache'], debianPackage: 'python3-pymemcache' },
  'pymemcache',
  () => {
    it('stores, fetches, compares and swaps, counts, lists statistics, flushes', async () => {
      await using server = await launchServer()
      expect(python('pymemcache-client.py', server.port)).toBe('ok')
    })
  },
)

describeWithCommand({ command: [PYTHON, '-c', 'import pylibmc'], debianPackage: 'python3-pylibmc' }, 'pylibmc', () => {
  it('stores, fetches, compares and swaps, counts, compresses, flushes', async () => {
    await using server = await launchServer()
    expect(python('pylibmc-client.py', server.port)).toBe('ok')
  })
})

describeWithCommand(
  { command: ['memccapable', '--version'], debianPackage: 'libmemcached-tools' },
  'libmemcached’s tools',
  () => {
    it('memccapable finds every ASCII command, except for a delete with a time, as with memcached 1.6.45', async () => {
      await using server = await launchServer()
      const { stdout } = spawnSync('memccapable', ['-a', '-h', '127.0.0.1', '-p', String(server.port)], {
        encoding: 'utf8',
      })
      // Failures are printed on standard error, so the name has no result here.
      const results = [...stdout.matchAll(/(ascii \w+(?: \w+)*) {2,}(\[pass\])?/g)]
      expect(results).toHaveLength(27)
      const failed = results.filter(([, , passed]) => passed === undefined).map(([, name]) => name)
      expect(failed).toEqual(['ascii delete', 'ascii delete noreply'])
    })

    it('memccapable finds every binary command', async () => {
      await using server = await launchServer()
      const args = ['-b', '-h', '127.0.0.1', '-p', String(server.port)]
      const { stdout, status } = spawnSync('memccapable', args, { encoding: 'utf8' })
      expect(stdout.match(/^binary \w+ +\[pass\]$/gm)).toHaveLength(27)
      expect(status).toBe(0)
    })

    it('copy, show, touch and remove', async () => {
      await using server = await launchServer()
      const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-tools-'))
      const tool = (name: string, ...args: string[]): string =>
        execFileSync(name, [`--servers=127.0.0.1:${server.port}`, ...args], { encoding: 'utf8', cwd: folder })
      try {
        writeFileSync(join(folder, 'one.txt'), 'first\n')
        writeFileSync(join(folder, 'two.txt'), 'x'.repeat(100_000))
        tool('memccp', 'one.txt', 'two.txt')
        expect(tool('memccat', 'one.txt')).toContain('first')
        tool('memccat', '--file=copy.txt', 'two.txt')
        expect(readFileSync(join(folder, 'copy.txt'), 'utf8')).toBe('x'.repeat(100_000))
        expect(tool('memcexist', 'one.txt')).toBe('')
        tool('memctouch', 'one.txt')
        expect(tool('memcping')).toBe('')
        expect(tool('memcstat')).toContain('version: 1.6.45')
        tool('memcrm', 'one.txt')
        expect(spawnSync('memcexist', [`--servers=127.0.0.1:${server.port}`, 'one.txt']).status).not.toBe(0)
        tool('memcflush')
        expect(spawnSync('memcexist', [`--servers=127.0.0.1:${server.port}`, 'two.txt']).status).not.toBe(0)
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  },
)
