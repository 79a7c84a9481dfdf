import { runCommandLine } from './command-line.ts'
import { Terminal } from './terminal.ts'

// `exitCode` and not `exit`, since output to a pipe must be written first.
void runCommandLine(process.argv.slice(2), Terminal.ofProcess()).then((status) => (process.exitCode = status))
