import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const MAX_COLUMNS = 120
const NOT_OURS = /^(node_modules|dist|compiled|site)$|^\./
const DIRECTIVE = /^\s*\/\/ (oxlint|@ts)-/

function sourcesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return NOT_OURS.test(entry.name) ? [] : sourcesIn(path)
    return /\.[jt]s$/.test(entry.name) ? [path] : []
  })
}

const SOURCES = ['bench', 'build', 'conformance', 'examples', 'packages', 'test'].flatMap(sourcesIn)
const TESTS = SOURCES.filter(
  (file) => /(^|\/)test\/(?!fixtures).*\.ts$/.test(file) && !file.endsWith('house-rules.test.ts'),
)

/** The lines of files that match, as `file:line`. */
function found(files: readonly string[], matches: (line: string) => boolean): string[] {
  return files.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => (matches(line) ? [`${file}:${index + 1}`] : [])),
  )
}

// The formatter wraps the comments of `/** … */`, and leaves those of `//` alone.
describe('comments that begin with //', () => {
  it(`end within ${MAX_COLUMNS} columns`, () => {
    expect(SOURCES).toContain('packages/kit/src/memcache.ts')
    const isTooLong = (line: string) => line.length > MAX_COLUMNS && /^\s*\/\//.test(line) && !DIRECTIVE.test(line)
    expect(found(SOURCES, isTooLong)).toEqual([])
  })
})

/** Patterns that fail on a busy machine although nothing is broken, and their replacements. */
const FLAKES: readonly [what: string, pattern: RegExp, instead: string][] = [
  [
    'take the first piece of a reply for the reply',
    /(?<!\.)\bonce\([^()]*(\([^()]*\))?[^()]*, '(data|readable|line)'\)/,
    'readUntil or readLine of memcache-ts-testing, which also fail when the stream ends',
  ],
  [
    'wait for a time',
    /\bawait delay\(|\bawait sleep\(|\bsetTimeout\((resolve|done)\b/,
    'until of memcache-ts-testing, an event, or a fake clock',
  ],
  [
    'give a condition a time limit of their own',
    /vi\.waitFor|vi\.waitUntil|poll\(.*\btimeout:/,
    'until or expect.poll, which only the limit of every test bounds',
  ],
  ['measure time', /(performance|Date)\.now\(\) - [a-z]/i, 'a fake clock, or count what was done'],
  [
    'leave the limit of calls to a running server at its default, half a second',
    /new MemcachedClient\((?!.*(timeoutMs|\.\.\.|freePort|127\.0\.0\.1:1\b))[^)]*(address|\$\{port\}|ports\b)/,
    'timeoutMs: 20_000',
  ],
  ['choose a port', /\.listen\([1-9]\d*\b/, 'port 0 or freePort of memcache-ts-testing'],
]

describe('tests', () => {
  it.each(FLAKES)('do not %s', (_, pattern, instead) => {
    expect(TESTS).toContain('packages/server/test/exchange.ts')
    expect(
      found(TESTS, (line) => pattern.test(line)),
      `instead: ${instead}`,
    ).toEqual([])
  })
})

/**
 * Words of other centuries or of this project alone, and docstrings that begin without a subject (CONTRIBUTING.md,
 * "Style").
 */
const RIDDLES = /\b(?:anew|whoever|whomever|milliard|undermost|one's own)\b/i
const BEGINS_WITHOUT_SUBJECT =
  /^\s*(?:\/\*\* |\/\*\*\n\s*\* )(?:Who|Whose|Whoever|What|Of|Under|That|Those|Has|None|Once more)\b/

describe('comments and messages', () => {
  const texts = SOURCES.filter((file) => !file.endsWith('house-rules.test.ts'))

  it('use words that every engineer knows', () => {
    expect(found(texts, (line) => RIDDLES.test(line))).toEqual([])
  })

  it('have a subject: a docstring does not begin with "What …", "Who …" or "Of …"', () => {
    const faults = texts.flatMap((file) => {
      const docstrings = readFileSync(join(ROOT, file), 'utf8').matchAll(/\/\*\*(?: |\n\s*\* )[^\n]*/g)
      return [...docstrings].map(([text]) => text).filter((text) => BEGINS_WITHOUT_SUBJECT.test(text))
    })
    expect(faults).toEqual([])
  })
})

describe('benchmarks', () => {
  it('wait for no message of a process without noticing its end: instead, ask and start of bench/child.js', () => {
    const benches = SOURCES.filter((file) => file.startsWith('bench/'))
    expect(benches).toContain('bench/child.js')
    expect(found(benches, (line) => /\bonce\(\w+, 'message'\)/.test(line))).toEqual([])
  })
})
