import { composeKeepsake, type KeepsakeParts } from './compose.ts'
import { type ConfigSources, type KeepsakeConfig, type ResolvedConfig, resolveConfig } from './config/index.ts'
import type { DataFolder } from './data-folder/index.ts'
import type { Handler, HandlerOptions, HttpExtension } from './http/index.ts'
import { type Logger, silentLogger } from './logger.ts'
import { KeepsakeError } from './media/index.ts'
import { openParts } from './open-parts.ts'
import { claimBucket, foreignBucket } from './upkeep/index.ts'
import type { Keepsake as Composed } from './verbs.ts'

/** A running Keepsake, opened by {@link createKeepsake}. */
export interface Keepsake extends Composed {
  /**
   * The HTTP API as one web-standard function, for a route of another framework and with that app's own users.
   *
   * @example
   * // Express; docs/frameworks.md has Next and Fastify.
   * app.use('/api/media', toNodeListener(keepsake.handler({ basePath: '/api/media', authorize })))
   */
  handler(options: HandlerOptions): Handler
}

export type CreateOptions = {
  /** Default: says nothing. A pino logger fits. */
  readonly logger?: Logger
  /** Default: `process.env`. */
  readonly env?: ConfigSources['env']
}

/**
 * Opens Keepsake. Without any configuration it runs on this machine alone, in `./.keepsake`; the environment
 * (`DATABASE_URL`, `S3_BUCKET_NAME` …) or the configuration points it at a real database and bucket.
 *
 * @example
 * const keepsake = await createKeepsake()
 * const asset = await keepsake.import('generations', { source: { url } })
 *
 * @throws {KeepsakeError} `invalid_setting`, `data_folder_locked`, `catalogue_unavailable`, `store_denied`
 */
export async function createKeepsake(config: KeepsakeConfig = {}, options: CreateOptions = {}): Promise<Keepsake> {
  const resolved = resolveConfig({ config, ...(options.env ? { env: options.env } : {}) })
  return (await openKeepsake(resolved, options.logger ?? silentLogger)).keepsake
}

/** Opens Keepsake from settings that are decided, and gives its data folder too: for the faces. */
export async function openKeepsake(
  config: ResolvedConfig,
  logger: Logger,
): Promise<{ readonly keepsake: Keepsake; readonly folder: DataFolder }> {
  const { parts, folder } = await openParts(config, logger)
  for (const warning of config.warnings) logger.warn({}, warning)
  try {
    const composed = await composeKeepsake(parts)
    await markBucket(parts)
    return { keepsake: { ...composed, handler: (options) => lazyHandler(composed, config, options) }, folder }
  } catch (error) {
    await parts.jobs.stop().catch(() => {})
    await Promise.all([parts.store.close(), parts.replica?.close()])
    await parts.release()
    throw error
  }
}

/** The HTTP side is loaded with the first request: who only uses the library never pays for it. */
function lazyHandler(keepsake: Composed, config: ResolvedConfig, options: HandlerOptions): Handler {
  let handler: Promise<Handler> | undefined
  const create = async () => {
    const { createHandler } = await import('./http/index.ts')
    return createHandler(keepsake, { extensions: await httpExtensions(config), ...options })
  }
  return async (request) => {
    handler ??= create()
    return (await handler)(request)
  }
}

/** The routes that the configuration's extensions bring. @throws `invalid_setting` */
export async function httpExtensions({ extensions }: ResolvedConfig): Promise<readonly HttpExtension[]> {
  const { parseHttpExtension } = await import('./http/index.ts')
  return extensions.filter(({ http }) => http !== null).map(({ name, http }) => parseHttpExtension(name, http))
}

/** Milliseconds that a store gets to be marked as this catalogue's; the next opening tries again. */
const markMillis = 5_000

/** A bucket that cannot be marked now, or is another catalogue's, is still opened: only reconcile refuses it. */
async function markBucket(parts: KeepsakeParts): Promise<void> {
  try {
    const other = await claimBucket(parts, AbortSignal.timeout(markMillis))
    if (other === undefined) return
    const id = await parts.catalogue.installationId()
    parts.logger.warn({ code: 'upkeep_refused' }, foreignBucket(parts.store, other, id).message)
  } catch (error) {
    const problem = KeepsakeError.from(error)
    parts.logger.debug({ code: problem.code, err: problem }, 'the bucket could not be marked yet')
  }
}
