import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedS3, type EmbeddedS3Options, startEmbeddedS3 } from '../../embedded-s3/index.ts'
import { type ControlClient, openControlClient } from '../control-client.ts'
import { credentials } from './credentials.ts'

export { credentials } from './credentials.ts'
export { account, desire, desireEverything, replica } from './desired.ts'
export { type SettingsServer, startSettingsServer } from './settings-server.ts'

export type Bench = {
  readonly server: EmbeddedS3
  readonly client: ControlClient
  readonly dir: string
  stop(): Promise<void>
}

/** An embedded S3 in a folder of its own, and a control client for it. */
export async function startBench(options: Partial<EmbeddedS3Options> = {}): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'keepsake-bucket-'))
  const server = await startEmbeddedS3({ dir: join(dir, 's3'), credentials, fsync: false, ...options })
  const client = await openControlClient({
    endpoint: server.url,
    region: server.region,
    forcePathStyle: true,
    credentials: () => options.credentials ?? credentials,
  })
  return {
    server,
    client,
    dir,
    stop: async () => {
      client.close()
      await server.close({ timeoutMs: 0 })
      await rm(dir, { recursive: true, force: true })
    },
  }
}
