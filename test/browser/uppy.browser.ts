/**
 * The real Uppy in a real browser, against Keepsake's handler mounted in the page's own server, whose session cookie
 * says who asks; Uppy sends no tokens.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { createHandler, toNodeListener } from '../../src/http/index.ts'
import { type Doors, openDoors, partsTaken } from '../support/doors.ts'
import { pictureBytes } from '../support/picture.ts'
import type { Verdict } from '../support/watched-door.ts'
import { launchChromium } from './chromium.ts'
import { servePage } from './page-server.ts'
import { inUppy } from './uppy-lab.ts'

const mebibyte = 1024 * 1024
const basePath = '/api/media'

let folder: string
let app: Awaited<ReturnType<typeof servePage>>
let doors: Doors
let browser: Browser
let context: BrowserContext
let page: Page
let endpoint: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keepsake-uppy-'))
  ;[app, browser] = await Promise.all([servePage('uppy.ts'), launchChromium()])
  doors = await openDoors({
    corsOrigins: [app.url],
    collections: { photos: { accept: ['image'], maxSize: '40 MB', attributes: { album: {} } } },
  })
  const handle = createHandler(doors.keepsake, {
    basePath,
    authorize: (request) => {
      const owner = /(?:^|; )user=(\w+)/.exec(request.headers.get('cookie') ?? '')?.[1]
      return owner === undefined ? null : { owner }
    },
  })
  app.mount(basePath, toNodeListener(handle))
  endpoint = `${app.url}${basePath}/uppy/photos`
})
afterAll(async () => {
  await browser?.close()
  await doors?.stop()
  await app?.close()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  doors.bucket.reset()
  context = await browser.newContext()
  await signIn('ada')
  page = await context.newPage()
  await page.goto(app.url)
})
afterEach(() => context.close())

function signIn(user: string): Promise<void> {
  return context.addCookies([{ name: 'user', value: user, url: app.url }])
}

let count = 0
async function choose(size: number): Promise<{ name: string; sha256: string }> {
  count += 1
  const bytes = pictureBytes({ id: `uppy-${count}`, size })
  const name = `picture-${count}.png`
  await writeFile(join(folder, name), bytes)
  await page.setInputFiles('input[type=file]', join(folder, name))
  return { name, sha256: createHash('sha256').update(bytes).digest('hex') }
}

async function stored(filename: string) {
  const { assets } = await doors.keepsake.list('photos', { limit: 1000 })
  return assets.filter((asset) => asset.filename === filename)
}

/** The part waits at the door until it is told what becomes of it. */
function holdPart(number: number) {
  const { promise: opened, resolve: open } = Promise.withResolvers<Verdict>()
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>()
  doors.bucket.guard = ({ method, query }) => {
    if (method !== 'PUT' || query.get('partNumber') !== `${number}`) return 'pass'
    reach()
    return opened
  }
  return { reached, open }
}

it('sends a small file', async () => {
  const { name, sha256 } = await choose(50_000)
  await inUppy(page, 'start', endpoint, { multipart: false })
  const outcome = await inUppy(page, 'outcome')
  expect(outcome).toMatchObject({ failed: [], successful: [{ name }] })
  const [asset, ...others] = await stored(name)
  expect(asset).toMatchObject({ state: 'stored', owner: 'ada', sha256, attributes: { album: 'summer' } })
  expect(others).toEqual([])
})

it('sends a large file in parts, pauses, and goes on with what is missing', async () => {
  const before = doors.bucket.bytes
  const { name, sha256 } = await choose(12 * mebibyte)
  const second = holdPart(2)
  await inUppy(page, 'start', endpoint, { multipart: true })
  await second.reached
  await inUppy(page, 'pauseOrResume')
  second.open('refuse')
  doors.bucket.guard = () => 'pass'
  await inUppy(page, 'pauseOrResume')
  const outcome = await inUppy(page, 'outcome')
  expect(outcome).toMatchObject({ failed: [], successful: [{ name }] })
  expect(partsTaken(doors.bucket)).toEqual([1, 2, 3])
  expect((await stored(name))[0]).toMatchObject({
    state: 'stored',
    owner: 'ada',
    sha256,
    attributes: { album: 'summer' },
  })
  expect(doors.bucket.bytes - before).toBeGreaterThan(12 * mebibyte)
  expect((await inUppy(page, 'progress')).at(-1)).toBe(12 * mebibyte)
  // The address that Uppy was given is one that an app may store.
  const open = (address: string) => fetch(address).then(async (answer) => (await answer.blob()).size)
  expect(await page.evaluate(open, outcome.successful[0]?.location ?? '')).toBe(12 * mebibyte)
})

it('leaves nothing of what is cancelled', async () => {
  const { name } = await choose(12 * mebibyte)
  const before = await doors.objects()
  const second = holdPart(2)
  await inUppy(page, 'start', endpoint, { multipart: true })
  await second.reached
  await inUppy(page, 'cancel')
  await vi.waitFor(async () => expect(await stored(name)).toEqual([]), { timeout: 20_000 })
  second.open('cut')
  expect(await doors.objects()).toEqual(before)
})

it('is refused what the collection does not take, and everything where nobody is signed in', async () => {
  await choose(41_000_000)
  await inUppy(page, 'start', endpoint, { multipart: true })
  expect(await inUppy(page, 'outcome')).toMatchObject({
    successful: [],
    failed: [{ error: expect.stringMatching(/./) }],
  })
  expect(doors.bucket.passages).toEqual([])

  await context.clearCookies()
  await page.reload()
  const { name } = await choose(50_000)
  await inUppy(page, 'start', endpoint, { multipart: true })
  expect((await inUppy(page, 'outcome')).failed).toHaveLength(1)
  expect(await stored(name)).toEqual([])
})

it('does not let one user near the uploads of another', async () => {
  const { name } = await choose(12 * mebibyte)
  const second = holdPart(2)
  await inUppy(page, 'start', endpoint, { multipart: true })
  await second.reached
  const [upload] = await stored(name)
  const other = await browser.newContext()
  try {
    await other.addCookies([{ name: 'user', value: 'mallory', url: app.url }])
    const tab = await other.newPage()
    await tab.goto(app.url)
    const address = `${endpoint}/s3/multipart/${upload?.id}`
    const ask = async ([url, ...requests]: readonly string[]) => {
      const answers = requests.map(async (request) => {
        const [method = '', path = ''] = request.split(' ')
        return (await fetch(`${url}${path}?key=x`, { method })).status
      })
      return Promise.all(answers)
    }
    const requests = ['GET ', 'GET /2', 'POST /complete', 'DELETE ']
    expect(await tab.evaluate(ask, [address, ...requests])).toEqual([404, 404, 404, 404])
  } finally {
    await other.close()
  }
  second.open('pass')
  expect(await inUppy(page, 'outcome')).toMatchObject({ failed: [], successful: [{ name }] })
})
