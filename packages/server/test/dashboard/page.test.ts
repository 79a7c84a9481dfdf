import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import axe from 'axe-core'
import { describeWithChromium, readUntil } from 'memcache-ts-testing'
import { chromium } from 'playwright-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { listenForDashboard } from '../../src/dashboard/index.ts'
import type { Statistics, WatchedServer } from '../../src/dashboard/index.ts'
import { MemcachedServer } from '../../src/index.ts'

const TOKEN = 'a-token-for-tests'

/** A server with the responses of a test; `undefined` for one that is away. */
function fakeServer(name: string, statistics: () => Statistics | undefined): WatchedServer {
  return {
    name,
    statistics: (form) => {
      const general = statistics()
      if (general === undefined) return Promise.reject(new Error('connect ECONNREFUSED'))
      return Promise.resolve(form === '' ? general : {})
    },
    roundTrip: () => Promise.resolve(1),
    dump: () => Promise.resolve(),
    delete: () => Promise.resolve(false),
    flush: () => Promise.resolve(),
    rest: () => {},
  }
}

/**
 * Returns the violations that axe finds. It runs as a tool of the browser, since the page's policy allows no foreign
 * scripts.
 */
async function violationsOf(page: Page): Promise<unknown[]> {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Runtime.evaluate', { expression: axe.source })
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run())
  return violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])
}

describeWithChromium('the dashboard of several servers in Chromium', (executablePath) => {
  it('shows which of three servers is away, the sum of the others, and each by itself', async () => {
    let isBack = false
    const general = (hits: number): Statistics => ({
      version: '1.6',
      uptime: 9,
      get_hits: hits,
      get_misses: 0,
      bytes: hits,
    })
    const evil = '<img src=x onerror=window.ran=1>'
    const servers = [
      fakeServer('a:1', () => general(10)),
      fakeServer('b:2', () => (isBack ? general(5) : undefined)),
      fakeServer(evil, () => general(20)),
    ]
    await using dashboard = await listenForDashboard({
      host: '127.0.0.1',
      port: 0,
      token: undefined,
      servers: () => servers,
      shared: () => [{ title: `This application: ${evil}`, figures: [{ name: evil, value: 1 }] }],
    })
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'], timeout: 0 })
    try {
      const page = await browser.newPage()
      page.setDefaultTimeout(0)
      await page.goto(dashboard.url)
      await expect.poll(() => page.locator('body').getAttribute('class')).toBe('partial')
      expect(await page.locator('#notice').innerText()).toBe(
        '1 of 3 servers does not respond. b:2: connect ECONNREFUSED',
      )
      expect(await page.locator('#state').innerText()).toContain('2 of 3 servers up')
      const bytes = () => page.locator('#f-memory b').getAttribute('data-value')
      expect(await bytes()).toBe('30')
      await page.getByRole('radio', { name: 'a:1' }).check()
      expect(await bytes()).toBe('10')
      await page.keyboard.press('ArrowRight')
      expect(await bytes()).toBe('')
      await page.keyboard.press('ArrowRight')
      expect(await bytes()).toBe('20')
      isBack = true
      await expect.poll(() => page.locator('body').getAttribute('class')).toBe('live')
      await page.getByRole('radio', { name: 'All' }).check()
      expect(await bytes()).toBe('35')
      expect(await page.locator('#servers').innerText()).toContain(evil)
      expect(await page.evaluate(() => 'ran' in window)).toBe(false)
      expect(await page.locator('#keys').isHidden()).toBe(true)
      expect(await page.locator('#shared').innerText()).toContain(evil)
      expect(await violationsOf(page)).toEqual([])
    } finally {
      await browser.close()
    }
  })
})

describeWithChromium('the dashboard in Chromium', (executablePath) => {
  let browser: Browser
  let server: MemcachedServer
  let socket: Socket
  let context: BrowserContext
  let page: Page
  let complaints: string[]
  let port: number

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'], timeout: 0 })
  })
  afterAll(() => browser.close())

  beforeEach(async () => {
    server = new MemcachedServer({ port: 0, memoryLimitMb: 8, dashboard: ':0', dashboardToken: TOKEN })
    port = (await server.listen()).port
    socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    complaints = []
    context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
    const { origin } = new URL(server.dashboardUrl!)
    context.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
    })
    context.on('weberror', (error) => complaints.push(String(error.error())))
    context.on('request', (request) => {
      if (!request.url().startsWith(origin) && !request.url().startsWith('data:'))
        complaints.push(`asked ${request.url()}`)
    })
    context.setDefaultTimeout(0)
    page = await context.newPage()
  })

  afterEach(async () => {
    await context.close()
    socket.destroy()
    await server.close()
  })

  async function open(): Promise<void> {
    await page.goto(server.dashboardUrl!)
    await expect.poll(() => page.locator('body').getAttribute('class')).toBe('live')
  }
  async function tell(commands: string): Promise<void> {
    socket.write(`${commands}mn\r\n`)
    await readUntil(socket, 'MN\r\n')
  }
  const value = (id: string) => page.locator(`${id} b`).getAttribute('data-value').then(Number)
  const text = (selector: string) => page.locator(selector).innerText()

  it('requires the token if other machines can reach it, and serves them', async () => {
    await using open = new MemcachedServer({ port: 0, dashboard: '0.0.0.0:0', dashboardToken: TOKEN })
    await open.listen()
    await page.goto(open.dashboardUrl!.replace('0.0.0.0', '127.0.0.1'))
    expect(await violationsOf(page)).toEqual([])
    await page.keyboard.type('not the token')
    await page.keyboard.press('Enter')
    await page.locator('#token').waitFor()
    await page.locator('#token').fill(TOKEN)
    await page.keyboard.press('Enter')
    await expect.poll(() => page.locator('body').getAttribute('class')).toBe('live')
    expect(await page.locator('#browser').isVisible()).toBe(true)
  })

  it('shows an empty server as empty', async () => {
    await open()
    expect(await text('#f-hits')).toContain('No gets yet')
    await expect.poll(() => text('#slabs')).toContain('nothing was stored')
    expect(complaints).toEqual([])
  })

  it('shows the figures of stats under load, and its charts move', async () => {
    await open()
    const before = await page.locator('#operations path').first().getAttribute('d')
    for (let item = 0; item < 200; item++) {
      await tell(`set user:${item} 0 0 10\r\n0123456789\r\nget user:${item}\r\nget none\r\nincr none 1\r\n`)
    }
    const stats = server.stats()
    await expect.poll(() => value('#f-hits')).toBe(0.5)
    await expect.poll(() => text('#f-hits')).toContain('200 hits, 200 misses')
    expect(await value('#f-memory')).toBe(stats['bytes'])
    expect(await value('#f-evictions')).toBe(stats['evictions'])
    await expect.poll(() => value('#f-connections')).toBe(server.stats()['curr_connections'])
    expect(await text('#f-memory')).toContain('of 8.0 MB, 200 items')
    await expect.poll(() => value('#f-network')).toBeGreaterThanOrEqual(Number(stats['bytes_read']))
    await expect.poll(() => page.locator('#operations path').first().getAttribute('d')).not.toBe(before)
    await expect
      .poll(() => page.locator('#operations svg').getAttribute('aria-label'))
      .toMatch(/^Operations a second, now: get /)
    await expect.poll(() => page.locator('#slabs tbody tr').count()).toBe(1)
    await expect.poll(() => text('#latency .legend')).toMatch(/p50 [\d.]+ ms/)
    expect(complaints).toEqual([])
  })

  it('loads nothing from other hosts, and runs no injected script', async () => {
    await open()
    const ran = await page.evaluate(() => {
      const script = document.createElement('script')
      script.textContent = 'window.ran = true'
      document.body.append(script)
      const image = document.createElement('div')
      image.innerHTML = '<img src=x onerror="window.ran = true">'
      document.body.append(image)
      return (window as unknown as { ran?: boolean }).ran === true
    })
    expect(ran).toBe(false)
    expect(complaints.some((complaint) => complaint.includes('Content Security Policy'))).toBe(true)
  })

  it('shows keys as text, once the token was given', async () => {
    const key = '<script>window.ran=1</script>'
    await tell(`set ${key} 0 0 1\r\n1\r\nset <img/src=x/onerror=window.ran=1>:1 0 0 1\r\n1\r\n`)
    await open()
    expect(await page.locator('#browser').isHidden()).toBe(true)
    await page.locator('#token').fill('not the token')
    await page.getByRole('button', { name: 'Unlock' }).click()
    await expect.poll(() => text('#unlock')).toContain('the token is wrong')
    await page.locator('#token').fill(TOKEN)
    await page.keyboard.press('Enter')
    await page.locator('#contains').waitFor()
    await page.keyboard.press('Enter')
    await page.locator('#browser td').first().waitFor()
    expect(await text('#browser table')).toContain(key)
    await page.getByRole('button', { name: `Delete ${key}` }).click()
    await expect.poll(() => text('#found')).toBe(`Deleted ${key}`)
    expect(await page.evaluate(() => 'ran' in window)).toBe(false)
    complaints = complaints.filter((complaint) => !complaint.includes('401'))
    expect(complaints).toEqual([])
  })

  it('flushes after a confirmation', async () => {
    await tell('set a 0 0 1\r\n1\r\n')
    await open()
    await page.locator('#token').fill(TOKEN)
    await page.keyboard.press('Enter')
    await page.locator('#flush').click()
    expect(await text('#confirm-says')).toContain(`Forget all items of 127.0.0.1:${port}?`)
    await page.keyboard.press('Enter')
    expect(server.stats()['cmd_flush']).toBe(0)
    await page.locator('#flush').click()
    await page.getByRole('button', { name: 'Forget everything' }).click()
    await expect.poll(() => server.stats()['cmd_flush']).toBe(1)
  })

  it('reports a lost connection, and continues when the server is back', async () => {
    await open()
    const dashboard = new URL(server.dashboardUrl!).host
    await server.close()
    await expect.poll(() => page.locator('body').getAttribute('class')).toBe('lost')
    expect(await text('#notice')).toContain('The connection to this dashboard is lost')
    server = new MemcachedServer({ port: 0, dashboard })
    await server.listen()
    await expect.poll(() => page.locator('body').getAttribute('class')).toBe('live')
    expect(await page.locator('#notice').isHidden()).toBe(true)
  })

  it.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 390],
    ['dark', 390],
  ] as const)('is accessible: %s, %i pixels wide', async (colorScheme, width) => {
    await page.setViewportSize({ width, height: 844 })
    await page.emulateMedia({ colorScheme })
    await tell('set user:1 0 0 1\r\n1\r\nget user:1\r\n')
    await open()
    await page.locator('#token').fill(TOKEN)
    await page.keyboard.press('Enter')
    await page.locator('#contains').press('Enter')
    await page.locator('#browser td').first().waitFor()
    await page.locator('#slabs td').first().waitFor()
    expect(await violationsOf(page)).toEqual([])
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    )
    expect(overflow).toBe(0)
  })
})
