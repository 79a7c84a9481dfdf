/** Text of a client for the log: control characters are replaced, which could move the cursor of a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/[^ -~\u00a0-\u00ff]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
