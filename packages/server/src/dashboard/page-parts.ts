import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PACKAGE_FOLDER } from '../package-folder.ts'

/** The files in `page/`. */
export type PagePart = 'dashboard.css' | 'dashboard.html' | 'dashboard.js' | 'login.html'

/**
 * Returns a file of the page. The build (`build/bundle.js`) replaces this module by one that contains the files, so
 * that an application that is bundled has the page without them.
 */
export function readPagePart(part: PagePart): string {
  return readFileSync(join(PACKAGE_FOLDER, 'page', part), 'utf8')
}
