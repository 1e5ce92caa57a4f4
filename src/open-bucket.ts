import { z } from 'zod'
import { type ClientOfRegion, type ControlClient, openControlClient } from './bucket/index.ts'
import type { EmbeddedS3Config, ResolvedConfig, S3Config } from './config/index.ts'
import { findHolder, openDataFolder } from './data-folder/index.ts'
import { KeepsakeError } from './media/index.ts'
import { credentialsOf, portName, reachable, startStore } from './open-parts.ts'
import type { CredentialsProvider } from './stores/index.ts'

/** The way to what a bucket is configured with, by the same settings as to its objects. */
export type BucketAccess = {
  readonly embedded: boolean
  readonly bucket: string
  readonly region: string
  /** Null: AWS's own. */
  readonly endpoint: string | null
  /** A control client for a region; one each, opened when it is asked for. */
  readonly clientOf: ClientOfRegion
  close(): Promise<void>
}

type Place = {
  readonly endpoint: string | null
  readonly region: string
  readonly credentials: CredentialsProvider
  readonly options: Pick<S3Config, 'forcePathStyle' | 'dualStack' | 'provider'>
  readonly release: () => Promise<void>
}

/**
 * Opens a bucket for control calls. The embedded S3 is started where no process serves it, and otherwise reached where
 * the one that holds the data folder serves it.
 *
 * @throws {KeepsakeError} `invalid_setting`, `data_folder_locked`
 */
export async function openBucket(config: ResolvedConfig): Promise<BucketAccess> {
  const store = config.objectStore
  const place = store.kind === 's3' ? s3Place(store) : await embeddedPlace(store, config)
  const { endpoint, credentials, options } = place
  const clients = new Map<string, Promise<ControlClient>>()
  return {
    embedded: store.kind === 'embedded',
    bucket: store.bucket,
    region: place.region,
    endpoint,
    clientOf(region) {
      const open =
        clients.get(region) ??
        openControlClient({
          region,
          ...(endpoint === null ? {} : { endpoint }),
          forcePathStyle: options.forcePathStyle,
          dualStack: options.dualStack,
          ...(options.provider === null ? {} : { provider: options.provider }),
          credentials,
        })
      clients.set(region, open)
      return open
    },
    async close() {
      for (const client of await Promise.allSettled(clients.values())) {
        if (client.status === 'fulfilled') client.value.close()
      }
      await place.release()
    },
  }
}

function s3Place(store: S3Config): Place {
  const { region, endpoint } = store
  const credentials = credentialsOf(store)
  return {
    endpoint,
    region,
    credentials: typeof credentials === 'function' ? credentials : () => credentials,
    options: store,
    release: async () => {},
  }
}

const embeddedOptions = { forcePathStyle: true, dualStack: false, provider: null } as const

async function embeddedPlace(store: EmbeddedS3Config, config: ResolvedConfig): Promise<Place> {
  const holder = await findHolder(config.dataDir)
  const folder = await openDataFolder(config.dataDir, { exclusive: holder === undefined })
  try {
    const credentials = await folder.embeddedS3Credentials()
    const server = holder ? undefined : await startStore(store, config, folder, credentials)
    const port = server?.port ?? (await folder.recall(portName, z.int()))
    if (port === undefined) {
      throw new KeepsakeError(
        'data_folder_locked',
        `Process ${holder?.pid} holds ${config.dataDir} and serves no S3 yet. Try again in a moment.`,
      )
    }
    return {
      endpoint: `http://${reachable(config.http.host)}:${port}`,
      region: server?.region ?? 'us-east-1',
      credentials: () => credentials,
      options: embeddedOptions,
      release: async () => {
        await server?.close()
        await folder.close()
      },
    }
  } catch (error) {
    await folder.close()
    throw error
  }
}
