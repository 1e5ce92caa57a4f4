import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { FolderStore } from '../store/folder-store.ts'
import { BUCKET } from './test-kit.ts'

/**
 * A store in a process of its own, for tests that kill it: `node testing/test-store.ts DIR PACK-SIZE SEED`. Writes,
 * overwrites and deletes without end, and says what it is about to do and what it has done: `? KEY STATE`, `! KEY STATE`
 * on a line each, where the state is the body's MD5, or `-` for none. `x` says that it could not.
 */
const [dir = '', packSize = '', seed = ''] = process.argv.slice(2)
const store = await FolderStore.open(dir, { fsync: false, packSize: Number(packSize) })
await store.createBucket(BUCKET)
let step = 0
const say = (line: string) => writeSync(1, `${line}\n`)

async function hand(number: number): Promise<void> {
  for (;;) {
    step += 1
    const key = `key-${number}-${(step * 7) % 9}`
    const length = step % 5 === 0 ? undefined : step % 31 === 0 ? 150_000 : (step * 977) % 15_000
    const body = length === undefined ? undefined : Buffer.from(`${seed} ${step} `.padEnd(length, '.'))
    const etag = body === undefined ? '-' : createHash('md5').update(body).digest('hex')
    say(`? ${key} ${etag}`)
    try {
      if (body === undefined) await store.delete(BUCKET, key)
      else {
        const upload = store.upload()
        const record = { key, size: body.length, etag, modified: Date.now(), headers: {}, metadata: {}, checksums: {} }
        try {
          await upload.write(body)
          await store.commit(BUCKET, upload, record)
        } catch (error) {
          await upload.discard()
          throw error
        }
      }
      say(`! ${key} ${etag}`)
    } catch {
      say(`x ${key} ${etag}`)
      await new Promise((later) => setTimeout(later, 5))
    }
  }
}

await Promise.all([1, 2, 3, 4].map(hand))
