import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { type EmbeddedS3, startEmbeddedS3 } from '../../src/embedded-s3/index.ts'
import { createHttpApp, parseHttpExtension } from '../../src/http/index.ts'
import { createKeepsake, type Extension, type KeepsakeConfig } from '../../src/index.ts'
import { createLogger } from '../../src/logging/index.ts'
import { createS3Store } from '../../src/stores/index.ts'
import { apiKey } from './http.ts'

export const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
}
const jwtSecret = 'a secret of at least thirty-two characters'

export type RecipeOptions = {
  readonly extension: Extension
  /** The document's own variables; credentials and the address of the bucket come by themselves. */
  readonly env: Readonly<Record<string, string>> & { readonly S3_BUCKET_NAME: string }
  readonly config?: KeepsakeConfig
}

export type RecipeServer = Awaited<ReturnType<typeof startRecipe>>

/** A recipe as a document's reader sets it up: its variables, a real bucket and catalogue, the API in this process. */
export async function startRecipe({ extension, env, config = {} }: RecipeOptions) {
  const dir = await mkdtemp(join(tmpdir(), 'keepsake-recipe-'))
  const bucket = env.S3_BUCKET_NAME
  const startS3 = (port = 0): Promise<EmbeddedS3> =>
    startEmbeddedS3({ dir: join(dir, 's3'), credentials, buckets: [bucket], fsync: false, port })
  let s3 = await startS3()
  const { url: endpoint, port, region } = s3
  const keepsake = await createKeepsake(
    { dataDir: join(dir, 'data'), s3: { endpoint }, extensions: [extension], ...config },
    {
      env: {
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        ...env,
      },
    },
  )
  const lines: string[] = []
  const app = createHttpApp({
    keepsake,
    auth: { apiKeys: [apiKey], jwt: { keys: { secret: jwtSecret } } },
    logger: createLogger({ level: 'debug', output: { write: (line) => lines.push(line) } }),
    version: '1.2.3',
    extensions: [parseHttpExtension(extension.name, extension.http)],
  })
  const store = createS3Store({ bucket, region, endpoint, credentials })
  return {
    keepsake,
    app,
    bucket: store,
    endpoint,
    log: () => lines.join(''),
    token: (owner: string) =>
      new SignJWT({})
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(owner)
        .setAudience('authenticated')
        .setExpirationTime('5m')
        .sign(new TextEncoder().encode(jwtSecret)),
    /** With the API key, or with another one's token. */
    async call(path: string, body?: unknown, init: { token?: string; method?: string } = {}) {
      const response = await app.request(path, {
        method: init.method ?? (body === undefined ? 'GET' : 'POST'),
        headers: {
          authorization: `Bearer ${init.token ?? apiKey}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      const json: unknown = text === '' ? undefined : JSON.parse(text)
      return { status: response.status, json, headers: response.headers }
    },
    async keys(prefix = '') {
      const keys: string[] = []
      for await (const { key } of store.list({ prefix })) keys.push(key)
      return keys
    },
    /** The bucket does not answer meanwhile. */
    async withoutBucket<T>(work: () => Promise<T>): Promise<T> {
      await s3.close()
      try {
        return await work()
      } finally {
        s3 = await startS3(port)
      }
    },
    async stop() {
      await keepsake.close()
      await store.close()
      await s3.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
