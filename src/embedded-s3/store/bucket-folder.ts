import { hash } from 'node:crypto'
import { accessSync, mkdirSync, readFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { isMissing } from './object-file.ts'

export type Bucket = {
  readonly name: string
  /** Milliseconds since 1970. */
  readonly created: number
  /** What was configured for it, as documents by name: `policy`, `cors`, … */
  readonly settings: Readonly<Record<string, string>>
}

/** What a bucket's folder holds, besides bucket.json. */
export const FOLDERS = ['objects', 'uploads', 'tags'] as const

/** The buckets in a folder, by name. */
export async function readBuckets(dir: string): Promise<Map<string, Bucket>> {
  const buckets = new Map<string, Bucket>()
  for (const name of await fs.readdir(dir)) {
    const file = path.join(dir, name, 'bucket.json')
    const described = readJson(file) ?? {}
    const created: unknown = Reflect.get(described, 'created')
    const settings: unknown = Reflect.get(described, 'settings') ?? {}
    if (typeof created !== 'number') throw new Error(`${file} does not say when the bucket was created`)
    if (!isTexts(settings)) throw new Error(`${file} holds settings that are no documents`)
    accessSync(path.join(dir, name, 'objects'))
    for (const folder of FOLDERS) mkdirSync(path.join(dir, name, folder), { recursive: true, mode: 0o700 })
    buckets.set(name, { name, created, settings })
  }
  return buckets
}

/** A JSON object out of a file; undefined where there is none. */
export function readJson(file: string): object | undefined {
  let content: string
  try {
    content = readFileSync(file, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  const parsed: unknown = JSON.parse(content)
  return typeof parsed === 'object' && parsed !== null ? parsed : undefined
}

export function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string')
}

/** The file of a key in a folder of files by key: by its SHA-256, so no key can name a path. */
export function fileIn(folder: string, key: string): string {
  const name = hash('sha256', key)
  return path.join(folder, name.slice(0, 2), name.slice(2))
}
