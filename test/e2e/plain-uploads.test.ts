/**
 * Uploads by clients that know a link and a Content-Type, and nothing else: what holds all the same, on both databases.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { KeepsakeError, type UploadTicket } from '../../src/index.ts'
import { aacSample, trackSample } from '../../src/intake/testing/media-samples.ts'
import { moveClock } from '../support/databases.ts'
import { apiKey, gif } from '../support/http.ts'
import { openTestParts } from '../support/keepsake.ts'
import { backends, type Service, until } from '../support/service.ts'

const limit = 60_000
const collections = {
  sounds: {
    accept: ['audio/webm', 'audio/aac', 'audio/mp4'],
    maxSize: limit,
    key: '{owner}/{id}.{ext}',
    attributes: { mood: {}, place: {} },
    quota: 4 * limit,
  },
}

function send(upload: UploadTicket | null, body: Uint8Array, type?: string, headers: Record<string, string> = {}) {
  if (upload?.strategy !== 'put') throw new Error('not a ticket for one PUT')
  const contentType = type ?? upload.headers['content-type'] ?? ''
  return fetch(upload.url, {
    method: 'PUT',
    headers: { 'content-type': contentType, ...headers },
    body: new Uint8Array(body),
  })
}

const webm = { contentType: 'audio/webm', plain: true, sameType: true } as const

describe.each(backends)('a plain upload on $name', ({ start }) => {
  let service: Service
  let sound: Buffer
  const ada = () => service.server.keepsake.as({ role: 'user', owner: 'ada' })
  const inbox = () => service.objects('temp/uploads/')

  beforeAll(async () => {
    sound = await trackSample('audio.webm')
    service = await start({ collections })
  })
  afterAll(() => service.stop())

  it('needs a Content-Type and nothing else, and ends at the key that was promised', async () => {
    const { asset, upload } = await ada().upload('sounds', webm)
    expect(upload).toMatchObject({ strategy: 'put', headers: { 'content-type': 'audio/webm' } })
    expect(Object.keys(upload?.strategy === 'put' ? upload.headers : {})).toEqual(['content-type'])
    expect((await send(upload, sound)).status).toBe(200)
    expect(await service.objects('ada/')).toEqual([])
    const stored = await ada().completeUpload(asset.id, { attributes: { mood: 'calm' } })
    expect(stored).toMatchObject({ state: 'stored', key: asset.key, size: sound.length, attributes: { mood: 'calm' } })
    expect(stored.key).toBe(`ada/${asset.id}.webm`)
    expect(await inbox()).toEqual([])
    const head = await service.bucket.head(stored.key ?? '')
    expect(head).toMatchObject({
      contentType: 'audio/webm',
      metadata: { asset: asset.id, attributes: '{"mood":"calm"}' },
    })
    expect(head?.metadata.sha256).toBe(stored.sha256)
    // Again: as it is, whatever is said now.
    const again = await ada().completeUpload(asset.id, { attributes: { mood: 'wild' } })
    expect(again).toMatchObject({ state: 'stored', attributes: { mood: 'calm' } })
    await ada().delete(asset.id)
  })

  it('changes nothing that is stored, although its link lives on, and what may come late is watched', async () => {
    const { asset, upload } = await ada().upload('sounds', webm)
    await send(upload, sound)
    const stored = await ada().completeUpload(asset.id)
    const other = Buffer.concat([sound, Buffer.from('another')])
    expect((await send(upload, other)).status).toBe(200)
    expect((await service.bucket.head(stored.key ?? ''))?.metadata.sha256).toBe(stored.sha256)
    expect(await ada().completeUpload(asset.id)).toMatchObject({ sha256: stored.sha256 })
    expect(await watched(asset.id)).toEqual([`temp/uploads/${asset.id}.webm`])
    await ada().delete(asset.id)
    const aborted = await ada().upload('sounds', webm)
    await ada().abortUpload(aborted.asset.id)
    expect(await watched(aborted.asset.id)).toEqual([aborted.asset.key, `temp/uploads/${aborted.asset.id}.webm`])
    await service.bucket.delete(await inbox())
  })

  /** The keys that are looked at again and again, until nothing can come late. */
  async function watched(id: string) {
    const text = 'select key from keepsake.retired_keys where asset = $1 order by key'
    const { rows } = await service.server.parts.database.service.query(text, [id])
    return z
      .array(z.object({ key: z.string() }))
      .parse(rows)
      .map(({ key }) => key)
  }

  it.each([
    ['more than the collection takes', () => Buffer.concat([sound, Buffer.alloc(limit)]), 'content_too_large'],
    ['nothing', () => Buffer.alloc(0), 'content_empty'],
    ['a picture', () => gif, 'content_type_refused'],
    ['a sound of another type than was said', () => aacSample(), 'content_mismatch'],
    ['a film', () => trackSample('webm'), 'content_type_refused'],
  ])('of %s is removed, and failed for good', async (_, body, code) => {
    const { asset, upload } = await ada().upload('sounds', webm)
    expect((await send(upload, await body())).status).toBe(200)
    await expect(ada().completeUpload(asset.id)).rejects.toMatchObject({ code })
    expect(await ada().get(asset.id)).toMatchObject({ state: 'failed', problem: { code } })
    expect([...(await inbox()), ...(await service.objects('ada/'))]).toEqual([])
  })

  it('takes another sound of the collection where the type is not held to', async () => {
    const { asset, upload } = await ada().upload('sounds', { contentType: 'audio/webm', plain: true })
    await send(upload, aacSample())
    expect(await ada().completeUpload(asset.id)).toMatchObject({ state: 'stored', contentType: 'audio/aac' })
    await ada().delete(asset.id)
  })

  it('knows sound alone in a container of films, as Safari records it', async () => {
    const { asset, upload } = await ada().upload('sounds', { ...webm, contentType: 'audio/mp4' })
    await send(upload, await safariSound())
    expect(await ada().completeUpload(asset.id)).toMatchObject({
      state: 'stored',
      contentType: 'audio/mp4',
      kind: 'audio',
    })
    await ada().delete(asset.id)
  })

  it('holds its client to the type, and to the length where it was said', async () => {
    const any = await ada().upload('sounds', webm)
    expect((await send(any.upload, sound, 'text/html')).status).toBe(403)
    const exact = await ada().upload('sounds', { ...webm, size: sound.length })
    expect((await send(exact.upload, Buffer.concat([sound, Buffer.alloc(1)]))).status).toBe(403)
    expect((await send(exact.upload, sound)).status).toBe(200)
    expect(await ada().completeUpload(exact.asset.id)).toMatchObject({ state: 'stored' })
    await ada().abortUpload(any.asset.id)
    await ada().delete(exact.asset.id)
  })

  it('counts what may come against the quota, and what came once it is there', async () => {
    const eve = service.server.keepsake.as({ role: 'user', owner: 'eve' })
    const open = await Promise.all([1, 2, 3, 4].map(() => eve.upload('sounds', webm)))
    await expect(eve.upload('sounds', webm)).rejects.toMatchObject({ code: 'quota_exceeded' })
    await send(open[0]?.upload ?? null, sound)
    await eve.completeUpload(open[0]?.asset.id ?? '')
    for (const { asset } of open.slice(1)) await eve.abortUpload(asset.id)
    expect((await eve.upload('sounds', webm)).asset).toMatchObject({ state: 'pending' })
  })

  it('says what is missing, refuses attributes that are not declared, and leaves nothing when it is aborted', async () => {
    const { asset, upload } = await ada().upload('sounds', webm)
    await expect(ada().completeUpload(asset.id)).rejects.toMatchObject({ code: 'upload_incomplete' })
    await send(upload, sound)
    const wrong = ada().completeUpload(asset.id, { attributes: { colour: 'red' } })
    await expect(wrong).rejects.toMatchObject({ code: 'invalid_request' })
    expect(await inbox()).toHaveLength(1)
    expect(await ada().abortUpload(asset.id)).toEqual({ done: true })
    expect(await inbox()).toEqual([])
  })

  it('may be completed by many at once', async () => {
    const { asset, upload } = await ada().upload('sounds', webm)
    await send(upload, sound)
    const all = await Promise.all(Array.from({ length: 8 }, () => ada().completeUpload(asset.id)))
    expect(new Set(all.map(({ state, sha256 }) => `${state} ${sha256}`)).size).toBe(1)
    await ada().delete(asset.id)
    expect([...(await inbox()), ...(await service.objects('ada/'))]).toEqual([])
  })

  it('comes over HTTP, and only such a one may leave its size out', async () => {
    const api = service.as(apiKey)
    const path = '/v1/collections/sounds/uploads'
    const refused = await api.call(path, { body: { contentType: 'audio/webm' } })
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('size is missing')])
    const answer = await api.call(path, { body: { ...webm, owner: 'ada' } })
    expect(answer.status).toBe(201)
    const { asset, upload } = (await answer.json()) as { asset: { id: string }; upload: UploadTicket }
    await send(upload, sound)
    const done = await api.call(`/v1/uploads/${asset.id}/complete`, { body: { attributes: { place: 'Rio' } } })
    expect([done.status, await done.json()]).toMatchObject([200, { state: 'stored', attributes: { place: 'Rio' } }])
    await ada().delete(asset.id)
  })

  it('is refused with parts', async () => {
    const work = ada().upload('sounds', { ...webm, size: 5, partSize: 5 * 1024 * 1024 })
    await expect(work).rejects.toSatisfy((error) => KeepsakeError.is(error, 'invalid_request'))
  })
})

describe('a plain upload that its client leaves', () => {
  it('is stored where its bytes came, given up where not, and what comes late is removed', async () => {
    const { keepsake, database, bucket } = await openTestParts({ collections, sweepEverySeconds: 0.2 })
    const inbox = async () => {
      const keys: string[] = []
      for await (const { key } of bucket.list({ prefix: 'temp/' })) keys.push(key)
      return keys
    }
    try {
      const came = await keepsake.upload('sounds', { ...webm, owner: 'ada' })
      const never = await keepsake.upload('sounds', { ...webm, owner: 'ada' })
      await send(came.upload, await trackSample('audio.webm'))
      await moveClock(database, 2 * 3600)
      const look = () => Promise.all([came, never].map(async ({ asset }) => (await keepsake.get(asset.id)).state))
      expect(await until(look, (states) => !states.includes('pending'))).toEqual(['stored', 'failed'])
      expect(await until(inbox, (keys) => keys.length === 0)).toEqual([])
      for (const { upload } of [came, never]) {
        expect((await send(upload, await trackSample('audio.webm'))).status).toBe(200)
      }
      await moveClock(database, 9 * 3600)
      expect(await until(inbox, (keys) => keys.length === 0)).toEqual([])
      expect(await keepsake.get(came.asset.id)).toMatchObject({ state: 'stored', health: 'ok' })
    } finally {
      await keepsake.close()
    }
  })
})

/** Opus in ISO media that begins as any film does. */
async function safariSound(): Promise<Buffer> {
  const { BufferTarget, EncodedAudioPacketSource, EncodedPacket, Mp4OutputFormat, Output } = await import('mediabunny')
  const target = new BufferTarget()
  const output = new Output({ format: new Mp4OutputFormat(), target })
  const sound = new EncodedAudioPacketSource('opus')
  output.addAudioTrack(sound)
  await output.start()
  const description = Buffer.from('OpusHead\x01\x01\0\0\x80\xbb\0\0\0\0\0', 'latin1')
  for (let index = 0; index < 20; index += 1) {
    await sound.add(new EncodedPacket(new Uint8Array(100).fill(index), 'key', index / 10, 0.1), {
      decoderConfig: { codec: 'opus', numberOfChannels: 1, sampleRate: 48_000, description },
    })
  }
  await output.finalize()
  return Buffer.from(target.buffer ?? new ArrayBuffer(0))
}
