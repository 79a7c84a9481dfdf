const MAX_PORT = 65_535

/**
 * Returns the port that a text, such as that of the variable PORT, names; 0 is a free one.
 *
 * @throws RangeError if it is not a port: Node would take another text for the path of a socket.
 */
export function portFrom(text: string): number {
  const port = Number(text)
  if (text.trim() !== '' && Number.isInteger(port) && port >= 0 && port <= MAX_PORT) return port
  throw new RangeError(`PORT must be a number from 0 to ${MAX_PORT}, not ${JSON.stringify(text)}`)
}
