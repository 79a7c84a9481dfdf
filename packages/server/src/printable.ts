/** Text of a client for the log: what it sends must not move the cursor of whoever reads the log. */
export function printable(text: string): string {
  return text.replaceAll(/[^ -~\u00a0-\u00ff]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
