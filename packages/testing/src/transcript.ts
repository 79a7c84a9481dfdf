import { readFileSync } from 'node:fs'

/** One exchange of a transcript: the packets sent, and the response to each. */
export interface RecordedExchange {
  readonly sent: readonly string[]
  readonly received: readonly string[]
}

/** The tolerance of times, in seconds: seconds may have ended between the two responses. */
const CLOCK_SECONDS = 2

/**
 * Reads a transcript. A line that begins with `>` and a space has the bytes that were sent, with packets separated by
 * `||`; lines that begin with whitespace and `<` are the responses. Lines without `>` are requests without recorded
 * responses.
 */
export function readTranscript(file: URL | string): RecordedExchange[] {
  const exchanges: { sent: string[]; received: string[] }[] = []
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.startsWith('  < ')) exchanges.at(-1)!.received.push(line.slice(4))
    else if (line !== '') exchanges.push({ sent: line.replace(/^> /, '').split(' || '), received: [] })
  }
  return exchanges
}

/** Returns the bytes of a packet in a transcript, as latin1: `\r\n`, `\x01`, `{k}x250`. */
export function unescapeBytes(text: string): string {
  return text
    .replaceAll(/\{([^}]+)\}x(\d+)/g, (_, unit: string, count: string) => unit.repeat(Number(count)))
    .replaceAll(/\\(?:r|n|x([0-9a-f]{2}))/g, (escape, hex: string | undefined) =>
      hex === undefined ? (escape === '\\r' ? '\r' : '\n') : String.fromCharCode(Number.parseInt(hex, 16)),
    )
}

/** Returns bytes as a transcript shows them; the reverse of `unescapeBytes`. */
export function escapeBytes(bytes: string): string {
  return bytes
    .replaceAll('\\', '\\x5c')
    .replaceAll('\r', '\\r')
    .replaceAll('\n', '\\n')
    .replaceAll(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/**
 * Returns whether a response equals the recorded one. Cas uniques depend on earlier requests, and times pass, so the
 * former only need to be numbers, and the latter may differ by two seconds; everything else must be equal.
 */
export function isSameResponse(recorded: string, received: string): boolean {
  const [expected, actual] = [tokens(recorded), tokens(received)]
  return expected.length === actual.length && expected.every((token, index) => sameToken(token, actual[index]!))
}

/** Splits a response at its cas uniques and times: ` c5`, ` cas=5`, ` t100`, ` l0`, `la=1`, `exp=100`, and Unix times. */
function tokens(text: string): string[] {
  return text.split(/(\b(?:c(?:as=)?|t-?|l|la=|exp=)\d+\b|\b1[78]\d{8}\b)/)
}

function sameToken(expected: string, actual: string): boolean {
  if (expected === actual) return true
  const name = /^([a-z]+=?-?)?\d+$/.exec(expected)
  if (name === null || /^([a-z]+=?-?)?\d+$/.exec(actual)?.[1] !== name[1]) return false
  if (name[1] === 'c' || name[1] === 'cas=') return true
  // A Unix time, or the remaining time of an expired item, which wraps around.
  const [first, second] = [Number(expected.slice(name[1]?.length ?? 0)), Number(actual.slice(name[1]?.length ?? 0))]
  return Math.abs(first - second) <= CLOCK_SECONDS || (first > 1e9 && second > 1e9)
}
