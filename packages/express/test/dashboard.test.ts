import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import compression from 'compression'
import express from 'express'
import helmet from 'helmet'
import { testMemcache } from 'memcache-ts/testing'
import { dashboard } from 'memcache-ts/dashboard'
import { describe, expect, it } from 'vitest'

const TOKEN = 'a-token-for-tests'

describe('the dashboard in an Express application', () => {
  it('keeps its own policy and its stream behind helmet and compression, and does not delay the end of the application', async () => {
    await using test = await testMemcache()
    await using watching = dashboard({ caches: test.cache })
    const app = express()
    app.use(helmet(), compression({ threshold: 0 }))
    app.use('/cache', watching)
    const server = app.listen(0)
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/cache/`
    const page = await fetch(url)
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'sha256-/)
    expect(await page.text()).toContain('<h1>memcached</h1>')
    const events = await fetch(`${url}events`)
    let text = ''
    const closed = once(server, 'close')
    for await (const chunk of events.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString()
      if (text.includes('event: snapshot') && server.listening) server.close()
    }
    await closed
  })

  it('is served under any path, behind the application’s own middleware', async () => {
    await using test = await testMemcache()
    await using watching = dashboard({ caches: test.cache, token: TOKEN })
    const app = express()
    // As applications have it: bodies are parsed before.
    app.use(express.json(), express.urlencoded({ extended: true }))
    const onlyAdmins: express.RequestHandler = (req, res, next) => {
      if (req.headers['x-admin'] === undefined) res.sendStatus(403)
      else next()
    }
    app.use('/admin/cache', onlyAdmins, watching)
    app.use((_req, res) => void res.status(404).send('not here'))
    const server = app.listen(0)
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/admin/cache/`
    const admin = { 'x-admin': '1' }
    try {
      expect((await fetch(url)).status).toBe(403)
      expect(await (await fetch(url, { headers: admin })).text()).toContain('<h1>memcached</h1>')
      const redirected = await fetch(url.slice(0, -1), { headers: admin, redirect: 'manual' })
      expect(redirected.headers.get('location')).toBe('./cache/')
      expect(await (await fetch(`${url}nothing`, { headers: admin })).text()).toBe('not here')
      expect(await (await fetch(`${url}metrics`, { headers: admin })).text()).toContain('memcached_up 1')

      await test.cache.set('a', 1)
      const json = { ...admin, 'content-type': 'application/json' }
      const wrong = await fetch(`${url}login`, { method: 'POST', headers: json, body: '{"token":"wrong"}' })
      expect(wrong.status).toBe(401)
      const body = JSON.stringify({ token: TOKEN })
      const opened = await fetch(`${url}login`, { method: 'POST', headers: json, body })
      const cookie = opened.headers.get('set-cookie')!.split(';')[0]!
      const acting = { ...json, cookie, 'x-memcache-ts-dashboard': '1' }
      const gone = await fetch(`${url}delete`, { method: 'POST', headers: acting, body: '{"key":"a"}' })
      expect(await gone.json()).toEqual({ deleted: true })
      expect(await test.cache.get('a')).toBeUndefined()
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })
})
