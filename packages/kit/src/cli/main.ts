import { runCommandLine } from './command-line.ts'
import { Terminal } from './terminal.ts'

// `exitCode` and not `exit`: what was written to a pipe has to leave first.
void runCommandLine(process.argv.slice(2), Terminal.ofProcess()).then((status) => (process.exitCode = status))
