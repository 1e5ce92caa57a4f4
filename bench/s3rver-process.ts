import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { serveParent } from './child.ts'
import { usage } from './usage.ts'

/** npm's s3rver in a process of its own, over a temporary folder. It has no types, and one key pair of its own. */
const schema = z.object({
  default: z.custom<new (options: object) => { run(): Promise<{ port: number }>; close(): Promise<void> }>(
    (value) => typeof value === 'function',
  ),
})
const packageName = 's3rver'
const { default: S3rver } = schema.parse(await import(packageName))
const directory = await mkdtemp(join(tmpdir(), 'keepsake-bench-s3rver-'))
const server = new S3rver({
  port: 0,
  address: '127.0.0.1',
  silent: true,
  directory,
  configureBuckets: [{ name: 'bench' }],
})
const { port } = await server.run()
serveParent(
  async () => ({ url: `http://127.0.0.1:${port}`, ...usage() }),
  async () => {
    await server.close()
    await rm(directory, { recursive: true, force: true })
  },
)
