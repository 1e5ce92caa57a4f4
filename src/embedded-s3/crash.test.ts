import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { FolderHeldError, startEmbeddedS3 } from './index.ts'
import { Bench, BUCKET, call, credentials } from './testing/test-kit.ts'

const bench = new Bench()
const children: ChildProcess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await bench.stop()
})

type Remote = { child: ChildProcess; port: number; url: string; region: string; close(): Promise<void> }

async function spawnServer(dir: string): Promise<Remote> {
  const script = path.join(import.meta.dirname, 'testing/test-server.ts')
  const child = spawn(process.execPath, [script, dir], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const port = Number(line)
  const close = async () => {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  return { child, port, url: `http://127.0.0.1:${port}`, region: 'us-east-1', close }
}

async function listing(server: { url: string; port: number; region: string; close(): Promise<void> }) {
  const { body } = await call(server, { query: { 'list-type': '2' } })
  const entries = body.toString().matchAll(/<Key>(.*?)<\/Key>.*?<ETag>&quot;(.*?)&quot;<\/ETag>/g)
  return new Map([...entries].map(([, key = '', etag = '']) => [key, etag]))
}

const KEYS = Array.from({ length: 24 }, (_, i) => `key-${String(i).padStart(2, '0')}`)
const NOTHING = 'nothing'

test('kill -9 while writing: what was acknowledged is whole, the rest is whole or not there', async () => {
  const dir = await bench.folder()
  /** What each key may hold: what was acknowledged last, and what was under way when the process died. */
  const possible = new Map(KEYS.map((key) => [key, new Set([NOTHING])]))
  let step = 0

  for (let round = 0; round < 5; round++) {
    const server = await spawnServer(dir)
    let acknowledged = 0
    let dead = false
    const enough = 40 + round * 17
    const worker = async (mine: string[]) => {
      while (!dead) {
        step += 1
        const key = mine[step % mine.length] ?? ''
        const states = possible.get(key) ?? new Set()
        const body = step % 5 === 0 ? '' : `${step} `.repeat(step % 7 === 0 ? 200_000 : 3_000)
        const state = body === '' ? NOTHING : createHash('md5').update(body).digest('hex')
        states.add(state)
        try {
          const raw = { path: `/${BUCKET}/${key}`, method: body === '' ? 'DELETE' : 'PUT', body }
          const { status } = await call(server, raw)
          expect(status).toBe(body === '' ? 204 : 200)
        } catch (error) {
          if (!dead) throw error
          return
        }
        states.clear()
        states.add(state)
        acknowledged += 1
        if (acknowledged >= enough && !dead) {
          dead = true
          await server.close()
        }
      }
    }
    const hands = Array.from({ length: 6 }, (_, i) => worker(KEYS.filter((__, k) => k % 6 === i)))
    await Promise.all(hands)
    expect(acknowledged).toBeGreaterThanOrEqual(enough)

    const after = await bench.start({ dir })
    expect(await readdir(path.join(dir, 'tmp'))).toEqual([])
    const listed = await listing(after)
    let large = 0
    for (const [key, states] of possible) {
      const { status, headers, body } = await call(after, { path: `/${BUCKET}/${key}` })
      const found = status === 404 ? NOTHING : createHash('md5').update(body).digest('hex')
      expect([...states]).toContain(found)
      expect(listed.get(key) ?? NOTHING).toBe(found)
      if (status === 200 && body.length > 128 * 1024) large += 1
      if (status === 200) expect(headers.etag).toBe(`"${found}"`)
      possible.set(key, new Set([found]))
    }
    const found = await readdir(path.join(dir, 'buckets', BUCKET, 'objects'), { recursive: true, withFileTypes: true })
    // Those that are large; the others have no files.
    expect(found.filter((entry) => entry.isFile())).toHaveLength(large)
    await after.close()
  }
})

test('kill -9 while an upload is completed: the object is whole, or the upload can be completed again', async () => {
  const dir = await bench.folder()
  const part = Buffer.alloc(5 * 1024 ** 2, 'part')
  const whole = createHash('md5').update(part).update(part).digest('hex')
  for (let round = 0; round < 4; round++) {
    const path = `/${BUCKET}/joined-${round}`
    const doomed = await spawnServer(dir)
    const tamper = { path: `${path}?uploads` }
    const begun = await call(doomed, { method: 'POST', path, query: { uploads: '' }, tamper })
    const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(begun.body.toString())?.[1] ?? ''
    for (const partNumber of ['1', '2']) {
      const { status } = await call(doomed, { method: 'PUT', path, query: { partNumber, uploadId }, body: part })
      expect(status).toBe(200)
    }
    const etag = createHash('md5').update(part).digest('hex')
    const parts = [1, 2].map((n) => `<Part><PartNumber>${n}</PartNumber><ETag>${etag}</ETag></Part>`).join('')
    const body = `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`
    const complete = { method: 'POST', path, query: { uploadId }, body }
    const answer = call(doomed, complete).catch(() => undefined)
    // Some way into it, a little further each round; which step that meets does not matter.
    await new Promise((go) => setTimeout(go, round * 8))
    await doomed.close()
    const acknowledged = (await answer)?.status === 200

    const after = await bench.start({ dir })
    const before = await call(after, { path })
    if (acknowledged) expect(before.status).toBe(200)
    if (before.status === 200) expect(createHash('md5').update(before.body).digest('hex')).toBe(whole)
    else expect(before.code).toBe('NoSuchKey')
    expect((await call(after, complete)).status).toBe(200)
    const joined = await call(after, { path })
    expect(createHash('md5').update(joined.body).digest('hex')).toBe(whole)
    const left = await readdir(`${dir}/buckets/${BUCKET}/uploads`)
    expect(left).toEqual([])
    await after.close()
  }
})

test('a folder is served by one process only, and free again once that was killed', async () => {
  const dir = await bench.folder()
  const first = await spawnServer(dir)
  await expect(startEmbeddedS3({ dir, credentials })).rejects.toThrow(FolderHeldError)
  await expect(startEmbeddedS3({ dir, credentials })).rejects.toThrow(/in use/)
  await first.close()
  const second = await startEmbeddedS3({ dir, credentials })
  await expect(startEmbeddedS3({ dir, credentials })).rejects.toThrow(FolderHeldError)
  await second.close()
  await (await startEmbeddedS3({ dir, credentials })).close()
})
