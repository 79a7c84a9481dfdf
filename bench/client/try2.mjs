import { MemcachedClient } from 'memcache-ts-client'
import { workloads } from '/work/main/bench/client/workloads.js'
const c0 = new MemcachedClient({ servers: '127.0.0.1:23456', poolSize: Number(process.argv[2] ?? 2) })
const c = {
  get: (key) => c0.get(key),
  set: (key, value) => c0.set(key, value, 600),
  getMulti: async (keys) => (await c0.getMulti(keys)).size,
  getText: (key) => c0.get(key),
  setText: (key, text) => c0.set(key, text, 600),
}
const only = process.argv[3]
for (const [w, { prepare, run }] of Object.entries(workloads)) {
  if (only && !w.includes(only)) continue
  await prepare(c)
  await run(c, performance.now() + 400)
  const out = []
  for (let i = 0; i < 3; i++) {
    const t = performance.now(),
      cpu = process.cpuUsage()
    const n = await run(c, t + 500)
    const u = process.cpuUsage(cpu)
    out.push((n / (performance.now() - t)).toFixed(1) + 'k/s ' + ((u.user + u.system) / n).toFixed(2) + 'us')
  }
  console.log(w, out.join('  '))
}
process.exit()
