import { fileURLToPath } from 'node:url'

/** The folder of this package. `build/bundle.js` replaces this file for CommonJS, which has no `import.meta`. */
export const PACKAGE_FOLDER = fileURLToPath(new URL('..', import.meta.url))
