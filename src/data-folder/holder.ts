import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { FileLock } from './file-lock.ts'
import { readIfPresent } from './private-file.ts'
import { socketPath } from './socket-path.ts'

const holderFile = z.object({
  pid: z.int().positive(),
  /** The machine, because a folder on a shared disk may be held elsewhere. */
  host: z.string(),
  startedAt: z.iso.datetime(),
  socket: z.string(),
  url: z.string().optional(),
})

/** The process that holds a data folder. */
export type Holder = {
  readonly pid: number
  readonly host: string
  readonly startedAt: Date
  /** The unix domain socket where it serves its HTTP API to this user. */
  readonly socket: string
  /** Its HTTP address, once it serves one. */
  readonly url?: string
}

export function lockPath(dir: string): string {
  return join(dir, 'lock.db')
}

export function holderPath(dir: string): string {
  return join(dir, 'holder.json')
}

export function holderText(holder: Holder): string {
  return `${JSON.stringify({ ...holder, startedAt: holder.startedAt.toISOString() }, null, 2)}\n`
}

/** How long to wait for a holder that has just taken the lock to say who it is, in milliseconds. */
const patience = 500

/**
 * Who holds a data folder now, or undefined where nobody does. Creates nothing. A `pid` of 0 stands for a holder that
 * did not say who it is.
 */
export async function findHolder(dir: string): Promise<Holder | undefined> {
  const until = performance.now() + patience
  while (FileLock.isHeld(lockPath(dir))) {
    const holder = parseHolder(await readIfPresent(holderPath(dir)))
    if (holder) return holder
    if (performance.now() >= until) return { pid: 0, host: '', startedAt: new Date(0), socket: socketPath(dir) }
    await sleep(10)
  }
  return undefined
}

function parseHolder(text: string | undefined): Holder | undefined {
  if (text === undefined) return undefined
  try {
    const { url, startedAt, ...rest } = holderFile.parse(JSON.parse(text))
    return { ...rest, startedAt: new Date(startedAt), ...(url === undefined ? {} : { url }) }
  } catch {
    return undefined
  }
}
