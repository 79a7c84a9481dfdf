import { readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The files that the numbered list of a section of docs/architecture.md begins its points with. */
function filesOfFlow(section: string): string[] {
  const text = readFileSync(`${root}docs/architecture.md`, 'utf8')
  const list = text.split(`\n## ${section}\n`)[1]!.split('\n## ')[0]!
  return [...list.matchAll(/^\d+\. `(packages\/[^`]+)`/gm)].map(([, file]) => file!)
}

it.each([
  { section: 'The files of a get in the client', script: 'test/flows/get.js', maxFiles: 12 },
  { section: 'The files of a getOrSet hit', script: 'test/flows/get-or-set.js', maxFiles: 10 },
  { section: 'The files of a request that reads its session', script: 'test/flows/session.js', maxFiles: 26 },
  { section: 'The files of a cached response', script: 'test/flows/cached-response.js', maxFiles: 36 },
  { section: 'The files of a set in the server', script: 'test/flows/server-set.js', maxFiles: 22 },
])('$section crosses the files that docs/architecture.md lists, and no others', ({ section, script, maxFiles }) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [root + script], { encoding: 'utf8', cwd: root })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  const files = stdout.trim().split('\n')
  expect(files).toEqual(filesOfFlow(section).toSorted())
  expect(files.length).toBeLessThanOrEqual(maxFiles)
})
