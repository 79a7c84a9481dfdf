import { parseArgs } from 'node:util'

/** The exit status for a command line that cannot be read, as in sysexits.h. */
const USAGE_STATUS = 64

/**
 * Reads the command line of a script. `--help` prints the help and ends; a flag that the script does not have prints
 * the fault before it, since a script that ignores a misspelt flag runs for hours, or overwrites results.
 *
 * @template {import('node:util').ParseArgsOptionsConfig} Options
 * @param {Options} options as of `parseArgs`.
 * @param {{ help: string; names?: readonly string[] }} about the names that may be given, none by default.
 */
export function readCommandLine(options, { help, names = [] }) {
  try {
    const { values, positionals } = parseArgs({
      options: { ...options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    })
    if (values.help === true) {
      process.stdout.write(help)
      process.exit(0)
    }
    const unknown = positionals.filter((name) => !names.includes(name))
    if (unknown.length > 0) throw new Error(`there is no ${unknown.join(', ')}`)
    return { values, names: positionals }
  } catch (error) {
    return refuse(error.message, help)
  }
}

/** @param {string} fault @param {string} help @returns {never} */
export function refuse(fault, help) {
  process.stderr.write(`${fault}\n\n${help}`)
  process.exit(USAGE_STATUS)
}
