import { once } from 'node:events'
import { register } from 'node:module'
import express from 'express'
import { launchServer, until } from 'memcache-ts-testing'
import { filesOf } from './trace.js'

register('./compiled-files.js', import.meta.url)

/**
 * Prints the source files of the kit and of the Express package that a request crosses.
 *
 * @param use sets the application up with a cache.
 * @param request makes the request that is traced, given the site's URL; it is made some times before, so that what it
 *   finds is there.
 */
export async function printFlow(use, request) {
  const { memcache } = await import('memcache-ts')
  const memcached = await launchServer()
  // No timer of a lease runs in between, however long this takes.
  const cache = memcache({ servers: memcached.address, logger: false, timeoutMs: 60_000, leaseSeconds: 3600 })
  const app = express()
  await use(app, cache)
  const site = app.listen(0, '127.0.0.1')
  await once(site, 'listening')
  const url = `http://127.0.0.1:${site.address().port}/`
  const ask = await request(url)
  for (let time = 0; time < 3; time++) {
    await ask()
    // What a request loads is stored after its response.
    await until(() => cache.stats().loading === 0)
  }
  const files = await filesOf(ask)
  console.log(files.filter((file) => /^packages\/(kit|express)\//.test(file)).join('\n'))
  site.close()
  site.closeAllConnections()
  await cache.close()
  await memcached.kill()
}
