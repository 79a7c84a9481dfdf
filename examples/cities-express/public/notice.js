import { byId } from './element.js'

let shownKind

/**
 * Says on the page what stands in the way, until `hideNotice` of the same kind: `away`, `limit`, `refused` or `input`.
 * With `onlyIfShown` it changes the words of a notice of this kind that is shown.
 */
export function showNotice(kind, words, { onlyIfShown = false } = {}) {
  if (onlyIfShown && shownKind !== kind) return
  shownKind = kind
  byId('notice').textContent = words()
  byId('notice').hidden = false
}

/** Takes a notice away, if it is of this kind. */
export function hideNotice(kind) {
  if (shownKind !== kind) return
  shownKind = undefined
  byId('notice').hidden = true
}
