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
      return bash(commands)
    case 'zsh':
      // zsh can run bash's completions.
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(commands)}`
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

function bash(commands: readonly Completed[]): string {
  const cases = commands.map(({ name, options }) => `    ${name}) words="${options.join(' ')}" ;;`)
  return `_memcache_ts() {
  local words="${commands.map(({ name }) => name).join(' ')}"
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="${commands.map(({ name }) => name).join(' ')}"
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _memcache_ts memcache-ts
`
}

function fish(commands: readonly Completed[]): string {
  const lines = commands.flatMap(({ name, description, options }) => [
    `complete -c memcache-ts -n __fish_use_subcommand -a ${name} -d '${description.replaceAll("'", "\\'")}'`,
    ...options.map(
      (option) => `complete -c memcache-ts -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`,
    ),
  ])
  return `${lines.join('\n')}\n`
}
