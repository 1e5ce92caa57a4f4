import fs from 'node:fs'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { isMissing } from './object-file.ts'
import { roundUp } from './pack-entry.ts'

const MAGIC = Buffer.from('S3jrnl\r\u0001')
const HEADER = 32

/** What happened to a key. */
type JournalNote = {
  readonly bucket: string
  readonly key: string
  /**
   * `put`: its file has the content of this entry. `delete`: it has none. `file`: whatever file it has now was made
   * durable by itself, and what earlier entries say of the key holds no more.
   */
  readonly change: 'put' | 'delete' | 'file'
}

type Found = { readonly note: JournalNote; readonly content: Buffer; readonly sequence: number }

type Recovery = {
  readonly dir: string
  readonly fsync: boolean
  /** The file of a key; undefined where its bucket is gone. */
  readonly fileOf: (bucket: string, key: string) => string | undefined
  /** Where a file can be written before it is renamed. */
  readonly tmp: () => string
}

/**
 * Small objects had files of their own once, and a log (`journal/`) that made them durable: two segments, written over
 * by turns. A folder whose process was killed then still has it.
 *
 * Brings the files to where the log says they are, makes them durable, and removes the log. Answers the keys that the
 * log was about: the listing index may disagree with their files.
 */
export function recoverJournal({ dir, fsync, fileOf, tmp }: Recovery): { bucket: string; key: string }[] {
  const last = new Map<string, Found>()
  for (const found of readJournal(dir)) last.set(`${found.note.bucket}/${found.note.key}`, found)
  const folders = new Set<string>()
  for (const { note, content } of last.values()) {
    const file = fileOf(note.bucket, note.key)
    if (file === undefined || note.change === 'file') continue
    if (note.change === 'delete') fs.rmSync(file, { force: true })
    else putBack(file, content, tmp(), fsync)
    folders.add(path.dirname(file)).add(path.dirname(path.dirname(file)))
  }
  if (fsync) for (const folder of folders) syncNow(folder)
  fs.rmSync(dir, { recursive: true, force: true })
  if (fsync) syncNow(path.dirname(dir))
  return [...last.values()].map(({ note: { bucket, key } }) => ({ bucket, key }))
}

/** The entries of both segments in the order they were written. */
function readJournal(dir: string): Found[] {
  let names: string[]
  try {
    names = fs.readdirSync(dir)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
  const segments = names.map((name) => readSegment(fs.readFileSync(path.join(dir, name))))
  return segments.sort((a, b) => (a[0]?.sequence ?? 0) - (b[0]?.sequence ?? 0)).flat()
}

/** Up to where it was written this time: what follows is cut short, or older. */
function readSegment(bytes: Buffer): Found[] {
  const all: Found[] = []
  for (let at = 0; at + HEADER <= bytes.length; ) {
    const header = bytes.subarray(at, at + HEADER)
    if (!header.subarray(0, MAGIC.length).equals(MAGIC)) break
    const sequence = header.readUIntBE(10, 6)
    const metaEnd = at + HEADER + header.readUInt32BE(16)
    const end = metaEnd + header.readUInt32BE(20)
    const previous = all.at(-1)
    if (end > bytes.length || (previous !== undefined && sequence !== previous.sequence + 1)) break
    if (crc32(bytes.subarray(at + HEADER, end), crc32(header.subarray(8, 24))) !== header.readUInt32BE(24)) break
    const note: unknown = JSON.parse(bytes.toString('utf8', at + HEADER, metaEnd))
    if (!isNote(note)) break
    all.push({ note, content: bytes.subarray(metaEnd, end), sequence })
    at = roundUp(end)
  }
  return all
}

/** The checksum says that the note is as this program wrote it; this says that it was this program's format. */
function isNote(value: unknown): value is JournalNote {
  if (typeof value !== 'object' || value === null) return false
  const { bucket, key, change } = Object(value)
  return typeof bucket === 'string' && typeof key === 'string' && ['put', 'delete', 'file'].includes(change)
}

function putBack(file: string, content: Buffer, fresh: string, fsync: boolean): void {
  if (!holds(file, content)) {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
    fs.writeFileSync(fresh, content, { mode: 0o600, flush: fsync })
    fs.renameSync(fresh, file)
  } else if (fsync) syncNow(file)
}

function holds(file: string, content: Buffer): boolean {
  try {
    return fs.readFileSync(file).equals(content)
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

function syncNow(file: string): void {
  if (process.platform === 'win32') return
  const fd = fs.openSync(file, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
