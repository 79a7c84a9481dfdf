import type { Command } from 'commander'
import { CommandError } from '../terminal.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const

/** `memcache-ts completion`: prints a script that completes commands and options, generated from the program itself. */
export function completion(program: Command, shell: string): string {
  const commands = program.commands.map((command) => ({
    name: command.name(),
    description: command.summary() || command.description(),
    options: optionsOf(command).concat(optionsOf(program)),
  }))
  switch (shell) {
    case 'bash':
      return bash(commands, program)
    case 'zsh':
      // zsh can run bash's completions.
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(commands, program)}`
    case 'fish':
      return fish(commands)
    default:
      throw new CommandError(`completion supports ${SHELLS.join(', ')}, not '${shell}'`)
  }
}

interface Completed {
  readonly name: string
  readonly description: string
  readonly options: readonly string[]
}

function optionsOf(command: Command): string[] {
  return command.options.flatMap(({ long }) => (long === undefined || long === null ? [] : [long]))
}

/** Returns the options that a value follows, which is not a command: `--servers`, `-s`. */
function optionsWithValue(command: Command): string[] {
  return command.options
    .filter(({ required, optional }) => required || optional)
    .flatMap(({ long, short }) => [long, short].filter((flag) => typeof flag === 'string'))
}

/**
 * Returns the completion script for bash. The command is the first word that is the name of a command and not the value
 * of a global option, since global options may precede it. Bash also makes words of `=`.
 */
function bash(commands: readonly Completed[], program: Command): string {
  const cases = commands.map(({ name, options }) => `    ${name}) words="${options.join(' ')}" ;;`)
  const names = commands.map(({ name }) => name)
  return `_memcache_ts() {
  local words="${[...names, ...optionsOf(program)].join(' ')}" command="" index=1
  while [ "$index" -lt "$COMP_CWORD" ]; do
    case "\${COMP_WORDS[index]}" in
      ${optionsWithValue(program).join('|')})
        [ "\${COMP_WORDS[index + 1]}" = "=" ] && index=$((index + 1))
        index=$((index + 1)) ;;
      ${names.join('|')}) command="\${COMP_WORDS[index]}"; break ;;
    esac
    index=$((index + 1))
  done
  case "$command" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _memcache_ts memcache-ts
`
}

function fish(commands: readonly Completed[]): string {
  const names = commands.map(({ name }) => name).join(' ')
  const lines = commands.flatMap(({ name, description, options }) => [
    `complete -c memcache-ts -n 'not __fish_seen_subcommand_from ${names}' -a ${name} -d '${description.replaceAll("'", "\\'")}'`,
    ...options.map(
      (option) => `complete -c memcache-ts -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`,
    ),
  ])
  return `${lines.join('\n')}\n`
}
