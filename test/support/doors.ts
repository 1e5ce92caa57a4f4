import { SignJWT } from 'jose'
import { startTestServer, type TestServerOptions } from './http.ts'
import { WatchedDoor } from './watched-door.ts'

const secret = 'a-secret-of-the-tests-that-is-long-enough'

export type Doors = Awaited<ReturnType<typeof openDoors>>

/** A whole Keepsake behind two doors that are watched: the API's and the bucket's. */
export async function openDoors(options: TestServerOptions = {}) {
  const api = await WatchedDoor.open()
  const bucket = await WatchedDoor.open()
  const auth = { apiKeys: [], jwt: { keys: { secret } } }
  const server = await startTestServer({ auth, ...options, bucketDoor: bucket })
  api.target = server.port
  return {
    api,
    bucket,
    server,
    keepsake: server.keepsake,
    /** A user's token. */
    token: (owner: string) =>
      new SignJWT()
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(owner)
        .setAudience('authenticated')
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(secret)),
    /** The keys in the bucket. */
    async objects() {
      const keys: string[] = []
      for await (const { key } of server.parts.bucket.list({})) keys.push(key)
      return keys
    },
    async stop() {
      await api.close()
      await bucket.close()
      await server.stop()
    },
  }
}

/** The parts that were sent to the bucket and taken, by number, in order. */
export function partsTaken(bucket: WatchedDoor): number[] {
  return bucket
    .passed('PUT', ({ query, status }) => query.has('partNumber') && status === 200)
    .map(({ query }) => Number(query.get('partNumber')))
    .sort((a, b) => a - b)
}
