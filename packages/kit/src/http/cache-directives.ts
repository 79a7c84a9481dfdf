/** A directive's argument, or that it has none. */
type Argument = string | true

/** token [ "=" ( token / quoted-string ) ], between commas: RFC 9111, section 5.2. */
const DIRECTIVE = /\s*([^\s,="]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?\s*(?:,|$)/y
const SKIPPED = /(?:"(?:[^"\\]|\\.)*"|[^,"]|"(?=[^"]*$))*(?:,|$)/y

/** How long is forever: no lifetime in a header is longer. */
const MOST_SECONDS = 2 ** 31

/**
 * The directives of `Cache-Control` (RFC 9111, section 5.2). Names are in any case; what is no directive is skipped, as
 * are directives with space around their `=`; what stands in quotes is no directive.
 */
export class CacheDirectives {
  /** The arguments of each, in their order. */
  readonly #directives = new Map<string, Argument[]>()

  constructor(line: string | undefined) {
    if (line === undefined) return
    let at = 0
    while (at < line.length) {
      DIRECTIVE.lastIndex = at
      const found = DIRECTIVE.exec(line)
      if (found !== null) {
        const [, name, quoted, token] = found
        this.#add(name!.toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? token ?? true)
        at = DIRECTIVE.lastIndex
        continue
      }
      SKIPPED.lastIndex = at
      SKIPPED.exec(line)
      at = Math.max(at + 1, SKIPPED.lastIndex)
    }
  }

  has(name: string): boolean {
    return this.#directives.has(name)
  }

  /** Whether it stands there for all of the message, and not just for the fields that it names. */
  hasBare(name: string): boolean {
    return this.#directives.get(name)?.includes(true) === true
  }

  /** The fields that `no-cache="…"` or `private="…"` name, in lower case. */
  fields(name: string): string[] {
    const named = this.#directives.get(name)?.filter((argument) => argument !== true) ?? []
    return named.flatMap((argument) => argument.split(',').map((field) => field.trim().toLowerCase()))
  }

  /**
   * A number of seconds; `undefined` where the directive is missing. One that is no number, or is there several times with
   * different ones, is 0: what is told in a way that cannot be is stale (RFC 9111, section 4.2.1).
   */
  seconds(name: string): number | undefined {
    const found = this.#directives.get(name)
    if (found === undefined) return undefined
    const [first] = found
    const isClear = typeof first === 'string' && /^\d+$/.test(first) && found.every((argument) => argument === first)
    return isClear ? Math.min(MOST_SECONDS, Number(first)) : 0
  }

  #add(name: string, argument: Argument): void {
    const before = this.#directives.get(name)
    if (before === undefined) this.#directives.set(name, [argument])
    else before.push(argument)
  }
}
