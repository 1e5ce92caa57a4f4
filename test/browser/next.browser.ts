/**
 * An app of Next, made of the blocks in docs/frameworks.md and docs/browser.md and built by Next: the handler in its
 * route, keepsake/react in its page, and the bytes past both.
 */
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { paintPicture } from '../../src/demo/index.ts'
import { until } from '../support/service.ts'
import { launchChromium } from './chromium.ts'
import { buildNextApp, type NextApp } from './next-app.ts'

let app: NextApp
let browser: Browser
let context: BrowserContext
let page: Page
let picture: Buffer

beforeAll(async () => {
  ;[app, browser, picture] = await Promise.all([buildNextApp(), launchChromium(), paintPicture()])
  context = await browser.newContext()
  await context.addCookies([{ name: 'user', value: 'ada', url: app.url }])
  page = await context.newPage()
}, 600_000)
afterAll(async () => {
  await browser?.close()
  await app?.close()
})

const call = (path: string, user: string | null, init: RequestInit = {}) =>
  fetch(`${app.url}/api/media${path}`, { ...init, headers: { ...(user ? { cookie: `user=${user}` } : {}) } })

const listed = z.object({ assets: z.array(z.looseObject({ id: z.string(), owner: z.string(), sha256: z.string() })) })

it('renders on the server, uploads from the page, and shows what was stored', async () => {
  expect(await (await fetch(app.url)).text()).toContain('<h1>generations</h1><input type="file"')
  await page.goto(app.url)
  const sent: string[] = []
  page.on('request', (request) => {
    if (request.method() === 'PUT') sent.push(new URL(request.url()).origin)
  })
  await page.setInputFiles('input[type=file]', { name: 'fox.png', mimeType: 'image/png', buffer: picture })
  await page.getByText('fox.png: stored').waitFor()
  await until(
    () => page.locator('figure img').evaluate((image) => Reflect.get(image, 'naturalWidth')),
    (width) => width === 1024,
  )
  expect(sent).toEqual([expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/)])
  expect(sent).not.toContain(app.url)
  const path = process.env.KEEPSAKE_SCREENSHOT_NEXT
  if (path) await page.screenshot({ path, fullPage: true })
})

it('keeps its users apart, and knows nobody else', async () => {
  const mine = listed.parse(await (await call('/v1/collections/generations/assets', 'ada')).json())
  expect(mine.assets).toMatchObject([{ owner: 'ada' }])
  const id = mine.assets[0]?.id
  expect((await call(`/v1/assets/${id}`, 'bob')).status).toBe(404)
  expect((await call(`/v1/assets/${id}`, null)).status).toBe(401)
  expect((await call(`/v1/assets/${id}`, 'ada', { method: 'DELETE' })).status).toBe(204)
})

it('streams a form through, and sends Uppy to where the browser is', async () => {
  const form = new FormData()
  form.append('file', new File([new Uint8Array(picture), new Uint8Array(3_000_000)], 'large.png'))
  const kept = await call('/v1/collections/generations/assets', 'ada', { method: 'POST', body: form })
  expect([kept.status, await kept.json()]).toMatchObject([201, { state: 'stored', size: picture.length + 3_000_000 }])
  // Next's own requests are for `localhost`, whatever was asked for.
  const params = await call('/uppy/generations/s3/params?filename=a.png', 'ada')
  expect(await params.json()).toMatchObject({ url: `${app.url}/api/media/uppy/generations/s3/form` })
})
