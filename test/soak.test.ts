import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

// The long run is `npm run soak`.
it('a client under faults of every kind never hangs, and never returns the value of another key', () => {
  const script = fileURLToPath(new URL('../bench/soak/soak.js', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--operations', '60000'], {
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(stdout).toContain("was its key's own")
  expect(status).toBe(0)
})
