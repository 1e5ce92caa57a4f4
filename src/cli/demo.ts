import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { paintPicture, startProvider } from '../demo/index.ts'
import { type HttpServer, serveHttp, trustedCaller } from '../http/index.ts'
import { createLogger } from '../logging/index.ts'
import { formatSize, KeepsakeError } from '../media/index.ts'
import { CliFailure, type ExitCode, exitCodes } from './failure.ts'
import type { OpenInstallation } from './installation.ts'
import type { Io } from './io.ts'
import { jsonDocument } from './verbs/options.ts'

/** Seconds that the provider's link lives: long enough to read the lines above it. */
const linkLife = 5

const assetSchema = z.object({
  id: z.string(),
  state: z.string(),
  key: z.string(),
  sha256: z.string(),
  url: z.string(),
})
const urlSchema = z.object({
  urls: z.array(z.object({ id: z.string(), url: z.string(), expiresAt: z.string() })).min(1),
})

type Rescue = {
  readonly originalStatus: number
  readonly asset: z.infer<typeof assetSchema>
  readonly link: { readonly url: string; readonly expiresAt: string }
}

/**
 * The main job on real bytes: a picture behind a URL that expires is imported, the URL dies, and the picture still
 * opens. Then it stays up, so that the links can be tried. It serves what `serve` would serve, and lets imports reach
 * one host more: the provider that it brings along.
 */
export async function demo(options: { readonly json?: boolean }, io: Io): Promise<ExitCode> {
  const provider = await startProvider()
  const allowHosts = [io.env.KEEPSAKE_IMPORT_ALLOW_HOSTS, provider.host].filter(Boolean).join(',')
  const installation = await io.installation({ ...io.env, KEEPSAKE_IMPORT_ALLOW_HOSTS: allowHosts })
  const say = (text: string) => (options.json ? undefined : io.stdout.write(`${text}\n`))
  try {
    const opened = await installation.open({ logger: createLogger({ level: 'error', output: io.stderr }) })
    try {
      const server = await serveSomewhere(opened, io)
      try {
        await opened.announce(server.url)
        const { asset, link } = await rescue(opened, provider, say, io.signal)
        const key = opened.generatedApiKey
        if (options.json)
          io.stdout.write(jsonDocument({ url: server.url, apiKey: key, asset: asset.id, link: link.url }))
        say(farewell(server.url, key, installation.dataDir, asset.id, link))
        await aborted(io.signal)
      } finally {
        await server.close()
      }
    } finally {
      await opened.close()
    }
  } finally {
    await provider.close()
  }
  return exitCodes.ok
}

async function rescue(
  { app }: OpenInstallation,
  provider: Awaited<ReturnType<typeof startProvider>>,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<Rescue> {
  const call = async (path: string, body: object): Promise<unknown> => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    const response = await app.fetch(new Request(`http://keepsake${path}`, init), trustedCaller)
    if (!response.ok) throw failure(`${path} answered ${response.status}: ${await response.text()}`)
    return response.json()
  }
  const picture = await paintPicture()
  const original = provider.publish(picture, linkLife)
  const dies = Date.now() + linkLife * 1000
  say(`A provider made a picture (${formatSize(picture.length)}). Its link lives ${linkLife} seconds:\n  ${original}\n`)

  const started = performance.now()
  const source = { url: original }
  const attributes = { wallet: '0xC0FFEE254729296a45a3885639AC7E10F9d54979', agent: 'demo', model: 'sunset-1' }
  const provenance = { provider: 'demo', model: 'sunset-1', prompt: 'a low sun over hills' }
  const asset = assetSchema.parse(await call('/v1/collections/generations/imports', { source, attributes, provenance }))
  say(`Keepsake imported it in ${Math.round(performance.now() - started)} ms:`)
  say(`  id      ${asset.id}\n  state   ${asset.state}\n  key     ${asset.key}\n  sha256  ${asset.sha256}\n`)

  await delay(Math.max(0, dies - Date.now()) + 200, undefined, { signal }).catch(() => {})
  if (signal.aborted) throw CliFailure.interrupted()
  const dead = await fetch(original)
  await dead.body?.cancel()
  say(`${linkLife} seconds later the provider's link answers ${dead.status}: the original is gone.\n`)

  const { urls } = urlSchema.parse(await call('/v1/urls', { assets: [{ id: asset.id }] }))
  const [link] = urls
  if (link === undefined) throw failure('There is no link.')
  const response = await fetch(link.url)
  const bytes = Buffer.from(await response.arrayBuffer())
  const same = createHash('sha256').update(bytes).digest('hex') === createHash('sha256').update(picture).digest('hex')
  if (dead.ok || !response.ok || !same)
    throw failure(`The picture was not kept: ${response.status}, same bytes: ${same}.`)
  const type = response.headers.get('content-type')
  say(`A fresh signed link answers ${response.status} ${type}, ${formatSize(bytes.length)}, the same bytes. Open it:`)
  say(`  ${link.url}\n`)
  return { originalStatus: dead.status, asset, link }
}

/** The port that is asked for; where none is and the usual one is taken, another one. */
async function serveSomewhere(opened: OpenInstallation, io: Io): Promise<HttpServer> {
  const { app, host, port, socket } = opened
  const logger = createLogger({ level: 'error', output: io.stderr })
  const options = { app, host, logger, ...(socket ? { socket } : {}) }
  try {
    return await serveHttp({ ...options, port })
  } catch (error) {
    if (io.env.PORT || !KeepsakeError.is(error, 'invalid_setting')) throw error
    return serveHttp({ ...options, port: 0 })
  }
}

function farewell(url: string, apiKey: string | null, dataDir: string, id: string, link: Rescue['link']): string {
  const until = new Date(link.expiresAt).toLocaleTimeString()
  return [
    `The link lives until ${until}; ask for a new one at any time. Keepsake goes on serving:`,
    `  docs     ${url}/docs`,
    `  data     ${dataDir}`,
    ...(apiKey === null ? [] : [`  API key  ${apiKey}`]),
    '',
    'Try it, here or in another terminal:',
    `  curl -i ${url}/v1/assets/${id}/content -H 'Authorization: Bearer ${apiKey ?? '$KEEPSAKE_API_KEY'}'`,
    '  npm run -s keepsake -- ls',
    '',
    'Stop it with Ctrl-C.',
  ].join('\n')
}

function failure(detail: string): CliFailure {
  return new CliFailure({ code: 'internal', status: 500, title: 'The demo failed', detail }, exitCodes.failure)
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
