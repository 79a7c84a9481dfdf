import { MAX_IMPORT_MS, MAX_INSTALLED_BYTES, measureInstalls } from '../install/installs.js'

export const description = 'memcache-ts with all that it needs is at most 3 MB, and imported in 80 ms'

export async function run() {
  const [{ bytes, importMs }] = await measureInstalls({ others: false })
  return {
    reached: bytes <= MAX_INSTALLED_BYTES && importMs <= MAX_IMPORT_MS,
    figure: `${(bytes / 1e6).toFixed(2)} MB, ${importMs.toFixed(0)} ms`,
  }
}
