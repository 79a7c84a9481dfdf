import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { readLine } from 'memcache-ts-testing'
import { expect, it } from 'vitest'

const starts = fileURLToPath(new URL('../examples/starts', import.meta.url))

function start(file: string): ChildProcess {
  const { PATH } = process.env
  return spawn(process.execPath, [file], { cwd: starts, env: { PATH, PORT: '0' }, stdio: ['ignore', 'pipe', 'ignore'] })
}

it.each(['express-commonjs.cjs', 'express-esm.mjs'])('%s caches, counts visits and limits', async (file) => {
  const child = start(file)
  try {
    const url = await readLine(child, /^http:/)
    expect(await (await fetch(`${url}/cities/7`)).json()).toEqual({ id: '7', name: 'City 7' })
    const first = await fetch(`${url}/visits`)
    expect(await first.json()).toEqual({ visits: 1 })
    expect(first.headers.get('ratelimit-policy')).toBe('"default";q=100;w=60')
    const cookie = first.headers.get('set-cookie')!.split(';')[0]!
    expect(await (await fetch(`${url}/visits`, { headers: { cookie } })).json()).toEqual({ visits: 2 })
    const [news, again] = [await fetch(`${url}/news`), await fetch(`${url}/news`)]
    expect(await again.text()).toBe(await news.text())
  } finally {
    child.kill()
  }
})

it('script.mjs loads once for all, and ends', async () => {
  const child = start('script.mjs')
  const lines: string[] = []
  // Without MEMCACHE_SERVERS the cache says which memcached it takes.
  createInterface(child.stdout!).on('line', (line) => line.startsWith('memcache-ts: ') || lines.push(line))
  const [status] = (await once(child, 'close')) as [number]
  expect(lines).toEqual(['3 cities of 1 query', "{ id: 7, name: 'City 7' }"])
  expect(status).toBe(0)
})

it.each(['cities-express', 'cities-nest', 'express-middlewares'])(
  '%s refuses a PORT that is not a number, which Node would take for a path',
  async (example) => {
    const main = `../${example}/dist/main.js`
    const { PATH } = process.env
    const child = spawn(process.execPath, [main], {
      cwd: starts,
      env: { PATH, PORT: 'abc' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let errors = ''
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    expect(await once(child, 'close')).toEqual([1, null])
    expect(errors).toContain('PORT must be a number')
    expect(errors).toContain('not "abc"')
  },
)

it('the middlewares of examples/express-middlewares start together, and end by a signal', async () => {
  const child = start('../express-middlewares/dist/main.js')
  const url = (await readLine(child, /^ {2}http:/)).trim()
  expect(await (await fetch(url)).text()).toContain('Tea')
  const { origin } = new URL(url)
  const headers = { 'X-Api-Key': 'free-key' }
  expect(await (await fetch(`${origin}/api/`, { headers })).json()).toEqual({ hello: 'free', left: 9 })
  expect((await fetch(`${origin}/account`)).status).toBe(401)
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})
