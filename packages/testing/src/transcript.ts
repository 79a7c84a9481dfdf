import { readFileSync } from 'node:fs'

/** One exchange of a transcript: what was sent, in its packets, and what came back after each. */
export interface RecordedExchange {
  readonly sent: readonly string[]
  readonly received: readonly string[]
}

/** How far apart two times in seconds may be: a second may have ended between the two. */
const CLOCK_SECONDS = 2

/**
 * Reads a transcript: `> ` is what was sent, ` || ` between packets, and the lines that begin with `  < ` what came back
 * for each. Requests alone, one a line without `> `, are exchanges without answers.
 */
export function readTranscript(file: URL | string): RecordedExchange[] {
  const exchanges: { sent: string[]; received: string[] }[] = []
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.startsWith('  < ')) exchanges.at(-1)!.received.push(line.slice(4))
    else if (line !== '') exchanges.push({ sent: line.replace(/^> /, '').split(' || '), received: [] })
  }
  return exchanges
}

/** The bytes, as latin1, that a packet of a transcript stands for: `\r\n`, `\x01`, `{k}x250`. */
export function unescapeBytes(text: string): string {
  return text
    .replaceAll(/\{([^}]+)\}x(\d+)/g, (_, unit: string, count: string) => unit.repeat(Number(count)))
    .replaceAll(/\\(?:r|n|x([0-9a-f]{2}))/g, (escape, hex: string | undefined) =>
      hex === undefined ? (escape === '\\r' ? '\r' : '\n') : String.fromCharCode(Number.parseInt(hex, 16)),
    )
}

/** The other way: bytes as a transcript shows them. */
export function escapeBytes(bytes: string): string {
  return bytes
    .replaceAll('\\', '\\x5c')
    .replaceAll('\r', '\\r')
    .replaceAll('\n', '\\n')
    .replaceAll(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/**
 * Whether an answer is the recorded one. Cas uniques count what happened before, and times pass: the first are compared
 * as numbers only, the others within a second or two; everything else byte for byte.
 */
export function sameAnswer(recorded: string, received: string): boolean {
  const [expected, actual] = [tokens(recorded), tokens(received)]
  return expected.length === actual.length && expected.every((token, index) => sameToken(token, actual[index]!))
}

/** Splits out the cas uniques and the times: ` c5`, ` cas=5`, ` t100`, ` l0`, `la=1`, `exp=100`, and Unix times. */
function tokens(text: string): string[] {
  return text.split(/(\b(?:c(?:as=)?|t-?|l|la=|exp=)\d+\b|\b1[78]\d{8}\b)/)
}

function sameToken(expected: string, actual: string): boolean {
  if (expected === actual) return true
  const name = /^([a-z]+=?-?)?\d+$/.exec(expected)
  if (name === null || /^([a-z]+=?-?)?\d+$/.exec(actual)?.[1] !== name[1]) return false
  if (name[1] === 'c' || name[1] === 'cas=') return true
  // A time since 1970, or what is left of one that has passed, which wraps around.
  const [first, second] = [Number(expected.slice(name[1]?.length ?? 0)), Number(actual.slice(name[1]?.length ?? 0))]
  return Math.abs(first - second) <= CLOCK_SECONDS || (first > 1e9 && second > 1e9)
}
