import { mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetObjectCommand, ListBucketsCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runCli } from '../../../test/support/cli.ts'

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keepsake-s3-verb-'))
  folders.push(folder)
  return folder
}

const announced = z.object({
  url: z.url(),
  region: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string().optional(),
})

/** Runs `keepsake s3 --json` for as long as `use` takes. */
async function serving<T>(
  args: readonly string[],
  env: Record<string, string>,
  use: (server: z.infer<typeof announced>) => Promise<T>,
  stderr: { write(text: string): unknown } = { write: () => undefined },
): Promise<T> {
  const stop = new AbortController()
  const up = Promise.withResolvers<string>()
  const stdout = { write: (text: string) => up.resolve(text) }
  let said = ''
  const heard = {
    write(text: string) {
      said += text
      stderr.write(text)
    },
  }
  const ended = runCli(['s3', '--port', '0', '--json', ...args], { env, stdout, stderr: heard, signal: stop.signal })
  ended.then(() => up.reject(new Error(`It ended: ${said}`)))
  try {
    return await use(announced.parse(JSON.parse(await up.promise)))
  } finally {
    stop.abort()
    expect((await ended).code).toBe(0)
  }
}

async function listBuckets(url: string, region: string, accessKeyId: string, secretAccessKey: string) {
  const client = new S3Client({
    endpoint: url,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  })
  const { Buckets = [] } = await client.send(new ListBucketsCommand({}))
  const [bucket] = Buckets
  if (bucket?.Name) await client.send(new PutObjectCommand({ Bucket: bucket.Name, Key: 'k', Body: 'x' }))
  client.destroy()
  return Buckets.map(({ Name }) => Name)
}

describe('keepsake s3', () => {
  it('serves a folder with credentials that stay the same', async () => {
    const dir = await newFolder()
    const args = ['--dir', dir, '--bucket', 'media', '-b', 'other']
    const first = await serving(args, {}, async ({ url, region, accessKeyId, secretAccessKey = '' }) => {
      expect(await listBuckets(url, region, accessKeyId, secretAccessKey)).toEqual(['media', 'other'])
      return { accessKeyId, secretAccessKey }
    })
    expect((await stat(join(dir, 'credentials.json'))).mode & 0o077).toBe(0)
    await serving(['--dir', dir], {}, async (second) => expect(second).toMatchObject(first))
  })

  it('takes credentials from the environment, and does not print their secret', async () => {
    const env = { AWS_ACCESS_KEY_ID: 'mine', AWS_SECRET_ACCESS_KEY: 'my secret' }
    await serving(
      ['--dir', await newFolder(), '-b', 'media'],
      env,
      async ({ url, region, accessKeyId, secretAccessKey }) => {
        expect([accessKeyId, secretAccessKey]).toEqual(['mine', undefined])
        expect(await listBuckets(url, region, 'mine', 'my secret')).toEqual(['media'])
      },
    )
  })

  it('says why it answers with an InternalError', async () => {
    const dir = await newFolder()
    let said = ''
    const use = async ({ url, region, accessKeyId, secretAccessKey = '' }: z.infer<typeof announced>) => {
      const credentials = { accessKeyId, secretAccessKey }
      const client = new S3Client({ endpoint: url, region, forcePathStyle: true, credentials, maxAttempts: 1 })
      const object = { Bucket: 'media', Key: 'secret-name' }
      await client.send(new PutObjectCommand({ ...object, Body: 'x'.repeat(200_000) }))
      const objects = join(dir, 'buckets', 'media', 'objects')
      const [file = ''] = (await readdir(objects, { recursive: true })).filter((name) => name.includes('/'))
      await truncate(join(objects, file), 100_000)
      await expect(client.send(new GetObjectCommand(object))).rejects.toThrow('internal error')
      client.destroy()
      await expect.poll(() => said).toMatch(/^GetObject in media failed \(request [0-9A-F]{16}\): .*no footer\n$/)
      expect(said).not.toContain('secret-name')
    }
    await serving(['--dir', dir, '-b', 'media'], {}, use, { write: (text) => (said += text) })
  })

  it('says what is wrong', async () => {
    const dir = await newFolder()
    const failing = async (args: readonly string[], env = {}) => {
      const { code, stderr } = await runCli(['s3', ...args], { env })
      return `${code} ${stderr}`
    }
    expect(await failing([])).toMatch(/^2 .*--dir/)
    expect(await failing(['--dir', dir, '--port', 'x'])).toMatch(/^2 .*no port/)
    expect(await failing(['--dir', dir, '--port', '0', '-b', 'NO'])).toMatch(/^2 .*no bucket name/)
    expect(await failing(['--dir', dir], { AWS_ACCESS_KEY_ID: 'x' })).toMatch(/^2 .*only one of them/)
    await serving(['--dir', dir], {}, async () => {
      expect(await failing(['--dir', dir, '--port', '0'])).toMatch(/^6 .*is in use/)
    })
    await writeFile(join(dir, 'credentials.json'), '{}')
    expect(await failing(['--dir', dir])).toMatch(/^2 .*credentials\.json/)
  })
})
