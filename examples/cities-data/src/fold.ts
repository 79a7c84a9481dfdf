/** Returns a name for comparison: lower case without accents, so that `zurich` finds Zürich. */
export function fold(name: string): string {
  return name
    .normalize('NFD')
    .replace(/\p{Mark}/gu, '')
    .toLowerCase()
}
