/**
 * keepsake/client in a real browser: a page at one origin, the API at a second, the bucket at a third. Both of the
 * servers are behind doors that count what comes through and may hold or lose a request, so that no test waits for luck.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Doors, openDoors, partsTaken } from '../support/doors.ts'
import { pictureBytes } from '../support/picture.ts'
import { until } from '../support/service.ts'
import type { Verdict } from '../support/watched-door.ts'
import { launchChromium } from './chromium.ts'
import { inLab, type Outcome } from './lab.ts'
import { servePage } from './page-server.ts'

const collection = 'pictures'
const mebibyte = 1024 * 1024
const large = 60_000_000
/** Comes in four parts. */
const medium = 18_000_000
const parts = [1, 2, 3, 4]

let folder: string
let app: Awaited<ReturnType<typeof servePage>>
let stranger: Awaited<ReturnType<typeof servePage>>
let doors: Doors
let browser: Browser
let context: BrowserContext
let page: Page

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keepsake-browser-'))
  ;[app, stranger, browser] = await Promise.all([servePage('client.ts'), servePage('client.ts'), launchChromium()])
  doors = await openDoors({
    corsOrigins: [app.url],
    collections: { pictures: { accept: ['image'], maxSize: '70 MB' } },
    uploads: { partThreshold: 5 * mebibyte, partSize: 5 * mebibyte },
  })
})
afterAll(async () => {
  await browser?.close()
  await doors?.stop()
  await app?.close()
  await stranger?.close()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  doors.api.reset()
  doors.bucket.reset()
  context = await browser.newContext()
  page = await context.newPage()
  await open(page)
})
afterEach(() => context.close())

async function open(where: Page, address = app.url): Promise<void> {
  await where.goto(address)
  await inLab(where, 'connect', { url: doors.api.url, token: await doors.token('ada') })
}

let count = 0
/** A picture in a file, chosen in the page. */
async function choose(size: number): Promise<{ path: string; sha256: string }> {
  count += 1
  const bytes = pictureBytes({ id: `${count}`, size })
  const path = join(folder, `picture-${count}.png`)
  await writeFile(path, bytes)
  await page.setInputFiles('input[type=file]', path)
  return { path, sha256: createHash('sha256').update(bytes).digest('hex') }
}

async function chooseText(name: string, type: string, text: string): Promise<void> {
  await page.setInputFiles('input[type=file]', { name, mimeType: type, buffer: Buffer.from(text) })
}

function assetOf(outcome: Outcome) {
  expect(outcome).toHaveProperty('asset')
  if (!('asset' in outcome)) throw new Error('There is no asset.')
  expect(outcome.asset.state).toBe('stored')
  return outcome.asset
}

/**
 * Lets the parts so numbered into the bucket; the others wait at the door. `arrived` when those are taken, and all who
 * send wait with the next.
 */
function admit(numbers: readonly number[], next: readonly number[]) {
  const { promise: opened, resolve: open } = Promise.withResolvers<Verdict>()
  const held: number[] = []
  doors.bucket.guard = ({ method, query }) => {
    const part = Number(query.get('partNumber'))
    if (method !== 'PUT' || numbers.includes(part)) return 'pass'
    held.push(part)
    return opened
  }
  const arrived = () => {
    expect(partsTaken(doors.bucket)).toEqual(numbers)
    expect(held.toSorted()).toEqual(next)
  }
  return {
    arrived: () => vi.waitFor(arrived, { timeout: 60_000 }),
    open: () => open('pass'),
    lose: () => open('cut'),
    /**
     * For requests that the page has just given up. One that is cut on a connection that was used before, Chromium sends
     * once more by itself, unless it has heard by then that nobody waits for it.
     */
    refuse: () => open('refuse'),
  }
}

async function rows() {
  const { assets } = await doors.keepsake.list(collection, { limit: 1000 })
  return assets.map(({ id, state }) => `${id} ${state}`)
}

async function multipartUploads() {
  const open: string[] = []
  for await (const { key } of doors.server.parts.bucket.listMultipart({})) open.push(key)
  return open
}

function rising(numbers: readonly number[]): boolean {
  return numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0))
}

describe('from a page straight to the bucket', () => {
  it('goes a small file', async () => {
    const { sha256 } = await choose(1024)
    await inLab(page, 'upload', 'one', { collection })
    const asset = assetOf(await inLab(page, 'outcome', 'one'))
    expect(asset).toMatchObject({ size: 1024, sha256, contentType: 'image/png', owner: 'ada' })
    expect((await inLab(page, 'progress', 'one')).at(-1)).toBe(1024)
    expect(await inLab(page, 'open', asset.id)).toEqual({ status: 200, size: 1024 })
    // Chromium's own word that the hash was inside of the signature.
    const [put] = doors.bucket.passed('PUT')
    expect(put?.query.get('X-Amz-SignedHeaders')).toContain('x-amz-checksum-sha256')
  })

  it('go 60 MB with visible progress, and none of them through the server', async () => {
    const { sha256 } = await choose(large)
    const before = { api: doors.api.bytes, bucket: doors.bucket.bytes }
    await inLab(page, 'upload', 'film', { collection })
    const asset = assetOf(await inLab(page, 'outcome', 'film'))
    const received = { api: doors.api.bytes - before.api, bucket: doors.bucket.bytes - before.bucket }
    expect(asset).toMatchObject({ size: large, sha256 })
    const progress = await inLab(page, 'progress', 'film')
    expect(progress.length).toBeGreaterThan(10)
    expect(rising(progress)).toBe(true)
    expect([progress[0], progress.at(-1)]).toEqual([0, large])
    expect(await page.locator('p').innerText()).toContain('100 %')
    expect(partsTaken(doors.bucket)).toEqual(Array.from({ length: 12 }, (_, index) => index + 1))
    expect(received.bucket).toBeGreaterThan(large)
    expect(received.api).toBeLessThan(10_000)
    console.log(`A file of ${large} bytes: the bucket received ${received.bucket} bytes, the API ${received.api}.`)
  })
})

describe('an upload that is interrupted', () => {
  it('pauses and goes on', async () => {
    const { sha256 } = await choose(medium)
    const gate = admit([1, 2], [3, 4])
    await inLab(page, 'upload', 'film', { collection, parallel: 2 })
    await gate.arrived()
    await inLab(page, 'pause', 'film')
    gate.refuse()
    doors.bucket.reset()
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 300)))
    expect(doors.bucket.passed('PUT')).toEqual([])
    await inLab(page, 'resume', 'film')
    expect(assetOf(await inLab(page, 'outcome', 'film')).sha256).toBe(sha256)
    expect(partsTaken(doors.bucket)).toEqual([3, 4])
    expect(rising(await inLab(page, 'progress', 'film'))).toBe(true)
  })

  it('goes on after a reload, with what is missing alone', async () => {
    const { path, sha256 } = await choose(medium)
    const gate = admit([1, 2], [3, 4])
    await inLab(page, 'upload', 'film', { collection, parallel: 2 })
    await gate.arrived()
    await page.reload()
    gate.lose()
    doors.bucket.reset()
    await open(page)
    await page.setInputFiles('input[type=file]', path)
    await inLab(page, 'upload', 'film', { collection })
    const asset = assetOf(await inLab(page, 'outcome', 'film'))
    expect(asset.sha256).toBe(sha256)
    expect(
      doors.bucket
        .passed('PUT')
        .map(({ query }) => query.get('partNumber'))
        .sort(),
    ).toEqual(['3', '4'])
    expect((await inLab(page, 'progress', 'film'))[1]).toBeGreaterThanOrEqual(10 * mebibyte)
    // It is over: the same file, chosen again, is another asset.
    await inLab(page, 'upload', 'again', { collection })
    expect(assetOf(await inLab(page, 'outcome', 'again')).id).not.toBe(asset.id)
  })

  it('leaves nothing when it is cancelled', async () => {
    const before = { rows: await rows(), objects: await doors.objects() }
    await choose(medium)
    const gate = admit([1], [2, 3])
    await inLab(page, 'upload', 'film', { collection, parallel: 2 })
    await gate.arrived()
    await inLab(page, 'abort', 'film')
    expect(await inLab(page, 'outcome', 'film')).toEqual({ error: { name: 'AbortError' } })
    gate.refuse()
    expect(await rows()).toEqual(before.rows)
    expect(await doors.objects()).toEqual(before.objects)
    expect(await multipartUploads()).toEqual([])
  })

  it('waits while the browser is offline, and goes on by itself', async () => {
    const { sha256 } = await choose(medium)
    const gate = admit([1, 2], [3, 4])
    await inLab(page, 'upload', 'film', { collection, parallel: 2 })
    await gate.arrived()
    await context.setOffline(true)
    gate.lose()
    const asked = async () => {
      await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1_500)))
      return doors.bucket.passages.length
    }
    // What was under way is lost; nothing new leaves the browser.
    const lost = await asked()
    expect(await asked()).toBe(lost)
    expect(partsTaken(doors.bucket)).toEqual([1, 2])
    doors.bucket.guard = () => 'pass'
    await context.setOffline(false)
    expect(assetOf(await inLab(page, 'outcome', 'film')).sha256).toBe(sha256)
    expect(partsTaken(doors.bucket)).toEqual(parts)
  })

  it('gets fresh URLs for parts whose own have expired', async () => {
    const { sha256 } = await choose(medium)
    doors.expireOnce()
    await inLab(page, 'upload', 'film', { collection, parallel: 2 })
    expect(assetOf(await inLab(page, 'outcome', 'film')).sha256).toBe(sha256)
    expect(partsTaken(doors.bucket)).toEqual(parts)
    expect(doors.bucket.passed('PUT', ({ status }) => status === 403).length).toBeGreaterThanOrEqual(2)
  })
})

describe('what is refused', () => {
  it('is a page that says it is a picture, and nothing of it stays', async () => {
    const before = await doors.objects()
    await chooseText('page.png', 'image/png', '<!doctype html><title>no picture</title>')
    await inLab(page, 'upload', 'page', { collection })
    expect(await inLab(page, 'outcome', 'page')).toMatchObject({ error: { code: 'content_type_refused', status: 422 } })
    expect(doors.bucket.passed('PUT')).toHaveLength(1)
    expect(await doors.objects()).toEqual(before)
    expect((await rows())[0]).toMatch(/ failed$/)
  })

  it('is a file that is too large, before a byte of it moves', async () => {
    await choose(70_000_001)
    await inLab(page, 'upload', 'film', { collection })
    expect(await inLab(page, 'outcome', 'film')).toMatchObject({ error: { code: 'content_too_large', status: 413 } })
    expect(doors.bucket.passages).toEqual([])
  })

  it('is a page of another origin: by the API, and by the bucket', async () => {
    const before = await doors.objects()
    await open(page, stranger.url)
    await choose(1024)
    await inLab(page, 'upload', 'one', { collection })
    await until(
      async () => doors.api.passed('OPTIONS').length,
      (asked) => asked > 0,
    )
    expect(doors.api.passed('POST')).toEqual([])
    await inLab(page, 'abort', 'one')
    expect(await inLab(page, 'outcome', 'one')).toEqual({ error: { name: 'AbortError' } })

    // Even with a ticket of somebody who may: the bucket has rules of its own.
    const { upload } = await doors.keepsake.upload(collection, { contentType: 'image/png', size: 4, owner: 'ada' })
    if (upload?.strategy !== 'put') throw new Error('There is no ticket.')
    const put = ([url, headers]: readonly [string, Readonly<Record<string, string>>]) =>
      fetch(url, { method: 'PUT', headers, body: 'four' }).then(
        ({ status }) => status,
        () => 'refused',
      )
    expect(await page.evaluate(put, [upload.url, upload.headers] as const)).toBe('refused')
    expect(doors.bucket.passed('PUT')).toEqual([])
    await open(page)
    expect(await page.evaluate(put, [upload.url, upload.headers] as const)).toBe(200)
    expect(await doors.objects()).toHaveLength(before.length + 1)
  })
})
