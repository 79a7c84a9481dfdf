import { expectOk, PEERS, program, projectWith } from './project.js'

/** @type {import('./project.js').Cell[]} */
export const frameworkCells = [
  ...[4, 5].map((major) => ({
    name: `express ${major}`,
    async run(context) {
      const peers = PEERS.map((peer) => (peer.startsWith('express@') ? `express@${major}` : peer))
      const project = await projectWith(context, peers)
      await expectOk(process.execPath, [program('everything.mjs', project)], project)
      await expectOk(process.execPath, [program('require.cjs', project)], project)
    },
  })),
  {
    name: 'fastify 5',
    async run(context) {
      const project = await projectWith(context, PEERS)
      await expectOk(process.execPath, [program('fastify.mjs', project)], project)
    },
  },
]
