/**
 * Checks every public package as it would be published: with publint and attw (Are The Types Wrong), its files, and its
 * size and dependencies by the table of README.md. Prints one line a check, and what is wrong; exits with 1 if anything
 * is.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { packPublicPackages } from './public-packages.js'

const attw = join(
  dirname(createRequire(import.meta.url).resolve('@arethetypeswrong/cli/package.json')),
  'dist/index.js',
)

/** Returns a package's row in the README's table: its maximum size and its dependencies. */
function rowOf(name) {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const row = readme.split('\n').find((line) => line.startsWith(`| [${name}](`))
  if (row === undefined) throw new Error(`README.md: the table of the packages has no row of ${name}`)
  const [megabytes, needs] = row.split('|').slice(3)
  return {
    maxBytes: Number(megabytes) * 1e6,
    needs: needs.includes('(') ? [] : needs.split(',').map((need) => need.trim()),
  }
}

const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-pack-'))
let failed = 0

function report(name, problems) {
  if (problems.length > 0) failed++
  console.log(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${name}`)
  for (const problem of problems) console.log(`     ${problem}`)
}

try {
  for (const { name, tarball, files, size } of await packPublicPackages(folder)) {
    const bytes = readFileSync(tarball)
    const tarballBuffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
    const { messages, pkg } = await publint({ pack: { tarball: tarballBuffer }, strict: true })
    report(
      `publint ${name}`,
      messages.map((message) => formatMessage(message, pkg) ?? message.code),
    )

    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [attw, tarball, '--profile', 'strict', '--format', 'ascii', '--no-color', '--no-emoji'],
      { encoding: 'utf8' },
    )
    report(`attw ${name}`, status === 0 ? [] : `${stdout}${stderr}`.trim().split('\n'))

    const { maxBytes, needs } = rowOf(name)
    const dependencies = Object.keys(pkg.dependencies ?? {})
    report(`size ${name}`, [
      ...(size <= maxBytes ? [] : [`${size} bytes unpacked: README.md promises at most ${maxBytes}`]),
      ...(dependencies.toSorted().join() === needs.filter(Boolean).toSorted().join()
        ? []
        : [`it depends on ${dependencies.join(', ')}, README.md names ${needs.join(', ')}`]),
      ...Object.entries({ ...pkg.dependencies, ...pkg.peerDependencies })
        .filter(([, range]) => !range.startsWith('^'))
        .map(([dependency, range]) => `${dependency} ${range} is no range, so that a project gets a second copy`),
    ])

    const stray = files.filter(
      (file) =>
        !/^(package\.json|README\.md|LICENSE|dist\/LICENSES\.md|(bin|dist)\/[\w./-]+\.(js|d\.ts|json))$/.test(file),
    )
    report(
      `files ${name}`,
      stray.map((file) => `${file} is no file to publish`),
    )
  }
} finally {
  rmSync(folder, { recursive: true })
}
process.exitCode = failed === 0 ? 0 : 1
