import { execFile } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The names of the packages that are published. */
export function publicPackages() {
  return readdirSync(join(root, 'packages'))
    .map((folder) => JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')))
    .filter((manifest) => manifest.private !== true)
    .map((manifest) => /** @type {string} */ (manifest.name))
}

/** Returns the importable entries: the packages, and their other entries such as `memcache-ts/keyv`. */
export function publicEntries() {
  return readdirSync(join(root, 'packages'))
    .map((folder) => JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')))
    .filter((manifest) => manifest.private !== true)
    .flatMap(({ name, exports }) =>
      Object.keys(exports)
        .filter((entry) => typeof exports[entry] === 'object')
        .map((entry) => /** @type {string} */ (join(name, entry))),
    )
}

/** Returns the built files of the importable entries, of both formats. */
export function publicEntryFiles() {
  const folders = readdirSync(join(root, 'packages')).map((folder) => join(root, 'packages', folder))
  return folders.flatMap((folder) => {
    const { private: isPrivate, exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    if (isPrivate === true) return []
    const entries = Object.values(exports).filter((entry) => typeof entry === 'object')
    return entries.flatMap((entry) => [entry.import.default, entry.require.default]).map((file) => join(folder, file))
  })
}

/**
 * Packs the public packages as they would be published, into a folder.
 *
 * @param {string} folder
 * @returns {Promise<{ name: string; tarball: string; files: string[]; size: number }[]>}
 */
export async function packPublicPackages(folder) {
  const workspaces = publicPackages().map((name) => `--workspace=${name}`)
  const { stdout } = await promisify(execFile)(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--pack-destination', folder, ...workspaces],
    { cwd: root, maxBuffer: 2 ** 26 },
  )
  return JSON.parse(stdout).map(({ name, filename, files, unpackedSize }) => ({
    name,
    tarball: join(folder, filename),
    files: files.map((file) => file.path),
    size: unpackedSize,
  }))
}
