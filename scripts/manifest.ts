import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

export const root = join(import.meta.dirname, '..')

const target = z.union([z.string(), z.record(z.string(), z.string())])

const manifestSchema = z.object({
  name: z.string(),
  version: z.string(),
  exports: z.record(z.string(), target),
  bin: z.record(z.string(), z.string()),
  dependencies: z.record(z.string(), z.string()),
  peerDependencies: z.record(z.string(), z.string()).default({}),
})

export type Manifest = z.output<typeof manifestSchema>

export function readManifest(): Manifest {
  return manifestSchema.parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')))
}

/** Every file that package.json promises, with what it promises it for. */
export function targetsOf(manifest: Manifest): { label: string; path: string }[] {
  const exported = Object.entries(manifest.exports).flatMap(([door, value]) =>
    (typeof value === 'string' ? [value] : Object.values(value)).map((path) => ({ label: `export '${door}'`, path })),
  )
  const commands = Object.entries(manifest.bin).map(([name, path]) => ({ label: `command '${name}'`, path }))
  return [...exported, ...commands]
}

/** The doors that code imports from: every export but package.json itself. */
export function doorsOf(manifest: Manifest): string[] {
  return Object.keys(manifest.exports).filter((door) => door !== './package.json')
}
