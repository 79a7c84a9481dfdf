// Prints how the source files of each package are cut: `node test/file-sizes.js`; with a package's folder, its small
// and large files too.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { workspacePackages } from '../build/packages.js'

/** Files with fewer lines need a reason: a type or a constant that many import, an entry. */
const MIN_LINES = 40
/** Files with more lines need a reason too. */
const MAX_LINES = 500

function sizesOf(folder) {
  return readdirSync(join(folder, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => ({ file, lines: readFileSync(join(folder, 'src', file), 'utf8').split('\n').length - 1 }))
    .toSorted((one, other) => one.lines - other.lines)
}

const isSmall = ({ lines }) => lines < MIN_LINES
const isLarge = ({ lines }) => lines > MAX_LINES
const packages = workspacePackages().map(({ folder }) => ({ name: folder.split('/').at(-1), sizes: sizesOf(folder) }))

console.log(`| package | files | median | largest | under ${MIN_LINES} | over ${MAX_LINES} |`)
console.log('| --- | --- | --- | --- | --- | --- |')
for (const { name, sizes } of packages) {
  const median = sizes[Math.floor(sizes.length / 2)].lines
  const figures = [sizes.length, median, sizes.at(-1).lines, sizes.filter(isSmall).length, sizes.filter(isLarge).length]
  console.log(`| ${name} | ${figures.join(' | ')} |`)
}

const shown = packages.find(({ name }) => name === process.argv[2])
for (const { file, lines } of shown?.sizes.filter((size) => isSmall(size) || isLarge(size)) ?? [])
  console.log(`${lines} ${file}`)
