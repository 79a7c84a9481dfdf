import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const description =
  'the example: a second /api/near is at least 10 times as fast as the first, and a hit of the server'

const MAIN = fileURLToPath(new URL('../../examples/cities-express/dist/main.js', import.meta.url))
const PLACES = 15
const AT_LEAST = 10

export async function run() {
  const example = spawn(process.execPath, [MAIN], {
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  try {
    const origin = await originOf(example)
    await timed(`${origin}/api/near?lat=0&lon=0&km=10`)
    const before = await hits(origin)
    const [first, second] = [[], []]
    for (let place = 0; place < PLACES; place++) {
      const url = `${origin}/api/near?lat=${30 + place}&lon=${place}&km=60`
      first.push(await timed(url))
      second.push(await timed(url))
    }
    const [slow, fast] = [median(first), median(second)]
    const gained = (await hits(origin)) - before
    return {
      reached: slow / fast >= AT_LEAST && gained >= PLACES,
      figure:
        `${slow.toFixed(1)} ms, then ${fast.toFixed(1)} ms: ${(slow / fast).toFixed(0)} times as fast, at least ${AT_LEAST} ` +
        `(medians of ${PLACES} places over HTTP); get_hits rose by ${gained}`,
    }
  } finally {
    example.kill()
  }
}

async function originOf(example) {
  for await (const line of createInterface(example.stdout)) {
    const [origin] = /http:\/\/localhost:\d+/.exec(line) ?? []
    if (origin !== undefined) {
      example.stdout.resume()
      return origin
    }
  }
  throw new Error('the example ended before it said where it listens')
}

async function timed(url) {
  const start = performance.now()
  const response = await fetch(url)
  await response.text()
  if (!response.ok) throw new Error(`${url} was answered ${response.status}`)
  return performance.now() - start
}

async function hits(origin) {
  const text = await (await fetch(`${origin}/api/stats`)).text()
  return Number(/"get_hits":\s*(\d+)/.exec(text)?.[1] ?? /"hits":\s*(\d+)/.exec(text)[1])
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
}
