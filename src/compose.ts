import { BoundVerbs } from './bound-verbs.ts'
import type { Actor, Catalogue } from './catalogue/index.ts'
import type { Clock } from './clock.ts'
import { Delivery } from './delivery/index.ts'
import { type GuardedFetch, Intake, type UploadSettings, Uploads } from './intake/index.ts'
import type { Jobs } from './jobs/index.ts'
import type { Logger } from './logger.ts'
import { type Collection, KeepsakeError } from './media/index.ts'
import type { ObjectStore } from './stores/index.ts'
import { settle, sweep } from './upkeep/index.ts'
import type { Keepsake, PartHealth } from './verbs.ts'

/** What a Keepsake is made of. `createKeepsake` makes the parts from configuration; tests bring their own. */
export type KeepsakeParts = {
  readonly catalogue: Catalogue
  readonly store: ObjectStore
  readonly jobs: Jobs
  readonly fetch: GuardedFetch
  readonly clock: Clock
  readonly collections: ReadonlyMap<string, Collection>
  /** A folder for imports that are too large for memory. */
  readonly spoolDir: string
  readonly logger: Logger
  /** Seconds a link lives where the caller does not say. */
  readonly expiresIn: number
  /** Where public collections are read from. */
  readonly baseUrl: string | null
  /** Seconds after which an import is given up whose source does not say when it dies. */
  readonly giveUpAfter: number
  readonly uploads?: UploadSettings
  /** Seconds a caller waits before it is told `pending`. */
  readonly patience?: number
  /** Throws while the catalogue's database does not answer. */
  readonly checkCatalogue: () => Promise<void>
  /** Lets go of what the parts stand on, after all work has ended. */
  readonly release: () => Promise<void>
}

/** Seconds that imports under way get to finish at a stop. Container runtimes kill after ten seconds or more. */
const drainSeconds = 7

/** Puts the parts together: intake -> stores and catalogue -> delivery, with upkeep beside them. */
export async function composeKeepsake(parts: KeepsakeParts): Promise<Keepsake> {
  refusePublicWithoutAddress(parts)
  const { catalogue, store, jobs, collections } = parts
  const intake = new Intake({ ...parts, storeName: 'primary' })
  const uploads = new Uploads(parts)
  const upkeep = { ...parts, intake, uploads }
  const verbParts = { ...parts, intake, uploads, delivery: new Delivery(parts) }
  await jobs.start({
    settle: async (id) => {
      const record = await catalogue.get(id, { role: 'system' })
      if (record) await settle(upkeep, record)
    },
    sweep: (signal) => sweep(upkeep, signal),
  })

  const as = (actor: Actor) => new BoundVerbs(verbParts, actor)
  const service = as({ role: 'service' })
  let closing: Promise<void> | undefined
  const drain = async (seconds = drainSeconds) => {
    await Promise.all([intake.close(seconds), uploads.close(seconds)])
  }
  const close = async (grace: number | undefined) => {
    // Imports first: what they put off goes to the queue; then the queue; then what both stand on.
    await drain(grace)
    await jobs.stop()
    await store.close()
    await parts.release()
  }
  return {
    import: (collection, request) => service.import(collection, request),
    upload: (collection, request) => service.upload(collection, request),
    uploadStatus: (id) => service.uploadStatus(id),
    uploadParts: (id, partNumbers) => service.uploadParts(id, partNumbers),
    completeUpload: (id, options) => service.completeUpload(id, options),
    abortUpload: (id) => service.abortUpload(id),
    get: (id) => service.get(id),
    list: (collection, request) => service.list(collection, request),
    delete: (id) => service.delete(id),
    url: (id, options) => service.url(id, options),
    urls: (assets, options) => service.urls(assets, options),
    read: (id) => service.read(id),
    audit: (filter) => service.audit(filter),
    as,
    collections,
    check: () => Promise.all([health('catalogue', parts.checkCatalogue), health('primary', () => store.check())]),
    countByState: () => catalogue.countByState(),
    drain: () => drain(),
    close: ({ grace } = {}) => {
      closing ??= close(grace)
      return closing
    },
  }
}

async function health(name: string, check: () => Promise<void>): Promise<PartHealth> {
  try {
    await check()
    return { name, ok: true }
  } catch (error) {
    const { code, message } = KeepsakeError.from(error)
    return { name, ok: false, code, message }
  }
}

function refusePublicWithoutAddress({ collections, baseUrl }: KeepsakeParts): void {
  for (const { name, access } of collections.values()) {
    if (access !== 'public' || baseUrl !== null) continue
    throw new KeepsakeError(
      'invalid_setting',
      `The collection '${name}' is public, and nothing says where it is read from. Set S3_BASE_URL to the CDN or ` +
        'website in front of the bucket, or make the collection private.',
    )
  }
}
