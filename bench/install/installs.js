import { execFile } from 'node:child_process'
import { lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packPublicPackages } from '../../test/public-packages.js'

const run = promisify(execFile)
const ROUNDS = 15

/**
 * The limits for `memcache-ts`: the bytes of its folder with all dependencies, and the milliseconds of its import in a
 * separate process.
 */
export const MAX_INSTALLED_BYTES = 3e6
export const MAX_IMPORT_MS = 80

/** The installed packages, and the names that a program imports. The framework (express) is not counted. */
const INSTALLS = [
  {
    imports: ['memcache-ts'],
    ours: ['memcache-ts', 'memcache-ts-client', 'memcache-ts-protocol', 'memcache-ts-server'],
  },
  { imports: ['memcache-ts-client'], ours: ['memcache-ts-client', 'memcache-ts-protocol'] },
  { imports: ['memcache-ts-server'], ours: ['memcache-ts-server', 'memcache-ts-protocol'] },
  {
    imports: ['memcache-ts-express'],
    ours: ['memcache-ts-express', 'memcache-ts', 'memcache-ts-client', 'memcache-ts-protocol', 'memcache-ts-server'],
  },
  { imports: ['cache-manager'], others: ['cache-manager@7.2.9', 'keyv@5.6.0'] },
  {
    imports: ['connect-redis', 'redis', 'express-session'],
    others: ['connect-redis@8.1.0', 'redis@5.12.1', 'express-session@1.19.0'],
  },
  { imports: ['express-rate-limit'], others: ['express-rate-limit@8.7.5'] },
]

/**
 * Installs each from packed tarballs or the registry, and imports it, taking turns; the time is the shortest, since
 * what else the machine does only adds to it.
 *
 * @returns {Promise<{ name: string; bytes: number; packages: number; importMs: number }[]>}
 */
export async function measureInstalls({ others = true } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-installs-'))
  try {
    const packed = await packPublicPackages(folder)
    const tarballs = new Map(packed.map(({ name, tarball }) => [name, tarball]))
    const installs = []
    for (const { imports, ours = [], others: peers = [] } of INSTALLS) {
      if (!others && peers.length > 0) continue
      const project = mkdtempSync(join(folder, 'project-'))
      await install(project, [...ours.map((name) => tarballs.get(name)), ...peers])
      installs.push({ name: imports.join(' + '), imports, project, times: [] })
    }
    for (let round = 0; round <= ROUNDS; round++) {
      for (const { imports, project, times } of installs) {
        const time = await importTime(project, imports)
        // The first one reads from the disk.
        if (round > 0) times.push(time)
      }
    }
    return installs.map(({ name, project, times }) =>
      Object.assign(sizeOf(project), { name, importMs: Math.min(...times) }),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/**
 * @param {string} project
 * @param {(string | undefined)[]} specs
 */
async function install(project, specs) {
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }')
  // Peers are the framework, which the application has.
  const options = ['--legacy-peer-deps', '--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts']
  await run('npm', ['install', ...options, ...specs], { cwd: project })
}

/**
 * @param {string} project
 * @param {string[]} imports
 */
async function importTime(project, imports) {
  const program = `
    const start = performance.now()
    ${imports.map((name) => `await import('${name}')`).join('\n')}
    console.log(performance.now() - start)`
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: project })
  return Number(stdout)
}

/** @param {string} project */
function sizeOf(project) {
  let bytes = 0
  let packages = 0
  for (const path of readdirSync(join(project, 'node_modules'), { recursive: true, encoding: 'utf8' })) {
    if (/^\.bin(\/|$)|^\.package-lock\.json$/.test(path)) continue
    const file = lstatSync(join(project, 'node_modules', path))
    if (file.isFile()) bytes += file.size
    if (/(^|node_modules\/)(@[^/]+\/)?[^/@]+\/package\.json$/.test(path)) packages++
  }
  return { bytes, packages }
}
