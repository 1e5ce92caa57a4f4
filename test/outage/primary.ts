import { z } from 'zod'
import { startEmbeddedS3 } from '../../src/embedded-s3/index.ts'

/** The bucket of the outage test, in a process of its own: what its parent sends says where. */
const task = z.object({
  dir: z.string(),
  port: z.int(),
  bucket: z.string(),
  credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string() }),
})

process.once('message', async (message) => {
  const { dir, port, bucket, credentials } = task.parse(message)
  await startEmbeddedS3({ dir, port, buckets: [bucket], credentials })
  process.send?.('listening')
})
