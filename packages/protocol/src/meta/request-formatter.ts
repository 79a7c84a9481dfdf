/** Room that a request's line needs at most: its key, its flags, its end. */
export const MAX_REQUEST_LINE_BYTES = 1024

const SPACE = 32

/** Writes `<c1><c2> `, a meta command's word; returns the position behind it. */
export function writeMetaCommand(out: Buffer, at: number, letter: number): number {
  out[at] = 109
  out[at + 1] = letter
  out[at + 2] = SPACE
  return at + 3
}

/** Writes a key that was checked; returns the position behind it. */
export function writeRequestKey(out: Buffer, at: number, key: string): number {
  for (let index = 0; index < key.length; index++) {
    const code = key.charCodeAt(index)
    if (code > 126) return at + out.write(key, at, 'utf8')
    out[at + index] = code
  }
  return at + key.length
}
