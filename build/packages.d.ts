export interface Entry {
  subpath: string
  source: string
  file: string
}
export interface Package {
  name: string
  folder: string
  manifest: { exports: Record<string, unknown>; [field: string]: unknown }
  entries: Entry[]
}
export function publicPackages(): Package[]
export function workspacePackages(): Package[]
export function entryFields(of: Package): Record<string, unknown>
