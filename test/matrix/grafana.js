import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execute, npmInstall, ROOT, write } from './project.js'

const DASHBOARD = 'examples/production/grafana/dashboards/memcache-ts.json'

/** In JSON, an enum's member is its text. */
const TYPES = `
import type { Dashboard } from '@grafana/schema'
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen'
import type { FieldConfig, Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen'

type Plain<Value> = Value extends string ? \`\${Value}\` : Value extends (infer Item)[] ? Plain<Item>[]
  : Value extends object ? { [Name in keyof Value]: Plain<Value[Name]> } : Value
type PanelOptions = { stat: StatOptions; timeseries: TimeSeriesOptions }
`

/**
 * Grafana's dashboard of examples/production, checked against the types that Grafana publishes. @type
 * {import('./project.js').Cell[]}
 */
export const grafanaCells = [
  {
    name: 'grafana dashboard',
    async run({ folder }) {
      const project = join(folder, 'grafana')
      const dashboard = JSON.parse(readFileSync(join(ROOT, DASHBOARD), 'utf8'))
      const lines = [`export const dashboard = ${JSON.stringify(dashboard)} satisfies Plain<Dashboard>`]
      for (const { id, type, options, fieldConfig } of dashboard.panels) {
        if (type === 'row') continue
        lines.push(
          `export const options${id} = ${JSON.stringify(options)} satisfies Plain<PanelOptions['${type}']>`,
          type === 'timeseries' &&
            `export const fields${id} = ${JSON.stringify(fieldConfig.defaults.custom)} satisfies Plain<FieldConfig>`,
        )
      }
      write(project, {
        'package.json': '{ "private": true, "type": "module" }',
        'dashboard.ts': TYPES + lines.filter(Boolean).join('\n'),
      })
      await npmInstall(project, ['@grafana/schema@13', 'typescript@5.9'])
      const compiler = ['--no-install', 'tsc', '--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext']
      await execute('npx', [...compiler, '--target', 'es2022', 'dashboard.ts'], project)
    },
  },
]
