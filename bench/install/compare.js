import { mkdirSync, writeFileSync } from 'node:fs'
import { measureInstalls } from './installs.js'

export const description = 'what is installed with each, and how long its import takes'

export async function run({ save }) {
  const installs = await measureInstalls()
  const rows = installs.map(
    ({ name, bytes, packages, importMs }) =>
      `| ${name} | ${(bytes / 1e6).toFixed(2)} | ${packages} | ${importMs.toFixed(0)} |`,
  )
  const table = ['| imports | MB installed | packages | ms to import |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  )
  console.log(table)
  if (!save) return
  const file = new URL('../results/install.md', import.meta.url)
  mkdirSync(new URL('.', file), { recursive: true })
  writeFileSync(file, document(table))
}

function document(table) {
  return `# What is installed, and how long it takes to import

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, 2 shared cores of a virtual machine.

\`\`\`sh
npm run bench -- install --save
\`\`\`

Each package is installed by npm into its own project, the packages of this repository from packed tarballs, without the framework (Express) and without types. MB are the bytes of
all files in \`node_modules\`, in millions. The time is that of \`import\` in a process that has imported nothing before: the shortest of 15 processes, which take turns, since other work on the machine can only lengthen it.

${table}

What it does not show: the first import after a start of the machine, which reads from the disk, and the size of each package in a bundle.
\`npm run judge -- install\` holds memcache-ts to 3 MB and 80 ms, and \`npm run check:packages\` each of our packages to its size.
`
}
