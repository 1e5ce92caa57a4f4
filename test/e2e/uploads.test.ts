/**
 * Uploads straight to the bucket, as a client meets them: what the ticket binds it to, what completion believes, and
 * what becomes of uploads that nobody ends.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KeepsakeError, type UploadTicket, type Verbs } from '../../src/index.ts'
import type { Keepsake } from '../../src/verbs.ts'
import { moveClock } from '../support/databases.ts'
import { freshDatabase } from '../support/fresh-database.ts'
import { gif } from '../support/http.ts'
import { openTestParts } from '../support/keepsake.ts'
import { pictureBytes } from '../support/picture.ts'
import { until } from '../support/service.ts'
import { videoBytes } from '../support/video.ts'

const mebibyte = 1024 * 1024
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

type Parts = Awaited<ReturnType<typeof openTestParts>>
type Put = Extract<UploadTicket, { strategy: 'put' }>
type InParts = Extract<UploadTicket, { strategy: 'multipart' }>

const collections = {
  media: { accept: ['image', 'video'], maxSize: '60 MB', key: '{owner}/{id}.{ext}' },
  small: { accept: ['image'], maxSize: 1000, quota: 100 * gif.length },
}
const options = { collections, uploads: { partThreshold: 6 * mebibyte, partSize: 5 * mebibyte } }

function put(ticket: UploadTicket | null): Put {
  if (ticket?.strategy !== 'put') throw new Error('not a ticket for one PUT')
  return ticket
}

function inParts(ticket: UploadTicket | null): InParts {
  if (ticket?.strategy !== 'multipart') throw new Error('not a ticket for parts')
  return ticket
}

function send(ticket: UploadTicket | null, body: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  const { url, method, headers: wanted } = put(ticket)
  return fetch(url, { method, headers: { ...wanted, ...headers }, body })
}

async function sendParts(ticket: UploadTicket | null, body: Uint8Array<ArrayBuffer>, only?: readonly number[]) {
  const { parts, partSize } = inParts(ticket)
  for (const { partNumber, url, method, headers } of parts) {
    if (only && !only.includes(partNumber)) continue
    const part = body.subarray((partNumber - 1) * partSize, partNumber * partSize)
    expect((await fetch(url, { method, headers, body: part })).status).toBe(200)
  }
}

/** Bytes that begin as a GIF and are so many. */
function gifOf(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size).fill(7)
  bytes.set(gif)
  return bytes
}

const dot = new Uint8Array(gif)
const announced = { contentType: 'image/gif', size: dot.length }

/** A film whose index stands behind so many bytes of nothing (ISO/IEC 14496-12, section 4.2). */
async function indexLast(padding: number): Promise<Uint8Array<ArrayBuffer>> {
  const film = await videoBytes('mp4')
  const boxes = new Map<string, Buffer>()
  for (let at = 0; at < film.length; ) {
    const size = film.readUInt32BE(at)
    boxes.set(film.toString('latin1', at + 4, at + 8), film.subarray(at, at + size))
    at += size
  }
  const free = Buffer.alloc(padding)
  free.writeUInt32BE(padding, 0)
  free.write('free', 4, 'latin1')
  const { ftyp, moov, mdat } = Object.fromEntries(boxes)
  if (!ftyp || !moov || !mdat) throw new Error(`The film has ${[...boxes.keys()].join(', ')}.`)
  return new Uint8Array(Buffer.concat([ftyp, mdat, free, moov]))
}

async function problemOf(work: Promise<unknown>): Promise<KeepsakeError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!KeepsakeError.is(error)) throw new Error(`no problem, but ${String(error)}`)
  return error
}

describe('a ticket', () => {
  let parts: Parts
  let ada: Verbs
  let bob: Verbs
  beforeAll(async () => {
    parts = await openTestParts(options)
    ada = parts.keepsake.as({ role: 'user', owner: 'ada' })
    bob = parts.keepsake.as({ role: 'user', owner: 'bob' })
  })
  afterAll(() => parts?.keepsake.close())

  it.each([
    ['another type', { 'content-type': 'text/html' }, dot],
    ['another length', {}, gifOf(50)],
    ['the right to overwrite', { 'if-none-match': '' }, dot],
    ['another owner', { 'x-amz-meta-owner': 'bob' }, dot],
    ['another asset', { 'x-amz-meta-asset': '0198c0de-7a11-7b52-8c3d-0123456789ab' }, dot],
  ])('does not give %s', async (_, headers, body) => {
    const { asset, upload } = await ada.upload('media', announced)
    expect((await send(upload, body, headers)).status).toBe(403)
    expect(await parts.bucket.head(asset.key ?? '')).toBeUndefined()
  })

  it('writes its object once', async () => {
    const { asset, upload } = await ada.upload('media', announced)
    expect((await send(upload, dot)).status).toBe(200)
    const other = gifOf(dot.length)
    other[30] = 9
    expect((await send(upload, other)).status).toBe(412)
    await ada.completeUpload(asset.id)
    expect((await send(upload, other)).status).toBe(412)
    expect((await ada.get(asset.id)).sha256).toBe(sha256(dot))
  })

  it('does not take bytes that are other than the SHA-256 says', async () => {
    const { asset, upload } = await ada.upload('media', { ...announced, sha256: sha256(gifOf(50)) })
    expect((await send(upload, dot)).status).toBe(400)
    expect(await parts.bucket.head(asset.key ?? '')).toBeUndefined()
  })

  it.each([
    ['content_type_refused', { contentType: 'text/html', size: 10 }],
    ['content_type_refused', { contentType: 'image/svg+xml', size: 10 }],
    ['content_too_large', { contentType: 'image/png', size: 60_000_001 }],
    ['content_empty', { contentType: 'image/png', size: 0 }],
    ['invalid_request', { contentType: 'image/png', size: 1.5 }],
    ['invalid_request', { contentType: 'image/png', size: -1 }],
    ['invalid_request', { contentType: 'image/png\r\nx: y', size: 1 }],
    ['invalid_request', { ...announced, attributes: { unknown: 'x' } }],
    ['forbidden', { ...announced, owner: 'bob' }],
  ])('is refused with %s before there is a row: %j', async (code, request) => {
    const before = await parts.keepsake.countByState()
    expect((await problemOf(ada.upload('media', request))).code).toBe(code)
    expect(await parts.keepsake.countByState()).toEqual(before)
  })

  it("is its owner's: nobody else looks, signs, completes or aborts", async () => {
    const { asset, upload } = await ada.upload('media', { contentType: 'image/gif', size: 7 * mebibyte })
    await sendParts(upload, gifOf(7 * mebibyte))
    for (const work of [
      () => bob.uploadStatus(asset.id),
      () => bob.uploadParts(asset.id, [1]),
      () => bob.completeUpload(asset.id),
      () => bob.abortUpload(asset.id),
    ]) {
      expect((await problemOf(work())).code).toBe('asset_not_found')
    }
    expect((await ada.completeUpload(asset.id)).state).toBe('stored')
  })

  it('comes again under its idempotency key, with links that work, and says so when all is done', async () => {
    const request = { ...announced, idempotencyKey: 'one' }
    const first = await ada.upload('media', request)
    const second = await ada.upload('media', request)
    expect(second.asset.id).toBe(first.asset.id)
    expect((await send(second.upload, dot)).status).toBe(200)
    expect((await problemOf(ada.upload('media', { ...request, size: 50 }))).code).toBe('idempotency_conflict')
    await ada.completeUpload(first.asset.id)
    expect(await ada.upload('media', request)).toMatchObject({ asset: { state: 'stored' }, upload: null })
    // The same key of another owner is another request.
    expect((await bob.upload('media', request)).asset.id).not.toBe(first.asset.id)
  })

  it('is in the audit, without its link', async () => {
    const { asset, upload } = await ada.upload('media', { contentType: 'image/gif', size: 7 * mebibyte })
    await ada.uploadParts(asset.id, [1, 2])
    const { entries } = await ada.audit({ asset: asset.id })
    expect(entries.map(({ action }) => action)).toEqual(['url.issued', 'asset.reserved'])
    expect(entries[0]).toMatchObject({ actor: 'user:ada', detail: { upload: true, parts: 2 } })
    expect(JSON.stringify(entries)).not.toMatch(/X-Amz|uploadId/i)
    expect(inParts(upload).parts[0]?.url).toMatch(/X-Amz-Signature/)
  })

  it('has links for the parts it has, and for no others', async () => {
    const { asset } = await ada.upload('media', { contentType: 'image/gif', size: 7 * mebibyte })
    expect((await ada.uploadParts(asset.id, [2, 1])).map(({ partNumber }) => partNumber)).toEqual([2, 1])
    for (const wrong of [[0], [3], [1.5], []]) {
      expect((await problemOf(ada.uploadParts(asset.id, wrong))).code).toBe('invalid_request')
    }
    const [part] = await ada.uploadParts(asset.id, [2])
    // The last part is 2 MiB; its link takes nothing else.
    const tooMuch = await fetch(part?.url ?? '', { method: 'PUT', body: gifOf(3 * mebibyte) })
    expect(tooMuch.status).toBe(403)
  })
})

describe('completion', () => {
  let parts: Parts
  let keepsake: Keepsake
  beforeAll(async () => {
    parts = await openTestParts(options)
    keepsake = parts.keepsake
  })
  afterAll(() => keepsake?.close())

  it('says what is missing, and goes on once it is there', async () => {
    const { asset, upload } = await keepsake.upload('media', announced)
    expect(await problemOf(keepsake.completeUpload(asset.id))).toMatchObject({
      code: 'upload_incomplete',
      details: { missing: 'object', asset: asset.id },
    })
    await send(upload, dot)
    expect((await keepsake.completeUpload(asset.id)).state).toBe('stored')

    const large = await keepsake.upload('media', { contentType: 'image/gif', size: 16 * mebibyte })
    await sendParts(large.upload, gifOf(16 * mebibyte), [2])
    expect(await problemOf(keepsake.completeUpload(large.asset.id))).toMatchObject({
      code: 'upload_incomplete',
      details: { missing: 'parts', missingParts: '1, 3-4', missingCount: 3 },
    })
    await sendParts(large.upload, gifOf(16 * mebibyte), [1, 3, 4])
    const wrong = [{ partNumber: 2, etag: '"00000000000000000000000000000000"' }]
    expect(await problemOf(keepsake.completeUpload(large.asset.id, { parts: wrong }))).toMatchObject({
      details: { missingParts: '2' },
    })
    expect((await keepsake.completeUpload(large.asset.id)).sha256).toBe(sha256(gifOf(16 * mebibyte)))
  })

  it('refuses what is not what the collection takes, removes it, and says so for good', async () => {
    const page = new TextEncoder().encode('<!doctype html><script>alert(1)</script>')
    const { asset, upload } = await keepsake.upload('media', { contentType: 'image/png', size: page.length })
    expect((await send(upload, page)).status).toBe(200)
    const refused = { code: 'content_type_refused', details: { contentType: 'text/html', asset: asset.id } }
    expect(await problemOf(keepsake.completeUpload(asset.id))).toMatchObject(refused)
    expect(await keepsake.get(asset.id)).toMatchObject({ state: 'failed', problem: { code: 'content_type_refused' } })
    expect(await parts.bucket.head(asset.key ?? '')).toBeUndefined()
    expect((await problemOf(keepsake.completeUpload(asset.id))).code).toBe('content_type_refused')
    expect((await problemOf(keepsake.uploadParts(asset.id, [1]))).code).toBe('content_type_refused')
    expect(await keepsake.abortUpload(asset.id)).toEqual({ done: true })
  })

  it('believes the bytes: a picture that came under another name is stored, and served, as what it is', async () => {
    const png = new Uint8Array(pictureBytes({ id: 'other', size: 5000 }))
    const { asset, upload } = await keepsake.upload('media', { contentType: 'image/gif', size: png.length })
    await send(upload, png)
    const stored = await keepsake.completeUpload(asset.id)
    expect(stored).toMatchObject({ state: 'stored', contentType: 'image/png', kind: 'image', sha256: sha256(png) })
    const opened = await fetch(stored.url ?? '')
    expect(opened.headers.get('content-type')).toBe('image/png')
    expect(sha256(new Uint8Array(await opened.arrayBuffer()))).toBe(sha256(png))
  })

  it('hashes what nobody hashed, and measures a video whose index comes last', async () => {
    const mp4 = await indexLast(9 * mebibyte)
    const { asset, upload } = await keepsake.upload('media', { contentType: 'video/mp4', size: mp4.length })
    await sendParts(upload, mp4)
    const stored = await keepsake.completeUpload(asset.id)
    expect(stored).toMatchObject({ state: 'stored', contentType: 'video/mp4', size: mp4.length, sha256: sha256(mp4) })
    expect(stored).toMatchObject({ width: 320, height: 180, duration: 1 })
  })

  it('may be asked for by many at once', async () => {
    const { asset, upload } = await keepsake.upload('media', announced)
    await send(upload, dot)
    const answers = await Promise.all(Array.from({ length: 20 }, () => keepsake.completeUpload(asset.id)))
    expect(new Set(answers.map(({ state }) => state))).toEqual(new Set(['stored']))
    const { entries } = await keepsake.audit({ asset: asset.id })
    expect(entries.filter(({ action }) => action === 'asset.stored')).toHaveLength(1)
  })

  it('does not store what was aborted at the same moment, nor lose what was stored', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { asset, upload } = await keepsake.upload('media', announced)
      await send(upload, dot)
      const [completed, aborted] = await Promise.allSettled([
        keepsake.completeUpload(asset.id),
        keepsake.abortUpload(asset.id),
      ])
      const head = await parts.bucket.head(asset.key ?? '')
      const won = aborted.status === 'fulfilled' ? 'abort' : 'complete'
      if (won === 'abort') expect([completed.status, head]).toEqual(['rejected', undefined])
      else expect([completed.status, head?.size]).toEqual(['fulfilled', dot.length])
    }
  })

  it('is told apart from an import', async () => {
    const { id } = await keepsake.import('media', { source: { bytes: dot } })
    expect((await keepsake.completeUpload(id)).state).toBe('stored')
    expect((await problemOf(keepsake.abortUpload(id))).code).toBe('upload_closed')
    expect((await problemOf(keepsake.uploadParts(id, [1]))).code).toBe('upload_closed')
  })
})

describe.each(['PGlite', 'PostgreSQL'])('the quota on %s', (kind) => {
  it('holds under 300 parallel tickets, and is free again for what is given up', async () => {
    const fresh = kind === 'PostgreSQL' ? await freshDatabase() : undefined
    const { keepsake } = await openTestParts({ ...options, ...(fresh ? { databaseUrl: fresh.url } : {}) })
    try {
      const eve = keepsake.as({ role: 'user', owner: 'eve' })
      const asked = await Promise.allSettled(Array.from({ length: 300 }, () => eve.upload('small', announced)))
      const given = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      expect(given).toHaveLength(100)
      const codes = asked.flatMap((one) => (one.status === 'rejected' ? [KeepsakeError.from(one.reason).code] : []))
      expect(new Set(codes)).toEqual(new Set(['quota_exceeded']))
      const [first, second] = given
      await eve.abortUpload(first?.asset.id ?? '')
      await send(second?.upload ?? null, dot)
      await eve.completeUpload(second?.asset.id ?? '')
      await eve.upload('small', announced)
      expect((await problemOf(eve.upload('small', announced))).code).toBe('quota_exceeded')
    } finally {
      await keepsake.close()
      await fresh?.drop()
    }
  })
})

describe('an upload that its client leaves', () => {
  let parts: Parts
  let keepsake: Keepsake
  let offset = 0
  const later = (seconds: number) => {
    offset += seconds
    return moveClock(parts.database, offset)
  }
  const settled = (id: string) =>
    until(
      () => keepsake.get(id),
      ({ state }) => state !== 'pending',
    )
  beforeAll(async () => {
    parts = await openTestParts({ ...options, sweepEverySeconds: 0.2 })
    keepsake = parts.keepsake
  })
  afterAll(() => keepsake?.close())

  it('is stored where all of it came, in one piece or in parts', async () => {
    const whole = await keepsake.upload('media', announced)
    await send(whole.upload, dot)
    const large = await keepsake.upload('media', { contentType: 'image/gif', size: 7 * mebibyte })
    await sendParts(large.upload, gifOf(7 * mebibyte))
    await later(25 * 3600)
    expect(await settled(whole.asset.id)).toMatchObject({ state: 'stored', sha256: sha256(dot) })
    expect(await settled(large.asset.id)).toMatchObject({ state: 'stored', sha256: sha256(gifOf(7 * mebibyte)) })
  })

  it('is given up where it did not come, or came as something else; nothing is left of it', async () => {
    const never = await keepsake.upload('media', announced)
    const page = new TextEncoder().encode('<html>')
    const wrong = await keepsake.upload('media', { contentType: 'image/gif', size: page.length })
    await send(wrong.upload, page)
    const wrongParts = await keepsake.upload('media', { contentType: 'image/gif', size: 7 * mebibyte })
    const text = new Uint8Array(7 * mebibyte).fill(32)
    text.set(page)
    await sendParts(wrongParts.upload, text)
    const half = await keepsake.upload('media', { contentType: 'image/gif', size: 7 * mebibyte })
    await sendParts(half.upload, gifOf(7 * mebibyte), [1])
    await later(25 * 3600)
    expect(await settled(never.asset.id)).toMatchObject({ state: 'failed', problem: { code: 'upload_incomplete' } })
    for (const { asset } of [wrong, wrongParts]) {
      expect(await settled(asset.id)).toMatchObject({ state: 'failed', problem: { code: 'content_type_refused' } })
    }
    expect(await settled(half.asset.id)).toMatchObject({ state: 'failed', problem: { code: 'upload_incomplete' } })
    await until(
      async () => {
        const left: string[] = []
        for await (const { key } of parts.bucket.listMultipart()) left.push(key)
        const keys = [wrong, wrongParts].map(({ asset }) => asset.key ?? '')
        const heads = await Promise.all(keys.map((key) => parts.bucket.head(key)))
        return { left, heads }
      },
      ({ left, heads }) => left.length === 0 && heads.every((head) => head === undefined),
    )
  })

  it('leaves nothing when its link is used after all', async () => {
    const { asset, upload } = await keepsake.upload('media', announced)
    await keepsake.abortUpload(asset.id)
    expect((await send(upload, dot)).status).toBe(200)
    await later(61)
    await until(
      () => parts.bucket.head(asset.key ?? ''),
      (head) => head === undefined,
    )
    // The link lives for an hour and a put takes its time: the key is watched for longer than both.
    await send(upload, dot)
    await later(6 * 3600)
    await until(
      () => parts.bucket.head(asset.key ?? ''),
      (head) => head === undefined,
    )
  })

  it('is found by its key where a crash came before the row could say which upload it is', async () => {
    const { asset } = await keepsake.upload('media', { contentType: 'image/gif', size: 7 * mebibyte })
    await parts.database.service.query(
      "update keepsake.assets set upload = upload || jsonb_build_object('uploadId', null) where id = $1",
      [asset.id],
    )
    await later(25 * 3600)
    expect(await settled(asset.id)).toMatchObject({ state: 'failed' })
    await until(
      async () => {
        const left: string[] = []
        for await (const { key } of parts.bucket.listMultipart()) left.push(key)
        return left
      },
      (left) => left.length === 0,
    )
  })
})

describe('a completion that takes long', () => {
  it('is answered pending, goes on by itself, and is stored', async () => {
    const gate = Promise.withResolvers<void>()
    const parts = await openTestParts({
      ...options,
      patience: 0.05,
      wrapStore: (store) =>
        new Proxy(store, {
          get(target, name) {
            const value: unknown = Reflect.get(target, name, target)
            if (typeof value !== 'function') return value
            if (name !== 'get') return value.bind(target)
            return async (...given: Parameters<typeof store.get>) => {
              await gate.promise
              return target.get(...given)
            }
          },
        }),
    })
    const { keepsake } = parts
    try {
      const { asset, upload } = await keepsake.upload('media', announced)
      await send(upload, dot)
      expect((await keepsake.completeUpload(asset.id)).state).toBe('pending')
      gate.resolve()
      const stored = await until(
        () => keepsake.get(asset.id),
        ({ state }) => state === 'stored',
      )
      expect(stored.sha256).toBe(sha256(dot))
    } finally {
      await keepsake.close()
    }
  })
})
