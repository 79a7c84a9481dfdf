import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { readCommandLine } from '../../src/cli/arguments.ts'

const CLI = fileURLToPath(new URL('../../bin/memcache-ts-server.js', import.meta.url))
const AS_ROOT = process.getuid?.() === 0 ? ['-u', 'root'] : []

/** Runs the command until it has printed so many lines; the environment has no token of this machine. */
async function linesOf(args: readonly string[], env: NodeJS.ProcessEnv, count: number): Promise<string[]> {
  const { MEMCACHE_DASHBOARD_TOKEN: _, ...rest } = process.env
  const child = spawn(process.execPath, [CLI, ...AS_ROOT, '-p', '-1', ...args], {
    env: { ...rest, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
  try {
    const lines: string[] = []
    for await (const line of createInterface(child.stdout)) {
      lines.push(line)
      if (lines.length === count) return lines
    }
    const errors: string[] = []
    for await (const line of createInterface(child.stderr)) errors.push(line)
    return errors
  } finally {
    child.kill('SIGKILL')
    await exited
  }
}

describe('--dashboard', () => {
  it.each([
    [['--dashboard'], true],
    [['--dashboard', '-m', '64'], true],
    [['--dashboard', '127.0.0.1:9000'], '127.0.0.1:9000'],
    [['--dashboard=:9000', '-v'], ':9000'],
    [['--dashboard', '[::1]:9000'], '[::1]:9000'],
    [[], undefined],
  ])('is read from %j', (args, dashboard) => {
    expect(readCommandLine(args)).toMatchObject({ action: 'serve' })
    const { options } = readCommandLine(args) as { options: { dashboard?: unknown } }
    expect(options.dashboard).toBe(dashboard)
  })

  it('reports its address', async () => {
    const [, line = ''] = await linesOf(['--dashboard', ':0'], {}, 2)
    expect(line).toMatch(/^dashboard on http:\/\/127\.0\.0\.1:\d+\/$/)
  })

  it('takes the token from the environment, where ps does not show it', async () => {
    const env = { MEMCACHE_DASHBOARD_TOKEN: 'a-token-for-tests' }
    expect((await linesOf(['--dashboard', '0.0.0.0:0'], env, 2))[1]).toMatch(/^dashboard on /)
  })

  it('does not start without a token if other machines could reach it', async () => {
    expect((await linesOf(['--dashboard', '0.0.0.0:0'], {}, 2)).join()).toContain('set a token')
    expect((await linesOf(['--dashboard', '0.0.0.0:0'], { MEMCACHE_DASHBOARD_TOKEN: '' }, 2)).join()).toContain(
      'set a token',
    )
  })
})
