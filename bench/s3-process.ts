import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedS3, startEmbeddedS3 } from '../src/embedded-s3/index.ts'
import { bucket, credentials, region } from './bucket.ts'
import { serveParent } from './child.ts'
import { usage } from './usage.ts'

/** The embedded S3 in a process of its own, over a temporary folder. */
const dir = await mkdtemp(join(tmpdir(), 'keepsake-bench-s3-'))
let server: EmbeddedS3 | undefined
serveParent(
  async () => {
    server ??= await startEmbeddedS3({
      dir,
      region,
      credentials,
      buckets: [bucket],
    })
    return { url: server.url, ...usage() }
  },
  async () => {
    await server?.close()
    await rm(dir, { recursive: true, force: true })
  },
)
