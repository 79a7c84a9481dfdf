/**
 * Takes the picture of the README, `docs/images/cities.png`: `npm run build && node docs/images/take-cities.js`. It
 * needs Debian's Chromium. The picture is of the example as it runs, after a short tour.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const main = fileURLToPath(new URL('../../examples/cities-express/dist/main.js', import.meta.url))
const picture = fileURLToPath(new URL('cities.png', import.meta.url))
const TOUR = ['Naples', 'Kyoto', 'Zürich', 'Istanbul', 'Lisbon']

const service = spawn(process.execPath, [main], { stdio: ['ignore', 'pipe', 'inherit'] })
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' })
  await page.goto(await originOf(service))
  for (const name of TOUR) {
    await page.locator('#q').fill(name)
    await page.locator('#matches li').first().waitFor()
    await page.keyboard.press('Enter')
    await page.locator('#name', { hasText: name }).waitFor()
    await page.locator('#visited li', { hasText: name }).waitFor()
    for (let again = 0; again < 3; again++) {
      await page.locator('#again').click()
      await page.locator('#answer-text', { hasText: 'cache' }).waitFor()
      await page.waitForTimeout(500)
    }
  }
  await page.waitForTimeout(2500) // one more poll of the statistics
  await page.locator('h1').click() // nothing has the focus
  await page.screenshot({ path: picture, fullPage: true })
} finally {
  await browser.close()
  service.kill()
  await once(service, 'exit')
}

async function originOf({ stdout }) {
  for await (const line of createInterface(stdout)) {
    const [origin] = /http:\/\/localhost:\d+/.exec(line) ?? []
    if (origin !== undefined) {
      stdout.resume()
      return origin
    }
  }
  throw new Error('the example ended before it said where it listens')
}
