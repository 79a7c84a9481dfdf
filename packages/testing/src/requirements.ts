import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, it } from 'vitest'

/** Debian's two builds of Chromium. The one without windows needs 40 % less processor time for a page test. */
const CHROMIUM = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium']

/** Declares a `describe` for tests that need Debian's memcached. */
export function describeWithMemcached(name: string, body: () => void): void {
  const missing = isOnPath('memcached') ? undefined : 'memcached is not installed (apt-get install memcached)'
  describeUnless(missing, name, body)
}

/** Declares a `describe` for tests that need Debian's Chromium. */
export function describeWithChromium(name: string, body: (executablePath: string) => void): void {
  const executablePath = CHROMIUM.find(isExecutable)
  const missing = 'chromium is not installed (apt-get install chromium-headless-shell)'
  describeUnless(executablePath === undefined ? missing : undefined, name, () => body(executablePath!))
}

/**
 * Declares a `describe` for tests that need a command of a Debian package. The command must exit without an error if
 * the package is installed.
 */
export function describeWithCommand({ command, debianPackage }: NeededCommand, name: string, body: () => void): void {
  const [file, ...args] = command
  const isInstalled = spawnSync(file!, args, { stdio: 'ignore' }).status === 0
  const missing = isInstalled ? undefined : `${debianPackage} is not installed (apt-get install ${debianPackage})`
  describeUnless(missing, name, body)
}

/** A command that tests need, and its package. */
interface NeededCommand {
  readonly command: readonly string[]
  readonly debianPackage: string
}

/** Skips the tests if something is missing. With `CI` set, that is a failure, since tests that CI skips are never run. */
function describeUnless(missing: string | undefined, name: string, body: () => void): void {
  if (missing === undefined) describe(name, body)
  else if (process.env['CI'] === undefined) describe.skip(`${name} (skipped: ${missing})`, body)
  else {
    describe(name, () => {
      it('has what it needs', () => {
        throw new Error(missing)
      })
    })
  }
}

function isOnPath(command: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => isExecutable(join(folder, command)))
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
