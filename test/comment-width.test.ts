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

// The formatter wraps the comments of `/** … */`, and leaves those of `//` alone.
describe('comments that begin with //', () => {
  it(`end within ${MAX_COLUMNS} columns`, () => {
    const sources = ['bench', 'build', 'conformance', 'examples', 'packages', 'test'].flatMap(sourcesIn)
    expect(sources).toContain('packages/kit/src/memcache.ts')
    const tooLong = sources.flatMap((file) =>
      readFileSync(join(ROOT, file), 'utf8')
        .split('\n')
        .flatMap((line, index) =>
          line.length > MAX_COLUMNS && /^\s*\/\//.test(line) && !DIRECTIVE.test(line) ? [`${file}:${index + 1}`] : [],
        ),
    )
    expect(tooLong).toEqual([])
  })
})
