import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeWithCommand, describeWithMemcached, launchMemcached, readLine } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { KIT_METRICS, KIT_METRIC_PREFIX } from '../packages/kit/src/telemetry/kit-metrics.ts'

const FOLDER = fileURLToPath(new URL('../examples/production', import.meta.url))

function read(path: string): string {
  return readFileSync(join(FOLDER, path), 'utf8')
}

/** The metrics of memcached_exporter that the example and its documents use, without those of slab classes. */
const EXPORTER_METRICS = [
  'up',
  'uptime_seconds',
  'commands_total',
  'current_bytes',
  'limit_bytes',
  'items_evicted_total',
  'items_reclaimed_total',
  'current_items',
  'read_bytes_total',
  'written_bytes_total',
  'current_connections',
  'connections_total',
  'max_connections',
  'slab_current_items',
].map((name) => `memcached_${name}`)
const KNOWN_METRICS = new Set([...EXPORTER_METRICS, ...KIT_METRICS.map(({ name }) => KIT_METRIC_PREFIX + name)])

function metricsIn(text: string): string[] {
  return [...text.matchAll(/\b(memcached_(?!exporter)[a-z_]+[a-z]|memcache_ts_[a-z_]+[a-z])\b/g)].map(
    (match) => match[1]!,
  )
}

describeWithMemcached('the service of examples/production', () => {
  it('keeps sessions, exports metrics, and finishes running requests on a signal', async () => {
    await using one = await launchMemcached()
    await using two = await launchMemcached()
    const child = spawn(process.execPath, ['main.js'], {
      cwd: join(FOLDER, 'app'),
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: process.env['PATH'],
        PORT: '0',
        NODE_ENV: 'production',
        SESSION_SECRET: 'a secret of this test',
        MEMCACHE_SERVERS: `memcache://${one.address},${two.address}?timeoutMs=20000`,
      },
    })
    const exited = once(child, 'exit')
    try {
      const line = await readLine(child)
      const url = `http://127.0.0.1:${/ port (\d+)$/.exec(line)?.[1] ?? expect.fail(line)}`
      const first = await fetch(url)
      const cookie = first.headers.getSetCookie()[0]!.split(';')[0]!
      expect(await first.json()).toEqual({ visits: 1 })
      expect(await (await fetch(url, { headers: { cookie } })).json()).toEqual({ visits: 2 })
      const metrics = await (await fetch(`${url}/metrics`)).text()
      expect(metrics).toContain('memcache_ts_up{cache="default"} 1')
      expect((await fetch(`${url}/livez`)).status).toBe(200)
      const underWay = fetch(`${url}/slow/1`)
      // The request has arrived when its loader runs.
      for (let loading = false; !loading;) {
        loading = (await (await fetch(`${url}/metrics`)).text()).includes('memcache_ts_loading{cache="default"} 1')
      }
      child.kill('SIGTERM')
      expect(await (await underWay).json()).toMatchObject({ id: '1' })
      expect(await exited).toEqual([0, null])
    } finally {
      child.kill('SIGKILL')
    }
  })
})

describe('the files of examples/production', () => {
  const compose = parse(read('docker-compose.yml'), { merge: true }) as {
    services: Record<
      string,
      { image?: string; build?: string; command?: string[]; volumes?: string[]; environment?: Record<string, string> }
    >
  }

  it('docker-compose.yml: every service has an image or a folder, and every mounted file exists', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      expect(service.image ?? service.build, name).toBeDefined()
      if (service.build !== undefined) expect(existsSync(join(FOLDER, service.build, 'Dockerfile'))).toBe(true)
      for (const volume of service.volumes ?? [])
        expect(existsSync(join(FOLDER, volume.split(':')[0]!)), volume).toBe(true)
    }
  })

  it('docker-compose.yml: applications, exporters and Prometheus name servers that exist', () => {
    const names = new Set(Object.keys(compose.services))
    const servers = compose.services['app-1']!.environment!['MEMCACHE_SERVERS']!.split(',')
    expect(servers).toHaveLength(3)
    const exporters = Object.values(compose.services).flatMap(({ command = [] }) =>
      command.flatMap((word) => /^--memcached.address=(.+)/.exec(word)?.[1] ?? []),
    )
    expect(exporters).toEqual(servers)
    const prometheus = parse(read('prometheus/prometheus.yml')) as {
      rule_files: string[]
      scrape_configs: { static_configs: { targets: string[] }[] }[]
    }
    const targets = prometheus.scrape_configs.flatMap((job) => job.static_configs.flatMap((group) => group.targets))
    for (const address of [...servers, ...targets]) expect(names).toContain(address.split(':')[0])
    for (const file of prometheus.rule_files) expect(existsSync(join(FOLDER, 'prometheus', file))).toBe(true)
  })

  it('the dashboard has panels that do not overlap, with queries over metrics that exist', () => {
    const dashboard = JSON.parse(read('grafana/dashboards/memcache-ts.json')) as {
      uid: string
      title: string
      schemaVersion: number
      templating: { list: { name: string }[] }
      panels: {
        id: number
        type: string
        title: string
        gridPos: { x: number; y: number; w: number; h: number }
        targets?: { refId: string; expr: string }[]
      }[]
    }
    const { panels } = dashboard
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const taken = new Set<string>()
    for (const { gridPos, title, type, targets = [] } of panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x}:${y}`), `${title} overlaps`).toBe(false)
          taken.add(`${x}:${y}`)
        }
      }
      if (type !== 'row') expect(targets.length, title).toBeGreaterThan(0)
      for (const { expr } of targets) {
        expect(metricsIn(expr).length, expr).toBeGreaterThan(0)
        for (const metric of metricsIn(expr)) expect(KNOWN_METRICS).toContain(metric)
        for (const [, variable] of expr.matchAll(/\$(\w+)/g)) {
          expect(dashboard.templating.list.map(({ name }) => name)).toContain(variable)
        }
      }
    }
  })

  it.each([
    ['the alerts', join(FOLDER, 'prometheus/alerts.yml')],
    ['docs/operations.md', fileURLToPath(new URL('../docs/operations.md', import.meta.url))],
  ])('%s: metrics are those that exist', (_, path) => {
    const metrics = metricsIn(readFileSync(path, 'utf8'))
    expect(metrics.length).toBeGreaterThan(5)
    for (const metric of metrics) expect(KNOWN_METRICS).toContain(metric)
  })

  describeWithCommand({ command: ['promtool', '--version'], debianPackage: 'prometheus' }, 'with promtool', () => {
    it('the alerts fire when they should, and only then', () => {
      const cwd = join(FOLDER, 'prometheus')
      const tests = readdirSync(cwd).filter((file) => file.endsWith('.test.yml'))
      const { stdout, stderr, status } = spawnSync('promtool', ['test', 'rules', ...tests], {
        cwd,
        encoding: 'utf8',
      })
      expect({ status, says: stdout + stderr }).toMatchObject({ status: 0 })
      const tested = new Set(tests.flatMap((file) => read(`prometheus/${file}`).match(/alertname: \w+/g)!))
      for (const alert of read('prometheus/alerts.yml').match(/(?<=alert: )\w+/g)!)
        expect(tested).toContain(`alertname: ${alert}`)
    })
  })

  it('kubernetes: manifests have a kind and a name, and the application names the pods of the StatefulSet', () => {
    const documents = readdirSync(join(FOLDER, 'kubernetes')).flatMap((file) =>
      parseAllDocuments(read(`kubernetes/${file}`)).map(
        (document) =>
          document.toJS() as {
            apiVersion: string
            kind: string
            metadata: { name: string }
            spec: { replicas?: number }
          },
      ),
    )
    for (const { apiVersion, kind, metadata } of documents) {
      expect([apiVersion, kind, metadata.name]).not.toContain(undefined)
    }
    const set = documents.find(({ kind }) => kind === 'StatefulSet')!
    const pods = Array.from(
      { length: set.spec.replicas! },
      (_, index) => `${set.metadata.name}-${index}.${set.metadata.name}:11211`,
    )
    expect(read('kubernetes/app.yaml')).toContain(`value: ${pods.join(',')}\n`)
  })

  it('systemd: units have the sections and a command', () => {
    for (const file of readdirSync(join(FOLDER, 'systemd'))) {
      const unit = read(`systemd/${file}`)
      for (const section of ['[Unit]', '[Service]', '[Install]', 'ExecStart=', 'Restart='])
        expect(unit).toContain(section)
    }
  })
})
