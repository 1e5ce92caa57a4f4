import { hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { AwsClient } from 'aws4fetch'
import { z } from 'zod'
import { createS3Store, readInBlocks } from '../src/stores/index.ts'
import { bucket, credentials, region } from './bucket.ts'

/** A file to be uploaded in parts; its hash is known, as it is of everything that Keepsake puts. */
export type LargeFile = { readonly path: string; readonly size: number; readonly sha256: string }

/** One of the clients, doing each task as its own documentation does it. */
export type S3Subject = {
  put(key: string, body: Buffer): Promise<void>
  /** Reads the whole body and throws it away; answers its size. */
  get(key: string): Promise<number>
  /** Undefined where the client has none. */
  readonly putLarge?: (key: string, file: LargeFile) => Promise<void>
  close(): Promise<void>
}

/** `packageName`: what must be installed besides the repository's own packages. */
export const s3Subjects = {
  keepsake: { title: 'Keepsake', packageName: undefined, open: openKeepsake },
  sdk: { title: 'AWS SDK, lib-storage', packageName: '@aws-sdk/lib-storage', open: openSdk },
  aws4fetch: { title: 'aws4fetch', packageName: undefined, open: openAws4fetch },
  minio: { title: 'minio', packageName: 'minio', open: openMinio },
  s3mini: { title: 's3mini', packageName: 's3mini', open: openS3mini },
} as const

export type S3SubjectName = keyof typeof s3Subjects

const contentType = 'image/png'

async function openKeepsake(endpoint: string): Promise<S3Subject> {
  const store = createS3Store({ bucket, region, endpoint, credentials })
  return {
    async put(key, body) {
      await store.put({ key, body, size: body.length, sha256: hash('sha256', body, 'hex'), contentType })
    },
    async get(key) {
      return sizeOf((await store.get(key)).body)
    },
    async putLarge(key, { path, size, sha256 }) {
      const file = await open(path)
      const readAt = async (block: Uint8Array, at: number) => (await file.read(block, 0, block.length, at)).bytesRead
      const read = (start: number, end: number) => readInBlocks(readAt, start, end)
      try {
        await store.put({ key, body: { read }, size, sha256, contentType })
      } finally {
        await file.close()
      }
    },
    close: () => store.close(),
  }
}

async function openSdk(endpoint: string): Promise<S3Subject> {
  const client = new S3Client({ region, endpoint, credentials, forcePathStyle: true })
  const Upload = await optional('@aws-sdk/lib-storage', 'Upload')
  return {
    async put(key, body) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body, ContentType: contentType }))
    },
    async get(key) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
      return sizeOf(bytesOf(Body))
    },
    ...(Upload && {
      async putLarge(key: string, { path }: LargeFile) {
        const params = { Bucket: bucket, Key: key, Body: createReadStream(path), ContentType: contentType }
        await call(make(Upload, { client, params }), 'done')
      },
    }),
    async close() {
      client.destroy()
    },
  }
}

async function openAws4fetch(endpoint: string): Promise<S3Subject> {
  const client = new AwsClient({ ...credentials, region, service: 's3' })
  const url = (key: string) => `${endpoint}/${bucket}/${key}`
  return {
    async put(key, body) {
      const init = { method: 'PUT', body: new Uint8Array(body), headers: { 'content-type': contentType } }
      const response = await client.fetch(url(key), init)
      if (!response.ok) throw new Error(`aws4fetch: PUT was answered ${response.status}.`)
    },
    async get(key) {
      const response = await client.fetch(url(key))
      if (!response.ok || !response.body) throw new Error(`aws4fetch: GET was answered ${response.status}.`)
      return sizeOf(response.body)
    },
    async close() {},
  }
}

async function openMinio(endpoint: string): Promise<S3Subject> {
  const { hostname, port } = new URL(endpoint)
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = credentials
  const Client = await required('minio', 'Client')
  const client = make(Client, { endPoint: hostname, port: Number(port), useSSL: false, accessKey, secretKey, region })
  const type = { 'content-type': contentType }
  return {
    async put(key, body) {
      await call(client, 'putObject', bucket, key, body, body.length, type)
    },
    async get(key) {
      return sizeOf(bytesOf(await call(client, 'getObject', bucket, key)))
    },
    async putLarge(key, { path, size }) {
      await call(client, 'putObject', bucket, key, createReadStream(path), size, type)
    },
    async close() {},
  }
}

async function openS3mini(endpoint: string): Promise<S3Subject> {
  const S3mini = await required('s3mini', 'S3mini')
  const client = make(S3mini, { ...credentials, endpoint: `${endpoint}/${bucket}`, region })
  return {
    async put(key, body) {
      await call(client, 'putObject', key, body, contentType)
    },
    async get(key) {
      const { body } = z.object({ body: z.unknown() }).parse(await call(client, 'getObjectResponse', key))
      return sizeOf(bytesOf(body))
    },
    async close() {},
  }
}

async function sizeOf(body: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0
  for await (const piece of body) size += piece.length
  return size
}

const iterable = z.custom<AsyncIterable<Uint8Array>>(
  (value) => typeof value === 'object' && value !== null && Symbol.asyncIterator in value,
)

function bytesOf(body: unknown): AsyncIterable<Uint8Array> {
  return iterable.parse(body)
}

const classSchema = z.custom<new (options: object) => object>((value) => typeof value === 'function')
const methodSchema = z.custom<(...values: readonly unknown[]) => unknown>((value) => typeof value === 'function')

/** A class of a package that the repository does not need to have. */
async function optional(packageName: string, className: string): Promise<z.infer<typeof classSchema> | undefined> {
  try {
    const found: unknown = await import(packageName)
    return classSchema.parse(Reflect.get(Object(found), className))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  }
}

async function required(packageName: string, className: string) {
  const found = await optional(packageName, className)
  if (!found) throw new Error(`The package ${packageName} is not installed.`)
  return found
}

/** Whether the packages of a side are there. */
export async function isInstalled(name: S3SubjectName): Promise<boolean> {
  const { packageName } = s3Subjects[name]
  if (packageName === undefined) return true
  try {
    import.meta.resolve(packageName)
    return true
  } catch {
    return false
  }
}

function make(Class: z.infer<typeof classSchema>, options: object): object {
  return new Class(options)
}

async function call(target: object, name: string, ...values: readonly unknown[]): Promise<unknown> {
  return await Reflect.apply(methodSchema.parse(Reflect.get(target, name)), target, values)
}
