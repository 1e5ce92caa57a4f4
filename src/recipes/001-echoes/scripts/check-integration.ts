import { realpathSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { z } from 'zod'

/** What one test found. */
export type Result = {
  readonly test: string
  readonly success: boolean
  readonly details: string
  readonly timestamp: string
}

export type Report = {
  readonly summary: {
    readonly total_tests: number
    readonly passed: number
    readonly failed: number
    readonly success_rate: number
    readonly duration_seconds: number
  }
  readonly results: readonly Result[]
  readonly timestamp: string
}

export type CheckOptions = {
  /** Where the server is, such as `http://localhost:8000`. */
  readonly url: string
  /** A JWT, or an API key: then everything is made for the user `integration-test`. */
  readonly token: string
  readonly onResult?: (result: Result) => void
}

/** Milliseconds for one request. */
const patience = 30_000

const uploadUrl = z.looseObject({
  upload_url: z.url(),
  echo_id: z.string(),
  s3_key: z.string(),
  expires_in: z.int(),
  headers: z.record(z.string(), z.string()).optional(),
})
const echo = z.looseObject({ echo_id: z.string(), audio_url: z.string().nullish() })

/**
 * Walks the whole way of an echo against a running server, as the document's test suite lists it: health, validation,
 * both endpoints for links, the upload, creation, retrieval, deletion with the file. What it made it removes.
 */
export async function checkIntegration({ url, token, onResult }: CheckOptions): Promise<Report> {
  const base = url.replace(/\/+$/, '')
  const results: Result[] = []
  const began = performance.now()
  const owner = token.split('.').length === 3 ? {} : { user_id: 'integration-test' }

  const call = (path: string, body?: unknown, method = body === undefined ? 'GET' : 'POST') =>
    fetch(`${base}${path}`, {
      method,
      signal: AbortSignal.timeout(patience),
      headers: {
        Authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })

  /** Runs one test; what it throws is why it failed. Answers what it found, or undefined. */
  const test = async <T>(name: string, work: () => Promise<{ details: string; found?: T }>): Promise<T | undefined> => {
    const done = (success: boolean, details: string) => {
      const result = { test: name, success, details, timestamp: new Date().toISOString() }
      results.push(result)
      onResult?.(result)
    }
    try {
      const { details, found } = await work()
      done(true, details)
      return found
    } catch (error) {
      done(false, reasonOf(error))
      return undefined
    }
  }

  await test('API Health Check', async () => {
    await expectStatus(await call('/echoes/health'), 200)
    return { details: 'The API and its bucket answer' }
  })
  for (const [name, body] of [
    ['Invalid file extension', { file_extension: 'txt', content_type: 'text/plain' }],
    ['Mismatched content type', { file_extension: 'webm', content_type: 'audio/mp3' }],
    ['Missing file extension', { content_type: 'audio/webm' }],
  ] as const) {
    await test(`Validation: ${name}`, async () => {
      await expectStatus(await call('/echoes/upload-url', { ...body, ...owner }), 400)
      return { details: 'Refused with 400' }
    })
  }

  const ask = async (path: string) => {
    const response = await call(path, { file_extension: 'wav', content_type: 'audio/wav', ...owner })
    await expectStatus(response, 201)
    return uploadUrl.parse(await response.json())
  }
  const legacy = await test('Presigned URL Generation (/init-upload)', async () => {
    const found = await ask('/echoes/init-upload')
    return { details: `A link for echo ${found.echo_id}`, found }
  })
  const given = await test('Presigned URL Generation (/upload-url)', async () => {
    const found = await ask('/echoes/upload-url')
    return { details: `A link for echo ${found.echo_id}, for ${found.expires_in} seconds`, found }
  })

  if (given !== undefined) {
    const file = silence()
    await test('File Upload to S3', async () => {
      const headers = { 'Content-Type': 'audio/wav' }
      const signal = AbortSignal.timeout(patience)
      await expectStatus(await fetch(given.upload_url, { method: 'PUT', headers, body: file, signal }), 200)
      return { details: `Uploaded ${file.length} bytes for ${given.s3_key}` }
    })
    await test('Echo Creation', async () => {
      const words = { emotion: 'joy', tags: ['test', 'automated'], transcript: 'Silence', file_extension: 'wav' }
      const response = await call(`/echoes?echo_id=${given.echo_id}`, words)
      await expectStatus(response, 201)
      return { details: `Created echo ${echo.parse(await response.json()).echo_id}` }
    })
    const audio = await test('Echo Retrieval', async () => {
      const response = await call(`/echoes/${given.echo_id}`)
      await expectStatus(response, 200)
      const { audio_url } = echo.parse(await response.json())
      const opened = await fetch(audio_url ?? '', { signal: AbortSignal.timeout(patience) })
      await expectStatus(opened, 200)
      const same = file.equals(Buffer.from(await opened.arrayBuffer()))
      if (!same) throw new Error('The file that came back is not the one that was sent.')
      return { details: 'The echo, and by its link the very file', found: audio_url ?? '' }
    })
    await test('Echo Deletion', async () => {
      await expectStatus(await call(`/echoes/${given.echo_id}`, undefined, 'DELETE'), 204)
      await expectStatus(await call(`/echoes/${given.echo_id}`), 404)
      if (audio !== undefined) {
        await expectStatus(await fetch(audio, { signal: AbortSignal.timeout(patience) }), 404)
      }
      return { details: 'Deleted the echo, and its file from the bucket' }
    })
  }
  if (legacy !== undefined) await call(`/echoes/${legacy.echo_id}`, undefined, 'DELETE').catch(() => undefined)

  const passed = results.filter(({ success }) => success).length
  return {
    summary: {
      total_tests: results.length,
      passed,
      failed: results.length - passed,
      success_rate: Math.round((passed / results.length) * 1000) / 10,
      duration_seconds: Math.round((performance.now() - began) / 10) / 100,
    },
    results,
    timestamp: new Date().toISOString(),
  }
}

async function expectStatus(response: Response, status: number): Promise<void> {
  if (response.status === status) return
  const text = await response.text().catch(() => '')
  const { data } = z.looseObject({ detail: z.string(), code: z.string() }).safeParse(parsed(text))
  const said = data === undefined ? text.slice(0, 300) : `${data.detail} [${data.code}]`
  throw new Error(`HTTP ${response.status} where ${status} was expected. ${said}`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** `fetch` says no more than that it failed, and why in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}

/** A tenth of a second of silence: PCM of 8 kHz, 8 bits (Multimedia Programming Interface 1.0, "WAVE"). */
function silence(): Buffer<ArrayBuffer> {
  const samples = 800
  const file = Buffer.alloc(44 + samples, 0x80)
  file.write('RIFF', 0, 'latin1')
  file.writeUInt32LE(36 + samples, 4)
  file.write('WAVEfmt ', 8, 'latin1')
  file.writeUInt32LE(16, 16)
  file.writeUInt16LE(1, 20)
  file.writeUInt16LE(1, 22)
  file.writeUInt32LE(8000, 24)
  file.writeUInt32LE(8000, 28)
  file.writeUInt16LE(1, 32)
  file.writeUInt16LE(8, 34)
  file.write('data', 36, 'latin1')
  file.writeUInt32LE(samples, 40)
  return file
}

async function main(args: readonly string[]): Promise<number> {
  const [url, token, save, ...rest] = args
  const isUrl = url !== undefined && /^https?:$/.test(URL.parse(url)?.protocol ?? '')
  if (!isUrl || token === undefined || (save !== undefined && save !== '--save') || rest.length > 0) {
    process.stderr.write('Usage: scripts/check-integration <url> <token> [--save]\n')
    return 2
  }
  // Whoever reads no further (`| head`) still gets what the exit code and --save say.
  process.stdout.on('error', () => {})
  const print = (line: string) => process.stdout.write(`${line}\n`)
  const onResult = ({ success, test, details }: Result) => print(`[${success ? 'PASS' : 'FAIL'}] ${test}: ${details}`)
  const report = await checkIntegration({ url, token, onResult })
  const { total_tests, passed, failed, success_rate, duration_seconds } = report.summary
  print('')
  print('S3 INTEGRATION TEST REPORT')
  print(`Total Tests: ${total_tests}`)
  print(`Passed: ${passed}`)
  print(`Failed: ${failed}`)
  print(`Success Rate: ${success_rate}%`)
  print(`Duration: ${duration_seconds}s`)
  if (save !== undefined) {
    const file = `s3-test-report-${Math.floor(Date.now() / 1000)}.json`
    await writeFile(file, `${JSON.stringify(report, null, 2)}\n`)
    print(`Detailed report saved to: ${file}`)
  }
  return failed === 0 ? 0 : 1
}

if (process.argv[1] !== undefined && import.meta.filename === realpathSync(process.argv[1])) {
  process.exitCode = await main(process.argv.slice(2))
}
