import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const kit = new URL('../dist/index.js', import.meta.url).href

/** Runs a module in a process of its own, as users have it: nothing else has touched the default. */
function run(source: string, env: Record<string, string> = {}): { out: string; errors: string; status: number | null } {
  const script = `import * as kit from ${JSON.stringify(kit)}\n${source}`
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: { PATH: process.env['PATH'], ...env },
  })
  return { out: stdout, errors: stderr, status }
}

const USE = `const cache = kit.getDefaultMemcache(); await cache.set('k', 'v'); console.log(await cache.get('k'))`

describe('the default cache of a process', () => {
  it('is a memcached in the process, which is logged in one line, and lets the script end', () => {
    const { out, errors, status } = run(`${USE}; console.log(kit.getDefaultMemcache() === cache)`)
    expect(errors).toBe('')
    expect(out.split('\n')).toEqual([
      expect.stringContaining('MEMCACHE_SERVERS is not set: using a memcached in this process'),
      'v',
      'true',
      '',
    ])
    expect(status).toBe(0)
  })

  it('warns in production, and in the workers of a cluster', () => {
    expect(run(USE, { NODE_ENV: 'production' }).errors).toContain('In production set MEMCACHE_SERVERS')
    expect(run(USE, { NODE_APP_INSTANCE: '1' }).errors).toContain('Each worker of the cluster has its own')
  })

  it('logs nothing if the embedded server was requested, and shares it', () => {
    const two = `const [a, b] = [kit.memcache('embedded'), kit.memcache({ servers: 'embedded' })]; await a.set('k', 'v'); console.log(await b.get('k'))`
    expect(run(two, { NODE_ENV: 'production' })).toEqual({ out: 'v\n', errors: '', status: 0 })
  })

  it('may be requested by the environment, and a misspelled variable causes a warning', () => {
    expect(run(USE, { MEMCACHE_SERVERS: 'embedded', NODE_ENV: 'production' })).toEqual({
      out: 'v\n',
      errors: '',
      status: 0,
    })
    expect(run(USE, { MEMCACHED_SERVERS: 'a:11211' }).errors).toContain(
      'MEMCACHED_SERVERS is set, but not used: set MEMCACHE_SERVERS instead',
    )
  })

  it('loads the server only when it is the one in the process', () => {
    const loaded = `import { register } from 'node:module'
      const cache = kit.memcache('127.0.0.1:1'); await cache.get('k')
      console.log(process.getActiveResourcesInfo().length >= 0 && performance.getEntries().length >= 0)`
    expect(run(loaded).status).toBe(0)
  })

  it('can be set before its first use, not after', () => {
    const before = `const mine = kit.memcache('embedded'); kit.setDefaultMemcache(mine); console.log(kit.getDefaultMemcache() === mine)`
    expect(run(before).out).toBe('true\n')
    const after = `kit.getDefaultMemcache(); try { kit.setDefaultMemcache(kit.memcache('embedded')) } catch (error) { console.log(error.code) }`
    expect(run(after).out).toContain('ERR_MEMCACHE_OPTION')
  })

  it('reads the servers and the prefix from the environment', () => {
    const names = `const cache = kit.memcache(); console.log(cache.client.servers.join(), cache.key('a'))`
    expect(run(names, { MEMCACHE_SERVERS: 'a,b:11212:2' }).out).toBe('a:11211,b:11212 a\n')
    expect(run(names, { MEMCACHE_SERVERS: 'redis://a' }).errors).toContain('is not a URL of memcached servers')
    const alone = { MEMCACHE_SERVERS: 'a', MEMCACHE_USERNAME: 'ann' }
    expect(run(names, alone).errors).toContain('username is set alone')
    expect(run(names, { ...alone, MEMCACHE_PASSWORD: 'secret' }).out).toBe('a:11211 a\n')
    expect(run(names, { ...alone, MEMCACHE_SERVERS: 'memcache://bob:secret@b' }).out).toBe('b:11211 a\n')
  })
})
