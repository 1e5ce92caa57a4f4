import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { KeepsakeError } from '../media/index.ts'
import type { KeepsakeConfig } from './keepsake-config.ts'

export const configFileNames = ['keepsake.config.ts', 'keepsake.config.js', 'keepsake.config.mjs'] as const

export type ConfigFile = { readonly path: string; readonly config: KeepsakeConfig }

/**
 * Loads `keepsake.config.ts`, `.js` or `.mjs` from a folder; undefined where there is none. Node runs TypeScript by
 * itself. The configuration's values are checked by `resolveConfig`.
 *
 * @throws {KeepsakeError} `invalid_setting` where there are two, where it does not load, or where its default export
 * is not a configuration.
 */
export async function loadConfigFile(cwd: string): Promise<ConfigFile | undefined> {
  const names = await readdir(cwd).catch((): string[] => [])
  const present = configFileNames.filter((name) => names.includes(name))
  const [name, other] = present
  if (name === undefined) return undefined
  const path = join(cwd, name)
  if (other !== undefined) {
    throw new KeepsakeError('invalid_setting', `There are both ${path} and ${other}. Remove one.`)
  }
  const module = await load(path)
  const config = module.default
  if (!isConfig(config)) {
    const exported = Object.keys(module).filter((key) => key !== 'default')
    const has =
      config === undefined ? `exports ${exported.join(', ') || 'nothing'}` : `has the default export ${kind(config)}`
    throw new KeepsakeError(
      'invalid_setting',
      `${path} ${has}. It must say: export default defineConfig({ … }), with an object.`,
    )
  }
  return { path, config }
}

async function load(path: string): Promise<Record<string, unknown>> {
  try {
    const module: unknown = await import(pathToFileURL(path).href)
    return z.record(z.string(), z.unknown()).parse({ ...z.looseObject({}).parse(module) })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    // In a clone of Keepsake its own name leads into `dist/`, which git does not carry.
    const unbuilt = why.startsWith(`Cannot find module '${join(dirname(path), 'dist', '/')}`)
    const hint = unbuilt ? ". In a clone 'keepsake' is what `npm run build` makes: run that first." : ''
    throw new KeepsakeError('invalid_setting', `${path} does not load: ${why}${hint}`, { cause: error })
  }
}

/** Its shape and values are judged by `resolveConfig`, together with all other settings. */
function isConfig(value: unknown): value is KeepsakeConfig {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Promise)
}

function kind(value: unknown): string {
  if (value === null) return 'null'
  if (value instanceof Promise) return 'a promise'
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`
}
