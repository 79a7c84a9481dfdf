/**
 * Writes the fields of each package.json that follow from the keys of its `exports`: `npm run entries`, after an entry
 * was added.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { entryFields, publicPackages } from './packages.js'

for (const each of publicPackages()) {
  const { typesVersions: _, ...manifest } = each.manifest
  const fields = entryFields(each)
  const written = Object.entries(manifest).flatMap(([field, value]) => {
    if (field === 'types') return Object.entries(fields).filter(([name]) => name.startsWith('types'))
    return [[field, fields[field] ?? value]]
  })
  writeFileSync(join(each.folder, 'package.json'), `${JSON.stringify(Object.fromEntries(written), null, 2)}\n`)
}
