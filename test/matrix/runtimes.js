import { join } from 'node:path'
import { execute, expectOk, nodeOf, npmInstall, PEERS, program, projectWith, write } from './project.js'

/** Every supported Node, and the other runtimes of which npm has the program. @type {import('./project.js').Cell[]} */
export const runtimeCells = [
  ...[20, 22, 24, 26].map((major) => ({
    name: `node ${major}`,
    async run(context) {
      const node = await nodeOf(context, major)
      const project = await projectWith(context, PEERS)
      const version = await execute(node, ['--version'], project)
      if (!version.startsWith(`v${major}.`)) throw new Error(`${node} is ${version}`)
      await runPrograms(node, [], project)
    },
  })),
  {
    name: 'bun',
    async run(context) {
      const project = await projectWith(context, PEERS)
      const bun = await runtime(context, 'bun', `@oven/bun-linux-x64`, 'bin/bun')
      await runPrograms(bun, [], project)
    },
  },
  {
    name: 'deno',
    async run(context) {
      const project = await projectWith(context, PEERS)
      const deno = await runtime(context, 'deno', '@deno/linux-x64-glibc', 'deno')
      await runPrograms(deno, ['run', '--allow-all', '--node-modules-dir=manual', '--no-lock'], project)
    },
  },
]

/** @param {string} command @param {string[]} args @param {string} project */
async function runPrograms(command, args, project) {
  for (const name of ['everything.mjs', 'require.cjs', 'waits.mjs', 'fastify.mjs'])
    await expectOk(command, [...args, program(name, project)], project)
}

/**
 * @param {import('./project.js').Context} context
 * @param {string} name
 * @param {string} binaries
 * @param {string} path
 */
async function runtime({ folder }, name, binaries, path) {
  const home = join(folder, name)
  write(home, { 'package.json': '{ "private": true }' })
  await npmInstall(home, [binaries])
  return join(home, 'node_modules', binaries, path)
}
