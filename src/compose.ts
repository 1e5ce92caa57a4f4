import { BoundVerbs } from './bound-verbs.ts'
import type { Actor, Catalogue } from './catalogue/index.ts'
import type { Clock } from './clock.ts'
import { Delivery, type LinkSigner } from './delivery/index.ts'
import { Doctor, type DoctorParts } from './doctor/index.ts'
import { type GuardedFetch, type GuardedPost, Intake, type UploadSettings, Uploads } from './intake/index.ts'
import type { Jobs } from './jobs/index.ts'
import type { Logger } from './logger.ts'
import { type Collection, KeepsakeError } from './media/index.ts'
import { createMoving } from './moving/index.ts'
import { createStores, type LocalStore, type ObjectStore, type Stores } from './stores/index.ts'
import {
  announcing,
  Courier,
  cleanUp,
  createReconcile,
  createReplica,
  createWebhooks,
  LocalUpkeep,
  localSource,
  originSource,
  Promoter,
  type ReplicaSettings,
  Replicator,
  rebuild,
  replicaSource,
  scheduledWork,
  settle,
  sweep,
  type UpkeepSchedules,
  UploadSweep,
  verify,
  type WebhookEndpoint,
} from './upkeep/index.ts'
import type { BucketLocation, Keepsake, PartHealth } from './verbs.ts'

/** What a Keepsake is made of. `createKeepsake` makes the parts from configuration; tests bring their own. */
export type KeepsakeParts = {
  readonly catalogue: Catalogue
  /** The bucket. */
  readonly store: ObjectStore
  /** Where the store's objects lie. */
  readonly location: BucketLocation
  /** What is fallen back to while the bucket fails. Default: nothing. */
  readonly local?: LocalStore | null
  /** A copy of the bucket elsewhere. Default: none. */
  readonly replica?: ObjectStore | null
  /** How the replica is kept. Default: copied by Keepsake, deletes follow after a week. */
  readonly replication?: ReplicaSettings
  /** Seconds between looks at what fell back; 0 for none beside the sweep's. Default: 5. */
  readonly promoteEvery?: number
  readonly jobs: Jobs
  readonly fetch: GuardedFetch
  readonly clock: Clock
  readonly collections: ReadonlyMap<string, Collection>
  /** A folder for imports that are too large for memory. */
  readonly spoolDir: string
  /** A folder for the manifests of scheduled scans. Default: `spoolDir`. */
  readonly manifestDir?: string
  readonly logger: Logger
  /** Seconds a link lives where the caller does not say. */
  readonly expiresIn: number
  /** Where public collections are read from. */
  readonly baseUrl: string | null
  /** Signs links to private media in the store's place. Default: the store does. */
  readonly cdn?: LinkSigner
  /** Seconds after which an import is given up whose source does not say when it dies. */
  readonly giveUpAfter: number
  readonly uploads?: UploadSettings
  /** Seconds a caller waits before it is told `pending`. */
  readonly patience?: number
  /** The receivers of events, and the way to them. Default: none. */
  readonly webhooks?: { readonly endpoints: readonly WebhookEndpoint[]; readonly post: GuardedPost }
  /** What runs by the clock. Default: nothing. */
  readonly schedules?: UpkeepSchedules
  /** What a doctor looks at beside the parts themselves. Default: nothing but them. */
  readonly doctor?: Pick<DoctorParts, 'catalogue' | 'place' | 'installation' | 'origins'>
  /** Opens another bucket with the same address and credentials. */
  readonly openBucket: (bucket: string) => Promise<ObjectStore>
  /** Throws while the catalogue's database does not answer. */
  readonly checkCatalogue: () => Promise<void>
  /** Lets go of what the parts stand on, after all work has ended. */
  readonly release: () => Promise<void>
}

/** Milliseconds that webhooks on their way get at a stop; what is not taken by then is sent again. */
const courierGrace = 2000
/** Seconds that imports under way get to finish at a stop. Container runtimes kill after ten seconds or more. */
const drainSeconds = 7

/** Puts the parts together: intake -> stores and catalogue -> delivery, with upkeep beside them. */
export async function composeKeepsake(given: KeepsakeParts): Promise<Keepsake> {
  refusePublicWithoutAddress(given)
  const { store: bucket, local = null, replica: copy = null, clock } = given
  const stores = createStores({ primary: bucket, local, replica: copy, clock })
  const { endpoints, courier, catalogue: told } = openWebhooks(given)
  const replicator = new Replicator({ ...given, stores })
  const catalogue = copy === null ? told : announcing(told, () => replicator.wake())
  const replica = createReplica({ ...given, catalogue, stores })
  const recoverySources = [
    ...replicaSource({ catalogue, stores }),
    ...localSource(stores),
    originSource({ catalogue, fetch: given.fetch }),
  ]
  const parts = { ...given, catalogue, stores, store: stores.primary, replica, recoverySources }
  const { jobs, collections } = parts
  const intake = new Intake(parts)
  const uploads = new Uploads(parts)
  const uploadSweep = new UploadSweep(parts)
  const promoter = new Promoter(parts)
  const upkeep = { ...parts, intake, uploads, promoter }
  const localUpkeep = new LocalUpkeep(upkeep)
  const verbParts = { ...parts, intake, uploads, delivery: new Delivery(parts) }
  const doctor = new Doctor({
    ...parts,
    store: bucket,
    catalogue: null,
    place: null,
    installation: null,
    ...parts.doctor,
  })
  try {
    // First: what happens from here on is written down for them.
    await courier.start()
    await jobs.start({
      settle: async (id) => {
        const record = await catalogue.get(id, { role: 'system' })
        if (record) await settle(upkeep, record)
      },
      sweep: async (signal) => {
        await uploadSweep.run(signal)
        await sweep(upkeep, signal)
        await catalogue.forgetDeliveries()
        await localUpkeep.look(signal)
      },
    })
    for (const { name, cron, work } of scheduledWork(parts, parts.schedules ?? {})) {
      await jobs.schedule(name, cron, work)
    }
    replicator.start()
    localUpkeep.start()
  } catch (error) {
    await courier.stop(0)
    throw error
  }

  const as = (actor: Actor) => new BoundVerbs(verbParts, actor)
  const service = as({ role: 'service' })
  let closing: Promise<void> | undefined
  const drain = async (seconds = drainSeconds) => {
    await Promise.all([intake.close(seconds), uploads.close(seconds)])
  }
  const close = async (grace: number | undefined) => {
    await doctor.close()
    await localUpkeep.stop()
    // Imports first: what they put off goes to the queue; then the queue; then what both stand on.
    await drain(grace)
    await jobs.stop()
    await Promise.all([courier.stop(courierGrace), replicator.stop()])
    await stores.close()
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
    getByKey: (key) => service.getByKey(key),
    list: (collection, request) => service.list(collection, request),
    delete: (id) => service.delete(id),
    update: (id, changes) => service.update(id, changes),
    url: (id, options) => service.url(id, options),
    urls: (assets, options) => service.urls(assets, options),
    read: (id) => service.read(id),
    audit: (filter) => service.audit(filter),
    report: (request) => service.report(request),
    rebuild: (request = {}, options) => rebuild(parts, request, { role: 'service' }, options),
    as,
    moving: createMoving(parts),
    collections,
    place: parts.location,
    reconcile: createReconcile(parts),
    replica,
    check: () => checkParts(given, stores),
    doctor: (options) => doctor.run(options),
    countByState: () => catalogue.countByState(),
    upkeepState: async () => ({ ...(await catalogue.healthFacts()), runs: await catalogue.lastRuns() }),
    verify: (request = {}, run = {}) => verify(parts, request, run.actor ?? { role: 'service' }, run),
    cleanup: (request, run = {}) => cleanUp(parts, request, run.actor ?? { role: 'service' }, run),
    promote: (options) => promoter.run(options),
    fallbackState: async () => ({
      circuit: stores.circuit(),
      local: await catalogue.localFacts(),
      place: stores.local?.place ?? null,
    }),
    webhooks: createWebhooks({ catalogue, courier, endpoints }),
    drain: () => drain(),
    close: ({ grace } = {}) => {
      closing ??= close(grace)
      return closing
    },
  }
}

/** With receivers, every change of an asset makes the courier look. */
function openWebhooks({ catalogue, clock, logger, webhooks }: KeepsakeParts) {
  const endpoints = webhooks?.endpoints ?? []
  const courier = new Courier({ catalogue, endpoints, clock, logger, post: webhooks?.post })
  return {
    endpoints,
    courier,
    catalogue: endpoints.length === 0 ? catalogue : announcing(catalogue, () => courier.wake()),
  }
}

/** Seconds that a part gets to answer: one that hangs must not keep a probe from hearing of the others. */
const partDeadline = 4

function checkParts({ clock, checkCatalogue }: KeepsakeParts, { primary, local }: Stores): Promise<PartHealth[]> {
  const inTime = (check: (signal: AbortSignal) => Promise<void>) => async () => {
    const done = new AbortController()
    const late = new AbortController()
    const lateness = clock.sleep(partDeadline, done.signal).then(() => {
      late.abort()
      throw new KeepsakeError('timeout', `No answer within ${partDeadline} seconds.`)
    })
    lateness.catch(() => {})
    try {
      await Promise.race([check(late.signal), lateness])
    } finally {
      done.abort()
    }
  }
  return Promise.all([
    health('catalogue', inTime(checkCatalogue)),
    health(
      'primary',
      inTime((signal) => primary.check({ signal })),
    ),
    ...(local
      ? [
          health(
            'local',
            inTime(async (signal) => {
              await local.requireRoom(0)
              await local.store.check({ signal })
            }),
          ),
        ]
      : []),
  ])
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
