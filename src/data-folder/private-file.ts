import { randomBytes } from 'node:crypto'
import { link, open, readFile, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'

/** Writes a file that only its owner can read, whole or not at all, in place of what was there. */
export async function replacePrivateFile(path: string, content: string): Promise<void> {
  const draft = await writeDraft(path, content)
  try {
    await rename(draft, path)
  } catch (error) {
    await unlink(draft).catch(() => {})
    throw error
  }
  await syncFolder(dirname(path))
}

/**
 * Writes a file that only its owner can read unless it is there already, and answers what is in it: of several
 * processes that come at once, all get the content of the first. `link` refuses an existing name and, unlike
 * `open(…, 'wx')`, never shows a file that is still being written.
 */
export async function createPrivateFile(path: string, content: string): Promise<string> {
  const existing = await readIfPresent(path)
  if (existing !== undefined) return existing
  const draft = await writeDraft(path, content)
  try {
    await link(draft, path)
    await syncFolder(dirname(path))
    return content
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    return await readFile(path, 'utf8')
  } finally {
    await unlink(draft).catch(() => {})
  }
}

/** A text file's content, or undefined where there is none. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** The code of a system error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  const parsed = z.object({ code: z.string() }).safeParse(error)
  return parsed.success ? parsed.data.code : undefined
}

async function writeDraft(path: string, content: string): Promise<string> {
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  return draft
}

/** A new name is only safe from a power cut once its folder is synced (fsync(2), "Notes"). */
async function syncFolder(path: string): Promise<void> {
  // Windows does not open folders.
  const folder = await open(path, 'r').catch(() => undefined)
  await folder?.sync().catch(() => {})
  await folder?.close()
}
