/**
 * Takes the pictures of docs/operations.md, `docs/images/dashboard-*.png`: `npm run build && node
 * docs/images/take-dashboard.js`. It needs Debian's Chromium. Two servers under load and one that is away, and a cache
 * of the application.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { memcache } from 'memcache-ts'
import { MemcachedServer } from 'memcache-ts-server'
import { startDashboard } from 'memcache-ts/dashboard'
import { chromium } from 'playwright-core'

const SIZES = { desktop: [1280, 1000], tablet: [820, 1000], phone: [390, 844] }
const SECONDS = 125
const AWAY = '127.0.0.1:11213'

const servers = [new MemcachedServer({ port: 0, memoryLimitMb: 8 }), new MemcachedServer({ port: 0, memoryLimitMb: 8 })]
const addresses = []
for (const server of servers) addresses.push(`127.0.0.1:${(await server.listen()).port}`)
const cache = memcache({ servers: addresses, l1: { maxItems: 1000, ttlSeconds: 1 } })
const dashboard = await startDashboard({ caches: { shop: cache }, servers: [...addresses, AWAY], port: 0 })
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
try {
  const page = await browser.newPage({ reducedMotion: 'reduce' })
  await work(5)
  await page.goto(dashboard.url)
  await work(SECONDS)
  let isWorking = true
  const working = (async () => {
    while (isWorking) await work(0.2)
  })()
  for (const [size, [width, height]] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme })
      await delay(1500) // a sample at this size
      const path = fileURLToPath(new URL(`dashboard-${size}-${colorScheme}.png`, import.meta.url))
      await page.screenshot({ path })
    }
  }
  isWorking = false
  await working
} finally {
  await browser.close()
  await dashboard.close()
  await cache.close()
  for (const server of servers) await server.close()
}

/** Requests as a shop has them: many for few keys, in waves, and more than fits into the memory. */
async function work(seconds) {
  const endsAt = performance.now() + seconds * 1000
  while (performance.now() < endsAt) {
    const wave = 12 + 8 * Math.sin(performance.now() / 9000)
    for (let one = 0; one < wave; one++) {
      const id = Math.floor(6000 * Math.random() ** 3)
      void cache.getOrSet(['product', id], () => 'x'.repeat(300 + (id % 40) * 110), 600)
      if (one % 2 === 0) void cache.getOrSet(['basket', id % 900], () => ({ items: id }), 300)
      if (one % 5 === 0) void cache.set(['visit', Math.floor(Math.random() * 3000)], 's'.repeat(700), 60)
      if (one % 9 === 0) void cache.increment(['counter', id % 20], 1, 60)
      if (one % 13 === 0) void cache.delete(['product', id])
    }
    await delay(20)
  }
}
