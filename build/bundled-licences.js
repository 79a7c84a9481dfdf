import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * The licences of the packages whose modules are bundled, as one text: they must be passed on. Empty if nothing of
 * others is in it.
 *
 * @param {string[]} modules
 */
export function bundledLicences(modules) {
  const paths = modules.filter((path) => path.includes('/node_modules/'))
  const folders = new Set(paths.map((path) => packageFolderOf(path)))
  return [...folders]
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      const file = readdirSync(folder).find((entry) => /^licen[sc]e/i.test(entry))
      if (file === undefined) throw new Error(`${name} is bundled, and has no licence file`)
      return `# ${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`
    })
    .toSorted()
    .join('\n')
}

/**
 * The nearest folder whose package.json has a version: some packages have one without in `dist`.
 *
 * @param {string} path
 */
function packageFolderOf(path) {
  for (let folder = dirname(path.replace(/^\0/, '').replace(/\?.*$/, '')); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version !== undefined) return folder
  }
}
