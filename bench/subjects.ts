import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { createKeepsake } from '../src/keepsake.ts'
import { bucket, credentials, region } from './bucket.ts'

/** A way to get what is behind a URL into the bucket. */
export type Subject = {
  import(url: string): Promise<void>
  close(): Promise<void>
}

/** `script`, or Keepsake on the database that the environment names. */
export async function openSubject(name: string): Promise<Subject> {
  const endpoint = process.env.BENCH_S3_ENDPOINT ?? ''
  return name === 'script' ? openScript(endpoint) : await openKeepsake(endpoint)
}

/** What one writes without Keepsake, with the SDK's own defaults. */
function openScript(endpoint: string): Subject {
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  return {
    async import(url) {
      const response = await fetch(url)
      if (!response.ok) throw new Error(`The source answered ${response.status}.`)
      const Body = new Uint8Array(await response.arrayBuffer())
      const ContentType = response.headers.get('content-type') ?? 'application/octet-stream'
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: `script/${randomUUID()}`, Body, ContentType }))
    },
    close: async () => client.destroy(),
  }
}

async function openKeepsake(endpoint: string): Promise<Subject> {
  const dataDir = await mkdtemp(join(tmpdir(), 'keepsake-bench-'))
  const allowHosts = [process.env.BENCH_ALLOW_HOST ?? '']
  const keepsake = await createKeepsake({
    dataDir,
    s3: { bucket, region, endpoint, credentials },
    imports: { allowHosts },
  })
  return {
    async import(url) {
      const { state } = await keepsake.import('generations', { source: { url } })
      if (state !== 'stored') throw new Error(`The asset is ${state}.`)
    },
    async close() {
      await keepsake.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
