import { fileURLToPath } from 'node:url'

/**
 * The folder of this package, for the command line. No module that an entry loads may use it: bundlers leave nothing of
 * use in the place of `import.meta`, and have no files of the package beside the bundle.
 */
export const PACKAGE_FOLDER = fileURLToPath(new URL('..', import.meta.url))
