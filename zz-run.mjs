import { fork, spawn } from 'node:child_process'
import http from 'node:http'
const port = 20000 + Math.floor(Math.random()*20000)
const mc = spawn('memcached', ['-u','root','-l','127.0.0.1','-p',String(port),'-t','1'])
await new Promise(r => setTimeout(r, 300))
const kinds = process.argv.slice(2).length ? process.argv.slice(2) : ['bare','erl','ours','fixed']
const procs = {}
for (const k of kinds) { const p = fork('/work/wt/limit/zz-bench.mjs', [k, `127.0.0.1:${port}`], { execArgv: process.env.PROF ? ['--cpu-prof','--cpu-prof-dir=/tmp/lim'] : [] }); procs[k] = { p, port: (await new Promise(r => p.once('message', r))).port, us: [] } }
const agent = new http.Agent({ keepAlive: true, maxSockets: 50 })
const one = (port) => new Promise((res, rej) => http.get({ port, host: '127.0.0.1', agent }, (r) => { r.resume(); r.on('end', () => res(r.statusCode)) }).on('error', rej))
async function load(port, n) { let left = n; const w = async () => { while (left-- > 0) { const s = await one(port); if (s !== 200) throw new Error(s) } }; await Promise.all(Array.from({ length: 50 }, w)) }
const cpu = (p) => new Promise(r => { p.once('message', m => r(m.cpu)); p.send('cpu') })
const N = Number(process.env.N ?? 4000), R = Number(process.env.R ?? 8)
for (const k of kinds) await load(procs[k].port, 3000)
for (let r = 0; r < R; r++) for (const k of kinds) { const { p, port, us } = procs[k]; const a = await cpu(p); await load(port, N); const b = await cpu(p); us.push((b.user + b.system - a.user - a.system) / N) }
for (const k of kinds) { const { us, p } = procs[k]; us.sort((a, b) => a - b); console.log(k, 'median', us[us.length >> 1].toFixed(1), 'min', us[0].toFixed(1)); p.send('end') }
mc.kill()
process.exit(0)
