import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {{ folder: string; tarballs: string[] }} Context The folder for projects, and the packed packages.
 *
 * @typedef {{ name: string; run(context: Context): Promise<void> }} Cell
 */

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const PROGRAMS = fileURLToPath(new URL('../fixtures/matrix', import.meta.url))
const TIMEOUT_MS = 300_000

/** The further packages of a project that uses all of ours. */
export const PEERS = [
  'express@5',
  'keyv@5',
  'reflect-metadata@0.2',
  'rxjs@7',
  '@nestjs/common@12',
  '@nestjs/core@12',
  'fastify@5',
  'prom-client@15',
  '@opentelemetry/api@1',
  '@types/node@20',
  '@types/express@5',
  '@types/express-session@1',
]

const installed = new Map()

/**
 * A project with the packed packages and others, installed once for all cells that need the same.
 *
 * @param {Context} context
 * @param {string[]} others
 * @param {{ type?: string; name?: string }} [options]
 * @returns {Promise<string>} its folder
 */
export function projectWith(context, others, { type = 'module', name = 'project' } = {}) {
  const key = JSON.stringify([others, type, name])
  if (!installed.has(key)) installed.set(key, install(context, others, type, name))
  return installed.get(key)
}

async function install({ folder, tarballs }, others, type, name) {
  const project = mkdtempSync(join(folder, `${name}-`))
  write(project, { 'package.json': JSON.stringify({ name: 'consumer', private: true, type }) })
  await npmInstall(project, [...tarballs, ...others])
  return project
}

/**
 * @param {string} project
 * @param {string[]} specs
 */
export async function npmInstall(project, specs) {
  const options = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', '--legacy-peer-deps']
  await execute('npm', ['install', ...options, ...specs], project)
}

/**
 * A folder in a project, which sees what is installed there.
 *
 * @param {string} project
 * @param {string} name
 */
export function folderIn(project, name) {
  const folder = join(project, name)
  mkdirSync(folder, { recursive: true })
  return folder
}

/**
 * @param {string} folder
 * @param {Record<string, string>} files
 */
export function write(folder, files) {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

/**
 * Copies a program of test/fixtures/matrix into a folder.
 *
 * @param {string} name
 * @param {string} folder
 * @param {string} [as]
 */
export function program(name, folder, as = name) {
  if (!existsSync(join(folder, as))) cpSync(join(PROGRAMS, name), join(folder, as))
  return join(folder, as)
}

/**
 * Runs a command, and hands on its output.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 * @param {Record<string, string>} [env]
 * @returns {Promise<string>}
 * @throws with the output, if its exit status is not 0.
 */
export function execute(command, args, cwd, env = {}) {
  // Without MEMCACHE_SERVERS and the settings of an npm around it.
  const { PATH, HOME, NODE_EXTRA_CA_CERTS } = process.env
  const certificates = NODE_EXTRA_CA_CERTS === undefined ? {} : { NODE_EXTRA_CA_CERTS }
  const options = {
    cwd,
    env: { PATH, HOME, CI: 'true', ...certificates, ...env },
    timeout: TIMEOUT_MS,
    maxBuffer: 2 ** 26,
  }
  return new Promise((resolve, reject) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else
        reject(new Error(`${command} ${args.join(' ')}\n${`${stdout}${stderr}`.trim().slice(-3000) || error.message}`))
    })
  })
}

/** Runs a command that prints `ok` as its last line. @type {typeof execute} */
export async function expectOk(command, args, cwd, env) {
  const stdout = await execute(command, args, cwd, env)
  if (stdout.trim().split('\n').at(-1) !== 'ok') throw new Error(`${command} ${args.join(' ')} printed ${stdout}`)
  return stdout
}

/**
 * The Node of a major version, from npm's packages of it.
 *
 * @param {Context} context
 * @param {number} major
 */
export async function nodeOf({ folder }, major) {
  const home = join(folder, `node-${major}`)
  const name = `node-${process.platform}-${process.arch}`
  if (!existsSync(home)) {
    write(home, { 'package.json': '{ "private": true }' })
    await npmInstall(home, [`${name}@${major}`])
  }
  return join(home, 'node_modules', name, 'bin/node')
}

/**
 * The first TypeScript that a README shows.
 *
 * @param {string} readme
 */
export function firstBlock(readme) {
  const found = /^```ts[ a-z]*\n(.*?)^```/ms.exec(readFileSync(join(ROOT, readme), 'utf8'))
  if (found === null) throw new Error(`${readme} shows no TypeScript`)
  return found[1]
}

/**
 * The name of a packed package: npm names the file for it and its version.
 *
 * @param {string} tarball
 */
export function nameOfTarball(tarball) {
  return basename(tarball).replace(/-\d.*$/, '')
}
