import type { AddressInfo, Server } from 'node:net'
import axe from 'axe-core'
import { getDefaultMemcache } from 'memcache-ts'
import { describeWithChromium } from 'memcache-ts-testing'
import { chromium } from 'playwright-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { createApp } from '../src/app.ts'
import { Cities } from '../src/cities.ts'
import { timedDatabase } from '../src/server-timing.ts'
import { CityTable, openDatabase } from 'cities-data'
import type { Database } from 'cities-data'
import { listen } from '../src/listen.ts'

const LISBON = 2_267_057

describeWithChromium('the page in Chromium', (executablePath) => {
  let database: Database
  let table: CityTable
  let server: Server
  let origin: string
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let complaints: string[]

  beforeAll(async () => {
    database = await openDatabase()
    table = new CityTable(database, timedDatabase)
    server = await listen(createApp(new Cities(table)), 0)
    origin = `http://localhost:${(server.address() as AddressInfo).port}`
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'], timeout: 0 })
  })

  beforeEach(async () => {
    await getDefaultMemcache().client.flushAll()
    complaints = []
    context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
    context.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
    })
    context.on('weberror', (error) => complaints.push(String(error.error())))
    context.on('request', (request) => {
      if (!request.url().startsWith(origin)) complaints.push(`asked ${request.url()}`)
    })
    context.setDefaultTimeout(0)
    page = await context.newPage()
    await open(page)
  })

  afterEach(async () => {
    await context.close()
  })

  afterAll(async () => {
    await browser.close()
    server.close()
    await getDefaultMemcache().close()
    await database.close()
  })

  async function open(tab: Page): Promise<void> {
    await tab.goto(origin)
    await tab.locator('#chart .here').waitFor()
    await tab.locator('#visited li').first().waitFor()
  }

  const text = (selector: string) => page.locator(selector).innerText()

  async function goTo(name: string): Promise<void> {
    await page.locator('#q').fill(name)
    await page.locator('#matches li').first().waitFor()
    await page.keyboard.press('Enter')
    await expect.poll(() => text('#name')).toBe(name)
  }

  it('opens with a city and its neighbours, and complains of nothing', async () => {
    expect(await text('#name')).toBe('Lisbon')
    expect(await text('#where')).toContain('Portugal')
    expect(await page.locator('#chart .dot').count()).toBeGreaterThan(100)
    expect(complaints).toEqual([])
  })

  it('shows that the first response comes from the database and the second from the cache', async () => {
    expect(await text('#answer-text')).toBe('Answered by the database')
    expect(await text('#answer-ms')).toMatch(/^[\d.]+ ms$/)
    await page.getByRole('button', { name: 'Ask again' }).click()
    await expect.poll(() => text('#answer-text')).toBe('Answered by the cache')
    expect(await page.locator('#bars .db').count()).toBeGreaterThan(0)
    expect(await text('#answers-say')).toMatch(/^The database took [\d.]+ ms, .*; the cache took [\d.]+ ms/)
  })

  it('reports if a city has more neighbours than a response holds, and if it has none', async () => {
    await goTo('Naples')
    await expect.poll(() => text('#chart-says')).toMatch(/^The 199 places nearest to Naples, up to \d+ km away$/)
    await goTo('Hanga Roa')
    await expect.poll(() => text('#chart-says')).toBe('Nothing within 60 km: Hanga Roa is by itself.')
    expect(await page.locator('#nearest-title').isVisible()).toBe(false)
  })

  it('finds a city by keyboard alone', async () => {
    const field = page.getByRole('combobox', { name: 'Find a city' })
    await field.fill('tok')
    await page.getByRole('option').first().waitFor()
    expect(await field.getAttribute('aria-expanded')).toBe('true')
    await page.keyboard.press('ArrowDown')
    expect(await page.getByRole('option', { selected: true }).innerText()).toContain('Tok')
    await page.keyboard.press('Enter')
    await expect.poll(() => text('#name')).toContain('Tok')
    expect(await field.getAttribute('aria-expanded')).toBe('false')
  })

  it('goes to a neighbour by keyboard alone, and back by the address', async () => {
    const nearest = page.locator('#chart .dot[tabindex="0"]')
    await nearest.focus()
    await page.keyboard.press('ArrowRight')
    const says = await page.locator('#chart .dot:focus').getAttribute('aria-label')
    await page.keyboard.press('Enter')
    await expect.poll(() => text('#name')).toBe(says!.split(',')[0])
    expect(new URL(page.url()).searchParams.get('city')).toMatch(/^\d+$/)
    await page.goBack()
    await expect.poll(() => text('#name')).toBe('Lisbon')
  })

  it.each(['abc', '1,5', '-3', '1,234.567'])(
    'changes nothing for %s people, and explains valid numbers',
    async (people) => {
      await page.getByLabel('People', { exact: true }).fill(people)
      await page.getByRole('button', { name: 'Change' }).click()
      await expect.poll(() => text('#notice')).toContain('People is a whole number')
      await page.getByRole('button', { name: 'Ask again' }).click()
      await expect.poll(() => page.locator('#notice').isVisible()).toBe(false)
    },
  )

  it('reports that the service does not respond only as long as it does not', async () => {
    await context.setOffline(true)
    await page.getByRole('button', { name: 'Ask again' }).click()
    await expect.poll(() => text('#notice')).toContain('does not answer')
    await context.setOffline(false)
    await expect.poll(() => page.locator('#notice').isVisible()).toBe(false)
    complaints.length = 0
  })

  it.each(['-5', '1.5', '1', '99999999999'])('explains the city %s of an address, and shows another', async (city) => {
    await page.goto(`${origin}/?city=${city}`)
    await expect.poll(() => text('#name')).toBe('Lisbon')
    expect(await text('#notice')).toMatch(/^(The id of a city is a whole number|There is no city)/)
    await page.getByRole('button', { name: 'Ask again' }).click()
    await expect.poll(() => page.locator('#notice').isVisible()).toBe(false)
    expect(new URL(page.url()).searchParams.get('city')).toBe(String(LISBON))
    complaints.length = 0
  })

  it('waits for a service that does not respond when the page opens, whatever is pressed meanwhile', async () => {
    await page.route('**/api/**', (route) => route.abort())
    await page.reload()
    for (const button of ['Ask again', 'Change']) {
      await expect.poll(() => text('#notice')).toContain('does not answer')
      await page.getByRole('button', { name: button }).click()
    }
    await expect.poll(() => text('#notice')).toContain('does not answer')
    await page.unroute('**/api/**')
    await expect.poll(() => text('#name')).toBe('Lisbon')
    await expect.poll(() => page.locator('#notice').isVisible()).toBe(false)
    complaints.length = 0
  })

  it('explains the page of a proxy in place of a response', async () => {
    const page502 = { status: 502, contentType: 'text/html', body: '<h1>Bad gateway</h1>' }
    await page.route('**/api/near**', (route) => route.fulfill(page502))
    await page.getByRole('button', { name: 'Ask again' }).click()
    await expect.poll(() => text('#notice')).toContain('answered 502')
    complaints.length = 0
  })

  it('finds a city by mouse, and closes its list by Escape', async () => {
    await page.locator('#q').fill('kyoto')
    await page.getByRole('option').first().click()
    await expect.poll(() => text('#name')).toBe('Kyoto')
    await page.locator('#q').fill('osaka')
    await page.getByRole('option').first().waitFor()
    await page.keyboard.press('Escape')
    expect(await page.locator('#found').isVisible()).toBe(false)
  })

  it('keeps the visited cities across a reload and in another tab', async () => {
    await goTo('Kyoto')
    await expect.poll(() => text('#visited')).toMatch(/^Kyoto\s+Lisbon$/)
    await page.reload()
    await expect.poll(() => text('#name')).toBe('Kyoto')
    const other = await context.newPage()
    await open(other)
    expect(await other.locator('#visited').innerText()).toMatch(/^Kyoto\s+Lisbon$/)
  })

  it('shows the remaining requests, and a message when the limit is reached', async () => {
    const left = async () => Number(await text('#left'))
    await expect.poll(left).toBeLessThan(100)
    expect(await page.locator('#ticks .spent').count()).toBeGreaterThan(0)
    // If a minute ends meanwhile, another hundred requests are allowed: requests are sent until none is left.
    await page.evaluate(async () => {
      while ((await fetch('/api/me')).status !== 429);
    })
    complaints = [] // the browser itself logs every 429
    await page.getByRole('button', { name: 'Ask again' }).click()
    await expect.poll(() => text('#notice')).toContain("That was the last of this minute's requests.")
    expect(await left()).toBe(0)
    // A process remembers the state of a client for a second, although memcached has been emptied since.
    await getDefaultMemcache().client.flushAll()
    const status = () => page.evaluate(async () => (await fetch('/api/me')).status)
    await expect.poll(status).toBe(200)
  })

  it('shows the hits and misses of memcached', async () => {
    await expect.poll(() => text('#counts')).toMatch(/^[\d,]+ hits, [\d,]+ misses$/)
    expect(await text('#ratio')).toMatch(/^\d+ %$/)
    expect(await text('#server')).toContain('items')
  })

  it('changes a city, which evicts its values from the cache', async () => {
    await page.getByRole('button', { name: 'Ask again' }).click()
    await expect.poll(() => text('#answer-text')).toBe('Answered by the cache')
    await page.getByLabel('People', { exact: true }).fill('600,000')
    await page.getByRole('button', { name: 'Change' }).click()
    await expect.poll(() => text('#answer-text')).toBe('Answered by the database')
    expect((await table.find(LISBON))?.population).toBe(600_000)
  })

  it('shows names as text, even if they contain HTML', async () => {
    const name = '<img src=x onerror=alert(1)><b>Lisbon</b>'
    await page.evaluate(
      async ([id, name]) => {
        const headers = { 'Content-Type': 'application/json' }
        await fetch(`/api/cities/${id}`, { method: 'PATCH', headers, body: JSON.stringify({ name }) })
      },
      [LISBON, name] as const,
    )
    try {
      await page.reload()
      await expect.poll(() => text('#name')).toBe(name)
      await goTo(name)
      await expect.poll(() => text('#visited')).toBe(name)
      expect(await page.locator('img').count()).toBe(0)
      expect(complaints).toEqual([])
    } finally {
      await table.update(LISBON, { name: 'Lisbon' })
    }
  })

  it.each(['light', 'dark'] as const)('can be read and used by everyone, in the %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.locator('#q').fill('san')
    await page.getByRole('option').first().waitFor()
    await page.keyboard.press('ArrowDown')
    await page.evaluate(axe.source)
    const violations = await page.evaluate(async () => {
      const { axe: injected } = globalThis as unknown as { axe: typeof axe }
      return (await injected.run()).violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`,
      )
    })
    expect(violations).toEqual([])
  })

  it('fits on a phone', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    )
    expect(overflow).toBe(0)
  })
})
