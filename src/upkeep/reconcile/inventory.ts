import { createReadStream } from 'node:fs'
import { access, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { z } from 'zod'
import { KeepsakeError } from '../../media/index.ts'
import type { ListedObject } from '../../stores/index.ts'
import { linesOf } from './lines.ts'

/** The columns of an S3 Inventory that say what a list says (AWS, "Amazon S3 Inventory list"). */
const defaultColumns = ['Bucket', 'Key', 'Size', 'LastModifiedDate', 'ETag']

/** AWS, "Specifying the inventory manifest": fileSchema is one text, files are named by their keys in the destination. */
const manifestSchema = z.looseObject({
  sourceBucket: z.string().optional(),
  creationTimestamp: z.string().regex(/^\d+$/).optional(),
  fileFormat: z.string(),
  fileSchema: z.string(),
  files: z.array(z.looseObject({ key: z.string() })),
})

export type Inventory = {
  readonly objects: AsyncIterable<ListedObject>
  readonly madeAt: Date
  /** The bucket that it is of, where it says so. */
  readonly bucket?: string
}

/**
 * An S3 Inventory in CSV: its `manifest.json` with the files beside it (where `aws s3 sync` puts them), or one CSV,
 * plain or gzipped. Without a manifest a CSV begins with a line of column names, or has Bucket, Key, Size,
 * LastModifiedDate, ETag; its time is then that of the file.
 *
 * @throws {KeepsakeError} `invalid_request`
 */
export async function openInventory(path: string): Promise<Inventory> {
  if (!path.endsWith('.json')) {
    const { mtime } = await stat(path).catch(() => refuse(`there is no file ${path}`))
    return { objects: readCsv(path, undefined), madeAt: mtime }
  }
  const parsed = manifestSchema.safeParse(
    parseJson(await readFile(path, 'utf8').catch(() => refuse(`there is no file ${path}`))),
  )
  if (!parsed.success) return refuse(`${path} is not the manifest of an S3 Inventory`)
  const { fileFormat, fileSchema, files, creationTimestamp, sourceBucket } = parsed.data
  if (fileFormat !== 'CSV') return refuse(`it is in ${fileFormat}; Keepsake reads CSV`)
  const columns = fileSchema.split(',').map((name) => name.trim())
  const paths = await Promise.all(files.map(({ key }) => findBeside(path, key)))
  const madeAt = creationTimestamp === undefined ? (await stat(path)).mtime : new Date(Number(creationTimestamp))
  return {
    ...(sourceBucket === undefined ? {} : { bucket: sourceBucket }),
    madeAt,
    objects: (async function* () {
      for (const file of paths) yield* readCsv(file, columns)
    })(),
  }
}

async function findBeside(manifest: string, key: string): Promise<string> {
  const [folder, name] = [dirname(manifest), basename(key)]
  for (const place of [join(folder, name), join(folder, 'data', name), join(folder, '..', 'data', name)]) {
    const isThere = await access(place).then(
      () => true,
      () => false,
    )
    if (isThere) return place
  }
  return refuse(`its file ${name} is neither beside it nor in data/. Download all of it ('aws s3 sync')`)
}

async function* readCsv(path: string, schema: readonly string[] | undefined): AsyncGenerator<ListedObject> {
  const file: Readable = createReadStream(path)
  let columns = schema
  for await (const record of csvRecords(path.endsWith('.gz') ? unzipped(file, path) : file)) {
    if (columns === undefined) {
      const hasNames = record.some((field) => /^key$/i.test(field))
      columns = hasNames ? record : defaultColumns
      if (hasNames) continue
    }
    const object = toObject(columns, record, path)
    if (object) yield object
  }
}

async function* unzipped(file: Readable, path: string): AsyncGenerator<Uint8Array> {
  const unzip = createGunzip()
  file.once('error', (error) => unzip.destroy(error))
  try {
    yield* file.pipe(unzip)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    refuse(`${basename(path)} is no whole gzip file (${why}). Download it again`)
  }
}

function toObject(columns: readonly string[], record: readonly string[], path: string): ListedObject | undefined {
  const field = (name: string) => record[columns.findIndex((column) => column.toLowerCase() === name)]
  // A version that is not the latest, or a delete marker, is no object that anybody sees.
  if (field('islatest') === 'false' || field('isdeletemarker') === 'true') return undefined
  const [key, size, modified] = [field('key'), field('size'), new Date(field('lastmodifieddate') ?? '')]
  if (!key || size === undefined || !/^\d{1,15}$/.test(size) || Number.isNaN(modified.getTime())) {
    return refuse(`${basename(path)} has a line without a proper Key, Size or LastModifiedDate`)
  }
  return { key: decodeKey(key), size: Number(size), etag: `"${field('etag') ?? ''}"`, lastModified: modified }
}

/** AWS: "the key name is URL-encoded", as forms are. */
function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '))
  } catch {
    return refuse(`the key '${key.slice(0, 80)}' is not URL-encoded`)
  }
}

/** RFC 4180: fields may be quoted, a quote within is doubled. A quoted field ends on its line: keys are URL-encoded. */
async function* csvRecords(source: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  for await (const line of linesOf(source)) if (line.trim() !== '') yield csvFields(line)
}

function csvFields(line: string): string[] {
  const fields: string[] = []
  for (const [, quoted, plain] of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    fields.push(quoted === undefined ? (plain ?? '') : quoted.replaceAll('""', '"'))
  }
  return fields
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function refuse(why: string): never {
  throw new KeepsakeError('invalid_request', `The inventory cannot be read: ${why}.`)
}
