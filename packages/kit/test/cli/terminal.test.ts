import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { MemcachedClient } from 'memcache-ts-client'
import { describeWithCommand, launchMemcached, launchServer } from 'memcache-ts-testing'
import { expect, it } from 'vitest'

const BIN = fileURLToPath(new URL('../../bin/memcache-ts.js', import.meta.url))

/** A command under a pseudo-terminal (util-linux's `script`), as a person sees it. */
class TerminalSession implements Disposable {
  text = ''
  readonly #child: ChildProcess
  readonly #waiters = new Set<() => void>()
  readonly #ended: Promise<unknown>

  constructor(args: readonly string[]) {
    const command = [process.execPath, BIN, ...args].map((word) => `'${word}'`).join(' ')
    this.#child = spawn('script', ['-qec', command, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm', NO_COLOR: '' },
    })
    this.#child.stdout!.on('data', (chunk: Buffer) => {
      this.text += chunk.toString()
      for (const check of this.#waiters) check()
    })
    // After its output, which `exit` may overtake.
    this.#ended = once(this.#child, 'close')
  }

  /** Waits until the screen has shown something. */
  async shows(pattern: RegExp): Promise<void> {
    const shown = new Promise<void>((resolve) => {
      const check = (): void => {
        if (!pattern.test(this.text)) return
        this.#waiters.delete(check)
        resolve()
      }
      this.#waiters.add(check)
      check()
    })
    const ended = this.#ended.then(() => {
      throw new Error(`the command ended before ${pattern}, after ${JSON.stringify(this.text)}`)
    })
    await Promise.race([shown, ended])
  }

  type(keys: string): void {
    this.#child.stdin!.write(keys)
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }

  /** Its exit status. */
  async end(): Promise<number | null> {
    await this.#ended
    return this.#child.exitCode
  }
}

describeWithCommand(
  { command: ['script', '--version'], debianPackage: 'bsdutils' },
  'memcache-ts on a terminal',
  () => {
    it.each([
      ['our server', launchServer],
      ['memcached', launchMemcached],
    ])('top draws again and again on %s, pauses, and gives the screen back', async (_, launch) => {
      await using server = await launch()
      using session = new TerminalSession(['top', server.address, '--interval-seconds', '0.1'])
      await session.shows(/operations\/s/)
      expect(session.text).toContain('\u001b[?1049h')
      expect(session.text).toContain(server.address)
      const drawn = session.text.length
      await session.shows(new RegExp(`^[^]{${drawn + 1},}operations/s`))
      session.type('q')
      expect(await session.end()).toBe(0)
      expect(session.text).toContain('\u001b[?25h\u001b[?1049l')
    })

    it('top ends with Ctrl-C and leaves the cursor visible', async () => {
      await using server = await launchServer()
      using session = new TerminalSession(['top', server.address])
      await session.shows(/q ends/)
      session.type('\u0003')
      expect(await session.end()).toBe(0)
      expect(session.text).toContain('\u001b[?25h')
    })

    it('flush requires a confirmation, and does nothing unless the input is "flush"', async () => {
      await using server = await launchServer()
      await using client = new MemcachedClient({ servers: server.address, timeoutMs: 20_000 })
      await client.set('k', 'v')
      using refused = new TerminalSession(['flush', server.address])
      await refused.shows(/Type flush to continue/)
      refused.type('yes\n')
      expect(await refused.end()).toBe(1)
      expect(await client.get('k')).toBe('v')
      for (const end of ['\u0003', '\u0004']) {
        using ended = new TerminalSession(['flush', server.address])
        await ended.shows(/Type flush to continue/)
        ended.type(end)
        expect(await ended.end()).toBe(1)
      }
      expect(await client.get('k')).toBe('v')
      using agreed = new TerminalSession(['flush', server.address])
      await agreed.shows(/Type flush to continue/)
      agreed.type('flush\n')
      expect(await agreed.end()).toBe(0)
      expect(await client.get('k')).toBeUndefined()
    })

    it('uses colours, and none with --no-color', async () => {
      await using server = await launchServer()
      using coloured = new TerminalSession(['doctor', server.address, '--watch-seconds', '0'])
      await coloured.end()
      expect(coloured.text).toContain('\u001b[32m')
      using plain = new TerminalSession(['doctor', server.address, '--watch-seconds', '0', '--no-color'])
      await plain.end()
      expect(plain.text).not.toContain('\u001b[')
    })
  },
)
