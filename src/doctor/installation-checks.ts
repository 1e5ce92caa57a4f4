import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { ResolvedConfig } from '../config/index.ts'
import { formatSize, KeepsakeError, publicPrefixes } from '../media/index.ts'
import { type CheckId, fail, notOffered, pass, unknown, type Verdict } from './finding.ts'
import { isLoopback } from './probe/index.ts'

export type InstallationParts = {
  readonly config: Pick<ResolvedConfig, 'http' | 'collections' | 'urls' | 'objectStore'>
  /** The data folder's path. */
  readonly dataDir: string
}

type InstallationId = Extract<CheckId, `folder.${string}` | `settings.${string}`>

/** Free bytes below which nothing goes well. */
const leastFree = 512 * 1024 ** 2
/** Bits of a key that nobody guesses (NIST SP 800-57 part 1: 128 bits are fine beyond 2030). */
const enoughBits = 128

export const installationChecks = {
  'folder.permissions': ({ dataDir }) => permissions(dataDir),
  'folder.space': ({ dataDir, config }) =>
    space(dataDir, Math.max(0, ...[...config.collections.values()].map(({ maxSize }) => maxSize))),
  'settings.api-key': ({ config }) => {
    const { apiKey } = config.http
    if (apiKey === null) return pass('It was made here, from 32 random bytes.')
    const { length, bits } = strength(apiKey.reveal())
    const seen = `${length} characters, of about ${bits} bits at best.`
    return bits >= enoughBits ? pass(seen) : fail(seen)
  },
  'settings.jwt': ({ config }) => {
    const { jwt } = config.http
    if (jwt === null) return notOffered('No tokens are taken.')
    if ('secret' in jwt.keys) {
      const { length, bits } = strength(jwt.keys.secret.reveal())
      const seen = `A secret of ${length} characters, of about ${bits} bits at best.`
      return bits >= enoughBits ? pass(seen) : fail(seen)
    }
    const { protocol, hostname, host } = new URL(jwt.keys.jwksUrl)
    if (protocol === 'https:' || isLoopback(hostname)) return pass(`Keys come from ${host}.`)
    return fail(`Keys come from ${host} over plain HTTP: who is on the way can exchange them.`)
  },
  'settings.exposure': ({ config }) => {
    const { host } = config.http
    const isHere = isLoopback(host.includes(':') ? `[${host}]` : host)
    return isHere ? pass(`It listens on ${host}.`) : fail(`It listens on ${host}, in plain HTTP.`)
  },
  'settings.public-collections': ({ config }) => {
    const names = [...config.collections.values()].filter(({ access }) => access === 'public').map(({ name }) => name)
    if (names.length === 0) return pass('No collection is public.')
    const blurred = findBlurred(config.collections)
    if (blurred !== undefined) return fail(blurred)
    const { baseUrl } = config.urls
    if (baseUrl === null) {
      return config.objectStore.kind === 'embedded'
        ? pass(`${names.join(', ')}: at the embedded S3, under their prefixes alone.`)
        : fail(`${names.join(', ')}: nothing says where they are read from.`)
    }
    const { protocol, hostname, host } = new URL(baseUrl)
    if (protocol === 'https:' || isLoopback(hostname)) return pass(`${names.join(', ')}: at ${host}.`)
    return fail(`${names.join(', ')}: at ${host}, over plain HTTP.`)
  },
} as const satisfies Record<InstallationId, (parts: InstallationParts) => Verdict | Promise<Verdict>>

/** What opens a prefix to everybody must not open private media with it. */
function findBlurred(collections: ResolvedConfig['collections']): string | undefined {
  try {
    publicPrefixes(collections.values())
    return undefined
  } catch (error) {
    return KeepsakeError.from(error).message
  }
}

export async function runInstallationCheck(id: InstallationId, parts: InstallationParts): Promise<Verdict> {
  try {
    return await installationChecks[id](parts)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'an error'
    return unknown(`It could not be looked at (${code}).`)
  }
}

const others = 0o077

/** A closed folder keeps what is in it, whatever that's own face. */
async function permissions(dataDir: string): Promise<Verdict> {
  if (process.getuid === undefined) return notOffered('This system has no such permissions.')
  const user = process.getuid()
  if (isPrivate(await stat(dataDir), user)) return pass(`${dataDir} is for this user alone.`)
  const open: string[] = []
  for (const part of ['secrets', 'state', 'catalogue', 'objects']) {
    const path = join(dataDir, part)
    const found = await stat(path).catch(() => undefined)
    if (found === undefined || isPrivate(found, user)) continue
    const files = part === 'secrets' ? await openFiles(path, user) : [part]
    open.push(...files)
  }
  return open.length === 0
    ? pass('What is secret in it is for this user alone.')
    : fail(`Others can get at ${open.join(', ')}.`)
}

async function openFiles(folder: string, user: number): Promise<string[]> {
  const names = await readdir(folder)
  const facts = await Promise.all(names.map(async (name) => ({ name, found: await stat(join(folder, name)) })))
  return facts.flatMap(({ name, found }) => (isPrivate(found, user) ? [] : [`secrets/${name}`]))
}

function isPrivate({ mode, uid }: { readonly mode: number; readonly uid: number }, user: number): boolean {
  return (mode & others) === 0 && (uid === user || user === 0)
}

async function space(dataDir: string, largest: number): Promise<Verdict> {
  const { bavail, bsize, blocks } = await statfs(dataDir)
  const free = bavail * bsize
  const needed = Math.max(leastFree, largest)
  const seen = `${formatSize(free)} of ${formatSize(blocks * bsize)} are free.`
  return free >= needed ? pass(seen) : fail(`${seen} One import may need ${formatSize(needed)}.`)
}

/** At best: as if the characters were drawn at random from those kinds that are there, each distinct one counted. */
function strength(text: string): { length: number; bits: number } {
  const kinds = [/[a-z]/, /[A-Z]/, /[0-9]/, /[^A-Za-z0-9]/]
  const sizes = [26, 26, 10, 32]
  const alphabet = kinds.reduce((sum, kind, index) => sum + (kind.test(text) ? (sizes[index] ?? 0) : 0), 0)
  const distinct = new Set(text).size
  // 'aaaa…' has one distinct character, and no bits.
  const each = Math.log2(Math.max(1, Math.min(alphabet, distinct * 2)))
  const bits = distinct < 2 ? 0 : text.length * each
  return { length: text.length, bits: Math.floor(distinct < 8 ? Math.min(bits, distinct * each) : bits) }
}
