import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Scripts that run for long or write files, each with what its help names. */
const SCRIPTS = {
  'bench/bench.js': '--save',
  'bench/judge.js': '--memcached',
  'bench/soak/soak.js': '--operations',
  'conformance/conformance.js': '--check',
  'test/matrix/matrix.js': 'usage: npm run matrix',
}

function run(script: string, argument: string) {
  return spawnSync(process.execPath, [script, argument], { cwd: ROOT, encoding: 'utf8' })
}

describe.each(Object.entries(SCRIPTS))('%s', (script, named) => {
  it.each(['--help', '-h'])('%s prints its help, and runs nothing', (argument) => {
    const { status, stdout } = run(script, argument)
    expect(stdout).toContain(named)
    expect(status).toBe(0)
  })

  it.each(['--hlep', '--operation=5', 'nothing-of-this-name'])('refuses %s, with its help', (argument) => {
    const { status, stdout, stderr } = run(script, argument)
    expect(stdout + stderr).toContain(named)
    expect(status).toBe(64)
  })
})

it.each([
  ['--operations', 'many'],
  ['--operations', '0'],
  ['--seed', 'x'],
  ['--protocol', 'binary'],
])('the soak refuses %s %s', (flag, value) => {
  const { status, stderr } = run('bench/soak/soak.js', `${flag}=${value}`)
  expect(stderr).toContain(`${flag} must be`)
  expect(status).toBe(64)
})
