import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import { publicPackages } from '../../build/packages.js'

const compiled = new Map(
  publicPackages().flatMap(({ name, folder, entries }) =>
    entries.map(({ subpath, source }) => [
      join(name, subpath),
      pathToFileURL(join(folder, source.replace(/^src/, 'compiled').replace(/ts$/, 'js'))).href,
    ]),
  ),
)

/**
 * Leads the imports of our packages to the files that `tsc` has compiled, one a source file, in place of the bundles
 * that are made of them.
 */
export function resolve(specifier, context, next) {
  const url = compiled.get(specifier)
  return url === undefined ? next(specifier, context) : { url, shortCircuit: true }
}
