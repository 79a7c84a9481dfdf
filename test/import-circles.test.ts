import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const packages = fileURLToPath(new URL('../packages', import.meta.url))

/** Returns the imports of each file of a package from the same package, including types. */
function importsOf(sources: string): Map<string, string[]> {
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(sources, file), 'utf8')
      const imported = [...text.matchAll(/from '(\.[^']+)'/g)].map(([, path]) =>
        relative(sources, join(sources, dirname(file), path!)),
      )
      return [file, imported]
    }),
  )
}

/** A way from a file back to itself, if there is one. */
function circleFrom(start: string, imports: Map<string, string[]>): string[] | undefined {
  const seen = new Set<string>()
  const search = (file: string, way: string[]): string[] | undefined => {
    for (const next of imports.get(file) ?? []) {
      if (next === start) return [...way, next]
      if (seen.has(next)) continue
      seen.add(next)
      const found = search(next, [...way, next])
      if (found !== undefined) return found
    }
    return undefined
  }
  return search(start, [start])
}

it.each(['protocol', 'client', 'server'])('no files of %s import each other in a circle', (name) => {
  const imports = importsOf(join(packages, name, 'src'))
  expect(imports.size).toBeGreaterThan(10)
  for (const file of imports.keys()) expect(circleFrom(file, imports)).toBeUndefined()
})
