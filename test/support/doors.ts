import { SignJWT } from 'jose'
import { type Clock, systemClock } from '../../src/clock.ts'
import { startTestServer, type TestServerOptions } from './http.ts'
import { WatchedDoor } from './watched-door.ts'

const secret = 'a-secret-of-the-tests-that-is-long-enough'

export type Doors = Awaited<ReturnType<typeof openDoors>>

/** The time that links are signed at: this machine's, so many milliseconds ago. */
export class LateClock implements Clock {
  lag = 0
  readonly sleep = systemClock.sleep
  now(): Date {
    return new Date(systemClock.now().getTime() - this.lag)
  }
}

/** A whole Keepsake behind two doors that are watched: the API's and the bucket's. */
export async function openDoors(options: TestServerOptions = {}) {
  const clock = new LateClock()
  const api = await WatchedDoor.open()
  const bucket = await WatchedDoor.open()
  const auth = { apiKeys: [], jwt: { keys: { secret } } }
  const server = await startTestServer({ auth, clock, ...options, bucketDoor: bucket })
  api.target = server.port
  return {
    api,
    bucket,
    server,
    clock,
    keepsake: server.keepsake,
    /** Links are given that have expired, until the bucket has refused the first of them. */
    expireOnce() {
      clock.lag = 2 * 3_600_000
      bucket.guard = ({ method }) => {
        if (method === 'PUT') clock.lag = 0
        return 'pass'
      }
    },
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
