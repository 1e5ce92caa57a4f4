/** keepsake/react as an app has it, rendered by a real browser: see pages/react.tsx. */
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { paintPicture } from '../../src/demo/index.ts'
import { type Doors, openDoors } from '../support/doors.ts'
import { until } from '../support/service.ts'
import type { Verdict } from '../support/watched-door.ts'
import { launchChromium } from './chromium.ts'
import { showGallery } from './gallery.ts'
import { servePage } from './page-server.ts'

const collection = 'gallery'
const mebibyte = 1024 * 1024

let app: Awaited<ReturnType<typeof servePage>>
let doors: Doors
let browser: Browser
let picture: Buffer
let context: BrowserContext
let page: Page
let owner: string

beforeAll(async () => {
  ;[app, browser, picture] = await Promise.all([servePage('react.tsx'), launchChromium(), paintPicture()])
  doors = await openDoors({
    corsOrigins: [app.url],
    collections: { gallery: { accept: ['image', 'video', 'audio'], maxSize: '70 MB' } },
    uploads: { partThreshold: 5 * mebibyte, partSize: 5 * mebibyte },
  })
})
afterAll(async () => {
  await browser?.close()
  await doors?.stop()
  await app?.close()
})
let count = 0
beforeEach(async () => {
  count += 1
  owner = `user-${count}`
  doors.api.reset()
  doors.bucket.reset()
  context = await browser.newContext()
  page = await context.newPage()
  await page.goto(app.url)
})
afterEach(() => context.close())

async function show(options: { linksExpireIn?: number; limit?: number } = {}): Promise<void> {
  await showGallery(page, { url: doors.api.url, token: await doors.token(owner), ...options })
  await page.getByText('loaded', { exact: true }).waitFor()
}

function choose(...files: readonly { name: string; buffer: Buffer; mimeType?: string }[]): Promise<void> {
  return page.getByTestId('files').setInputFiles(files.map((file) => ({ mimeType: 'image/png', ...file })))
}

const item = (name: string) => page.locator(`[data-file="${name}"]`)
const status = (name: string, is: string) => page.locator(`[data-file="${name}"][data-status="${is}"]`).waitFor()
const press = (name: string, verb: string) => item(name).getByRole('button', { name: verb }).click()
const figures = () =>
  page.locator('figure').evaluateAll((all) => all.map((one) => String(Reflect.get(one, 'innerText')).split('\n')[0]))

/** Stored beforehand, without the page. */
async function keep(bytes: Buffer, filename: string) {
  return doors.keepsake.import(collection, { source: { bytes }, owner, filename })
}

/** What an element of the page says of itself. */
function look<T>(selector: string, property: string): Promise<T> {
  return page.locator(selector).evaluate((element, name) => Reflect.get(element, name), property)
}

const pictureLoaded = () =>
  until(
    () => look<number>('img', 'naturalWidth'),
    (width) => width === 1024,
  )
const reads = () => doors.bucket.passed('GET')

describe('useUpload and useAssets', () => {
  it('queue, pause, resume and finish, and show what was stored', async () => {
    await show()
    const { promise: opened, resolve: open } = Promise.withResolvers<Verdict>()
    doors.bucket.guard = ({ method }) => (method === 'PUT' ? opened : 'pass')
    const large = Buffer.concat([picture, Buffer.alloc(6 * mebibyte)])
    await choose(
      { name: 'large.png', buffer: large },
      { name: 'b.png', buffer: picture },
      { name: 'c.png', buffer: picture },
    )
    await status('large.png', 'uploading')
    await status('b.png', 'queued')
    await until(
      async () => doors.bucket.passed('PUT').length,
      (sent) => sent === 2,
    )
    await press('large.png', 'pause')
    await status('large.png', 'paused')
    await press('c.png', 'cancel')
    await status('c.png', 'cancelled')
    open('cut')
    doors.bucket.reset()
    await press('large.png', 'resume')
    for (const name of ['large.png', 'b.png']) await status(name, 'stored')
    await page.getByText('idle').waitFor()
    expect(await item('large.png').innerText()).toContain('100 %')
    expect(await look('progress', 'value')).toBe(large.length + picture.length)
    await page.locator('figure').nth(1).waitFor()
    expect(await figures()).toEqual(['b.png', 'large.png'])
    await until(
      () => page.locator('img').evaluateAll((all) => all.map((image) => Reflect.get(image, 'naturalWidth'))),
      (widths) => widths.every((width) => width === 1024),
    )
    const path = process.env.KEEPSAKE_SCREENSHOT
    if (path) await page.screenshot({ path, fullPage: true })
    await page.getByRole('button', { name: 'clear' }).click()
    expect(await page.locator('[data-file]').count()).toBe(0)
  })

  it('say why a file failed, and try it again when they are told to', async () => {
    await show()
    doors.api.guard = ({ path }) => (path.endsWith('/uploads') ? 'unauthorized' : 'pass')
    await choose({ name: 'a.png', buffer: picture })
    await status('a.png', 'failed')
    expect(await item('a.png').innerText()).toContain('API key or token')
    doors.api.reset()
    await press('a.png', 'retry')
    await status('a.png', 'stored')
  })

  it('list by the page, take what is removed away at once, and bring it back where that fails', async () => {
    const kept: string[] = []
    for (const name of ['1.png', '2.png', '3.png']) kept.unshift((await keep(picture, name)).id)
    await show({ limit: 2 })
    expect(await figures()).toEqual(['3.png', '2.png'])
    await page.getByRole('button', { name: 'more' }).click()
    await page.locator('figure').nth(2).waitFor()
    expect(await figures()).toEqual(['3.png', '2.png', '1.png'])

    const { promise: opened, resolve: open } = Promise.withResolvers<Verdict>()
    doors.api.guard = ({ method }) => (method === 'DELETE' ? opened : 'pass')
    const remove = (id = '') => page.locator(`[data-asset="${id}"]`).getByRole('button', { name: 'remove' }).click()
    await remove(kept[1])
    await until(figures, (names) => names.join() === '3.png,1.png')
    expect((await doors.keepsake.get(kept[1] ?? '')).state).toBe('stored')
    open('pass')
    await until(
      async () => doors.api.passed('DELETE', ({ status }) => status === 204).length,
      (gone) => gone === 1,
    )

    doors.api.guard = ({ method }) => (method === 'DELETE' ? 'unauthorized' : 'pass')
    await remove(kept[0])
    await page.locator('em', { hasText: 'API key or token' }).waitFor()
    expect(await figures()).toEqual(['3.png', '1.png'])

    // Somebody else was faster: nothing to complain of.
    doors.api.reset()
    await doors.keepsake.delete(kept[0] ?? '')
    await remove(kept[0])
    await page.getByRole('button', { name: 'reload' }).click()
    await until(
      async () => [await figures(), await page.locator('em').innerText()].flat().join(),
      (shown) => shown === '1.png,',
    )
  })
})

describe('MediaImage', () => {
  it('renews its link before that ends', async () => {
    await keep(picture, 'a.png')
    await show({ linksExpireIn: 4 })
    await pictureLoaded()
    const first = await look<string>('img', 'src')
    const second = await until(
      () => look<string>('img', 'src'),
      (src) => src !== first,
    )
    await pictureLoaded()
    expect((await fetch(second)).status).toBe(200)
    await until(
      async () => (await fetch(first)).status,
      (answer) => answer === 403,
    )
    // It never showed a link that did not open.
    expect(
      reads().filter(
        ({ path, status, query }) =>
          path !== '' &&
          status === 403 &&
          query.get('X-Amz-Signature') !== new URL(first).searchParams.get('X-Amz-Signature'),
      ),
    ).toEqual([])
  })

  it('gets a fresh link where its own fails, and does not ask for ever', async () => {
    await keep(picture, 'a.png')
    let failed = false
    doors.bucket.guard = ({ method }) => {
      if (method !== 'GET' || failed) return 'pass'
      failed = true
      return 'spoil'
    }
    await show()
    await pictureLoaded()
    expect(reads().map(({ status }) => status)).toEqual([403, 200])
  })

  it('does not ask for ever where no link opens', async () => {
    await keep(picture, 'a.png')
    doors.bucket.guard = ({ method }) => (method === 'GET' ? 'spoil' : 'pass')
    await show()
    await until(
      async () => reads().length,
      (tries) => tries === 4,
    )
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1_000)))
    expect(reads().map(({ status }) => status)).toEqual([403, 403, 403, 403])
  })
})

describe('MediaAudio and MediaVideo', () => {
  it('go on where they were when the link fails in the middle', async () => {
    await keep(tone(180), 'tone.wav')
    await show()
    await until(
      () => look<number>('audio', 'readyState'),
      (state) => state >= 2,
    )
    // A read that Chromium itself gives up, because of the jump, is not the one that has to be refused.
    const refused = () => reads().some((read) => read.status === 403)
    doors.bucket.reset()
    doors.bucket.guard = ({ method }) => (method !== 'GET' || refused() ? 'pass' : 'spoil')
    // Far from what it has: it must ask for more, and is refused.
    await page.locator('audio').evaluate((audio) => {
      Reflect.set(audio, 'currentTime', 150)
      return Reflect.get(audio, 'play')
        .call(audio)
        .catch(() => {})
    })
    await until(
      () => look<number>('audio', 'currentTime'),
      (time) => time > 150.2,
    )
    expect(refused()).toBe(true)
    expect(await look('audio', 'error')).toBeNull()
    expect(await look('audio', 'paused')).toBe(false)
  })

  it('are left alone while they play, and renewed without a jump once they do not', async () => {
    await keep(tone(60), 'tone.wav')
    await show({ linksExpireIn: 3 })
    await until(
      () => look<number>('audio', 'readyState'),
      (state) => state >= 2,
    )
    const first = await look<string>('audio', 'src')
    await page.locator('audio').evaluate((audio) => {
      Reflect.set(audio, 'currentTime', 20)
      return Reflect.get(audio, 'play').call(audio)
    })
    await until(
      async () => (await fetch(first)).status,
      (answer) => answer === 403,
    )
    expect(await look('audio', 'src')).toBe(first)
    expect(await look('audio', 'paused')).toBe(false)
    await page.locator('audio').evaluate((audio) => Reflect.get(audio, 'pause').call(audio))
    const stopped = await look<number>('audio', 'currentTime')
    await until(
      () => look<string>('audio', 'src'),
      (src) => src !== first,
    )
    await until(
      () => look<number>('audio', 'readyState'),
      (state) => state >= 2,
    )
    expect(await look<number>('audio', 'currentTime')).toBeCloseTo(stopped, 1)
    expect(await look('audio', 'paused')).toBe(true)
  })

  it('play what a browser has recorded, also where the first link fails', async () => {
    const film = Buffer.from(await page.evaluate<string>(record), 'base64')
    await keep(film, 'film.webm')
    let failed = false
    doors.bucket.guard = ({ method }) => {
      if (method !== 'GET' || failed) return 'pass'
      failed = true
      return 'spoil'
    }
    await show()
    await until(
      () => look<number>('video', 'readyState'),
      (state) => state >= 2,
    )
    expect(await look('video', 'videoWidth')).toBe(64)
    await page.getByRole('button', { name: 'play the film' }).click()
    await until(
      () => look<number>('video', 'currentTime'),
      (time) => time > 0.2,
    )
    expect(reads()[0]?.status).toBe(403)
  })
})

/** So many seconds of 441 Hz: RIFF WAVE, PCM, 44.1 kHz, 16 bits, mono. */
function tone(seconds: number): Buffer {
  const rate = 44_100
  const data = Buffer.alloc(rate * seconds * 2)
  for (let index = 0; index < 100; index += 1)
    data.writeInt16LE(Math.round(Math.sin((index / 50) * Math.PI) * 3000), index * 2)
  for (let at = 200; at < data.length; at *= 2) data.copyWithin(at, 0, at)
  const header = Buffer.alloc(44)
  header.write('RIFF', 0, 'latin1')
  header.writeUInt32LE(36 + data.length, 4)
  header.write('WAVEfmt ', 8, 'latin1')
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(rate, 24)
  header.writeUInt32LE(rate * 2, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(16, 34)
  header.write('data', 36, 'latin1')
  header.writeUInt32LE(data.length, 40)
  return Buffer.concat([header, data])
}

/** Runs in the page: a second of a changing canvas, as WebM in base64. Text, for this project has no DOM types here. */
const record = `(async () => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 48 })
  const brush = canvas.getContext('2d')
  const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: 'video/webm;codecs=vp8' })
  const chunks = []
  recorder.ondataavailable = ({ data }) => chunks.push(data)
  recorder.start()
  for (let frame = 0; frame < 25; frame += 1) {
    brush.fillStyle = 'hsl(' + frame * 14 + ' 80% 50%)'
    brush.fillRect(0, 0, 64, 48)
    await new Promise((resolve) => setTimeout(resolve, 40))
  }
  await new Promise((resolve) => { recorder.onstop = resolve; recorder.stop() })
  const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer())
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
})()`
