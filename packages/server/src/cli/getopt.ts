import { MemcacheOptionError } from 'memcache-ts-protocol'

/** A flag of the command. */
export interface Flag {
  /** Its letter; `undefined` if it has only a long name. */
  readonly short?: string
  readonly long: string
  /** The placeholder for its value in the help; `undefined` for a switch. */
  readonly value?: string
  /** Whether the value may be left out. A next word that does not begin with `-` is the value. */
  readonly isValueOptional?: boolean
  readonly help: string
}

/** A flag of a command line. */
export interface GivenFlag<Name extends string> {
  readonly name: Name
  /** The option as it was written, for messages. */
  readonly text: string
  readonly value: string
}

/**
 * Reads a command line as getopt_long does: `-vv`, `-m64`, `-m 64`, `-p -1`, `--port=1`, `--port 1`. Node's own
 * parseArgs takes the `-1` for a flag.
 *
 * @throws MemcacheOptionError with one line that says what is wrong.
 */
export function getopt<Name extends string>(
  args: readonly string[],
  flags: Readonly<Record<Name, Flag>>,
): GivenFlag<Name>[] {
  const names = Object.keys(flags) as Name[]
  const given: GivenFlag<Name>[] = []
  let at = 0
  const valueOf = (name: Name, text: string, attached: string | undefined): void => {
    const isLeftOut =
      attached === undefined && flags[name].isValueOptional === true && (args[at] ?? '-').startsWith('-')
    const value = isLeftOut ? '' : (attached ?? args[at++])
    if (value === undefined) throw new MemcacheOptionError(`${text} needs a value: ${flags[name].value}`)
    given.push({ name, text, value })
  }
  while (at < args.length) {
    const word = args[at++]!
    if (word.startsWith('--')) {
      const [long, ...rest] = word.slice(2).split('=')
      const name = names.find((candidate) => flags[candidate].long === long)
      const attached = rest.length === 0 ? undefined : rest.join('=')
      if (name === undefined) throw unknown(`--${long}`)
      if (flags[name].value !== undefined) valueOf(name, `--${long}`, attached)
      else if (attached === undefined) given.push({ name, text: `--${long}`, value: '' })
      else throw new MemcacheOptionError(`--${long} takes no value`)
    } else if (word.startsWith('-') && word.length > 1) {
      for (let index = 1; index < word.length; index++) {
        const letter = word[index]!
        const name = names.find((candidate) => flags[candidate].short === letter)
        if (name === undefined) throw unknown(`-${letter}`)
        if (flags[name].value === undefined) {
          given.push({ name, text: `-${letter}`, value: '' })
          continue
        }
        valueOf(name, `-${letter}`, word.slice(index + 1) || undefined)
        break
      }
    } else {
      throw new MemcacheOptionError(`unexpected argument '${word}'; memcache-ts-server --help lists the flags`)
    }
  }
  return given
}

function unknown(flag: string): MemcacheOptionError {
  return new MemcacheOptionError(`unknown flag ${flag}; memcache-ts-server --help lists the flags`)
}
