import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const KIT = fileURLToPath(new URL('../../dist/index.js', import.meta.url))
const PROGRAM = `
  const { memcache } = await import(${JSON.stringify(KIT)})
  const cache = memcache('embedded')
  await cache.getOrSet('city', () => 'Oslo', 60)
  await cache.getOrSet('broken', () => { throw new Error('no rows') }, 60).catch(() => {})
  console.log(cache.listenerCount('hit') + cache.client.listenerCount('connect'))
  await cache.close()
`

function run(NODE_DEBUG: string | undefined): { stdout: string; stderr: string } {
  const { PATH } = process.env
  const env = NODE_DEBUG === undefined ? { PATH } : { PATH, NODE_DEBUG }
  return spawnSync(process.execPath, ['--input-type=module', '-e', PROGRAM], { encoding: 'utf8', env })
}

describe('NODE_DEBUG=memcache-ts', () => {
  it('writes a line for each event of a cache and its client', () => {
    const { stderr } = run('memcache-ts')
    expect(stderr).toMatch(/^MEMCACHE-TS \d+: connect /m)
    expect(stderr).toMatch(/^MEMCACHE-TS \d+: miss city$/m)
    expect(stderr).toMatch(/^MEMCACHE-TS \d+: load city [\d.]+$/m)
    expect(stderr).toMatch(/^MEMCACHE-TS \d+: loadError broken no rows [\d.]+$/m)
  })

  it('writes nothing and listens to nothing without it', () => {
    const { stdout, stderr } = run(undefined)
    expect(stderr).not.toContain('MEMCACHE-TS')
    expect(Number(stdout)).toBe(Number(run('http').stdout))
    expect(Number(stdout)).toBeLessThan(Number(run('memcache-ts').stdout))
  })
})
