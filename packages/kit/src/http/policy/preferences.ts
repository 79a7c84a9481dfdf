/** A member of `Accept-Language` or `Accept-Encoding`, in lower case, with its weight. */
interface Preference {
  readonly name: string
  readonly weight: number
}

/** Parses a list of preferences (RFC 9110, section 12.4.2). A member with an invalid weight has weight 0. */
function parsePreferences(line: string): Preference[] {
  const preferences: Preference[] = []
  for (const member of line.split(',')) {
    const [name = '', ...parameters] = member.split(';').map((part) => part.trim().toLowerCase())
    if (name === '') continue
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
    preferences.push({ name, weight: weight === undefined ? 1 : parseWeight(weight) })
  }
  return preferences
}

function parseWeight(text: string): number {
  return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(text) ? Number(text) : 0
}

/**
 * Returns `Accept-Language` without the languages that an application does not have. A range matches all languages that
 * begin with it, and a language all ranges that begin with it (RFC 4647).
 */
export function reducedLanguages(line: string, available: readonly string[]): string {
  return reduced(
    parsePreferences(line),
    available,
    (range, language) => isWithin(language, range) || isWithin(range, language),
  )
}

/** Returns `Accept-Encoding` without the codings that an application does not apply. */
export function reducedEncodings(line: string, available: readonly string[]): string {
  return reduced(parsePreferences(line), available, (name, coding) => name === coding)
}

/**
 * Returns the remaining preferences, the most preferred first, and those of one weight in the application's order. A
 * member with weight 0 is kept only if `*` would allow it.
 */
function reduced(
  preferences: readonly Preference[],
  available: readonly string[],
  matches: (preference: string, offered: string) => boolean,
): string {
  const any = preferences.find(({ name }) => name === '*')
  const kept: Preference[] = []
  for (const offered of available) {
    const named = preferences.filter(({ name }) => name !== '*' && matches(name, offered))
    const weight = named.length === 0 ? (any?.weight ?? 0) : Math.max(...named.map((each) => each.weight))
    if (weight > 0) kept.push({ name: offered, weight })
  }
  kept.sort((one, other) => other.weight - one.weight)
  const isEven = kept.every(({ weight }) => weight === kept[0]!.weight)
  return kept.map(({ name, weight }) => (isEven ? name : `${name};q=${weight}`)).join(', ')
}

function isWithin(language: string, range: string): boolean {
  return language === range || language.startsWith(`${range}-`)
}

/** Returns the language that a client prefers to all others; `undefined` if there is none. */
export function preferredLanguage(line: string | undefined): string | undefined {
  if (line === undefined) return undefined
  const [first, second] = parsePreferences(line).sort((one, other) => other.weight - one.weight)
  if (first === undefined || first.name === '*' || first.weight === 0 || first.weight === second?.weight)
    return undefined
  return first.name
}
