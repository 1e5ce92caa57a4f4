/** The doctor as a whole: in the library, over HTTP and on the command line. */
import {
  DeleteBucketCommand,
  DeletePublicAccessBlockCommand,
  PutBucketPolicyCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCli } from '../../test/support/cli.ts'
import { apiKey, startTestServer, type TestServer } from '../../test/support/http.ts'
import { readProblem } from '../../test/support/service.ts'
import { systemClock } from '../clock.ts'
import { createInlineJobs } from '../jobs/index.ts'
import { KeepsakeError } from '../media/index.ts'
import { createMemoryStore, type ObjectStore } from '../stores/index.ts'
import { checks, Doctor, type Finding, groupOf, type Report } from './index.ts'

const secret = 'a-shared-secret-of-at-least-32-bytes!'
const allIds = Object.keys(checks)

let server: TestServer
let s3: S3Client
beforeAll(async () => {
  server = await startTestServer({ auth: { apiKeys: [apiKey], jwt: { keys: { secret }, audience: 'authenticated' } } })
  s3 = s3At(server)
})
afterAll(async () => {
  s3.destroy()
  await server.stop()
})

function s3At({ parts }: TestServer): S3Client {
  const credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'test-secret' }
  return new S3Client({ endpoint: parts.s3.url, region: 'us-east-1', credentials, forcePathStyle: true })
}

const byId = ({ findings }: Pick<Report, 'findings'>, id: string): Finding => {
  const found = findings.find((finding) => finding.id === id)
  if (!found) throw new Error(`There is no finding ${id}.`)
  return found
}

describe('the whole', () => {
  it('finds something to every check, in order, and leaves the bucket as it was', async () => {
    const report = await server.keepsake.doctor()
    expect(report.findings.map(({ id }) => id)).toEqual(allIds)
    expect(report.findings.filter(({ status }) => status === 'unknown')).toEqual([])
    const { pass, fail, not_offered, unknown } = report.counts
    expect(pass + fail + not_offered + unknown).toBe(allIds.length)
    expect(report.findings.filter(({ status }) => status === 'fail').map(({ id }) => id)).toEqual([
      'S3.13',
      'bucket.temporary',
      'probe.expiry',
    ])
    expect(report.ok).toBe(false)
    for await (const { key } of server.parts.bucket.list()) throw new Error(`${key} was left.`)
  })

  it('looks only at what is asked for', async () => {
    const { findings } = await server.keepsake.doctor({ only: ['S3.8', 'catalogue'] })
    expect(findings.map(({ id }) => id)).toEqual(['S3.8', ...allIds.filter((id) => groupOf(id) === 'catalogue')])
    const wrong = server.keepsake.doctor({ only: ['S3.99'] })
    await expect(wrong).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/'S3\.99'.*S3, bucket, probe, catalogue, folder, settings/),
    })
    await expect(server.keepsake.doctor({ only: [] })).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('sees what is broken while it runs, with the fix for this bucket', async () => {
    const Bucket = 'test-bucket'
    await s3.send(new DeletePublicAccessBlockCommand({ Bucket }))
    const Statement = [
      { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/*` },
    ]
    await s3.send(new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }))
    const report = await server.keepsake.doctor({ only: ['S3', 'probe'] })
    for (const id of ['S3.2', 'S3.8', 'probe.anonymous']) expect(byId(report, id).status).toBe('fail')
    expect(byId(report, 'S3.8').fix).toContain('--bucket test-bucket ')
    expect(byId(report, 'S3.3').status).toBe('pass')
  })
})

describe('over HTTP', () => {
  it('is for an API key', async () => {
    const token = await new SignJWT({ sub: 'ada', aud: 'authenticated' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1m')
      .sign(new TextEncoder().encode(secret))
    const refused = await server.call('/v1/doctor', { headers: { authorization: `Bearer ${token}` } })
    expect(await readProblem(refused)).toMatchObject({ status: 403, code: 'forbidden' })
    const stranger = await fetch(`${server.url}/v1/doctor`)
    expect((await readProblem(stranger)).status).toBe(401)
    const answer = await server.call('/v1/doctor?only=catalogue.reachable,S3.8')
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({
      ok: false,
      checkedAt: expect.stringMatching(/^20.*Z$/),
      counts: { pass: 1, fail: 1, not_offered: 0, unknown: 0 },
      findings: [
        {
          id: 'S3.8',
          title: 'The bucket blocks public access',
          severity: 'high',
          status: 'fail',
          seen: 'Nothing is set: all settings are off.',
          why: expect.any(String),
          fix: expect.stringContaining('keepsake bucket apply'),
        },
        expect.objectContaining({ id: 'catalogue.reachable', status: 'pass' }),
      ],
    })
  })

  it('refuses what it does not know', async () => {
    expect((await readProblem(await server.call('/v1/doctor?only=nonsense'))).code).toBe('invalid_request')
    expect((await readProblem(await server.call('/v1/doctor?deep=1'))).code).toBe('invalid_request')
  })
})

describe('on the command line', () => {
  const doctor = (args: readonly string[], more: object = {}) =>
    runCli(['doctor', ...args], { env: { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: apiKey }, ...more })

  it.each([
    [0, 'catalogue'],
    [1, 'S3.8'],
    [5, 'S3.13'],
    [1, 'S3.8,S3.13,catalogue'],
  ])('ends with %i for %s', async (code, only) => {
    expect((await doctor(['--only', only, '--json'])).code).toBe(code)
  })

  it('ends with 2 for what there is not', async () => {
    const { code, stderr } = await doctor(['--only', 'nonsense'])
    expect([code, stderr]).toEqual([5, expect.stringMatching(/There is no check 'nonsense'.*\[invalid_request\]/s)])
  })

  it('shows what fails first, with why and the fix, and the groups after it', async () => {
    const { stdout } = await doctor(['--only', 'S3.13,S3.8,catalogue.reachable'])
    expect(stdout).toMatch(
      /^✗ high {2}The bucket blocks public access {2}S3\.8\n {4}seen {2}Nothing is set.*\n {4}why .*\n {4}fix .*\n\n✗ low {2}The bucket has a lifecycle {2}S3\.13\n/,
    )
    expect(stdout).toMatch(
      /✗ Bucket: controls of AWS Security Hub {2}0 of 2 passed\n✓ Catalogue +1 of 1 passed\n\n2 failed, 1 passed\n$/,
    )
    expect((await doctor(['--only', 'catalogue.reachable', '--all'])).stdout).toMatch(
      /^Catalogue\n {2}✓ The catalogue’s database answers {2}catalogue\.reachable: PGlite.*\n\nnone failed, 1 passed\n$/,
    )
  })

  it('is coloured on a terminal that wants it, and nowhere else', async () => {
    const shown = async (isTTY: boolean, env: object) => {
      let text = ''
      const stdout = { write: (more: string) => (text += more), isTTY }
      await doctor(['--only', 'S3.8'], { stdout, env: { KEEPSAKE_URL: server.url, KEEPSAKE_API_KEY: apiKey, ...env } })
      return text
    }
    expect(await shown(true, {})).toContain('\u001b[31m✗ high\u001b[0m')
    for (const plain of [
      await shown(false, {}),
      await shown(true, { NO_COLOR: '1' }),
      await shown(true, { TERM: 'dumb' }),
    ]) {
      expect(plain).not.toContain('\u001b')
    }
  })

  it('tells one reason for many once', async () => {
    const other = await startTestServer()
    try {
      await s3At(other).send(new DeleteBucketCommand({ Bucket: 'test-bucket' }))
      const env = { KEEPSAKE_URL: other.url, KEEPSAKE_API_KEY: apiKey }
      const { code, stdout } = await doctor(['--only', 'S3,probe'], { env })
      expect(code).toBe(1)
      expect(stdout.match(/There is no bucket 'test-bucket'\.$/gm)).toHaveLength(1)
      expect(stdout).toMatch(/^\? unknown {2}14 checks {2}S3\.2, S3\.3, .*S3\.17\n {4}seen {2}There is no bucket/m)
      expect(stdout).toMatch(/^ {4}fix {3}keepsake bucket apply makes the bucket/m)
    } finally {
      await other.stop()
    }
  })

  it('tells its exit codes', async () => {
    expect((await doctor(['--help'])).stdout).toMatch(
      /Exit codes:\n {2}0 .*\n {2}1 .*critical or high.*\n {2}5 .*\n {2}6 /,
    )
  })
})

describe('a doctor that is kept from its work', () => {
  const parts = {
    clock: systemClock,
    logger: { warn: () => {} },
    jobs: createInlineJobs(),
    catalogue: null,
    place: null,
    installation: null,
  }
  /** Waits in its first put until it is aborted. */
  function stuck(store: ObjectStore, reached: () => void): ObjectStore {
    return {
      ...store,
      name: store.name,
      head: (...args) => store.head(...args),
      delete: (...args) => store.delete(...args),
      list: (...args) => store.list(...args),
      listMultipart: (...args) => store.listMultipart(...args),
      signGet: () => ({ url: 'http://127.0.0.1:1/key?signed', expiresAt: new Date() }),
      signPut: () => ({ url: 'http://127.0.0.1:1/key?signed', expiresAt: new Date(), method: 'PUT', headers: {} }),
      async put(request) {
        await store.put({ ...request, key: request.key })
        reached()
        await new Promise((_, reject) => {
          const { signal } = request
          signal?.addEventListener('abort', () => reject(new KeepsakeError('timeout', 'aborted')))
        })
        return { etag: '' }
      },
    }
  }

  it('is stopped by close, and the bucket is as it was by then', async () => {
    const store = createMemoryStore()
    const { promise: reached, resolve } = Promise.withResolvers<void>()
    const doctor = new Doctor({ ...parts, store: stuck(store, resolve) })
    const running = doctor.run({ only: ['probe'] })
    await reached
    await doctor.close()
    const { findings } = await running
    expect(findings.filter(({ status }) => status === 'pass')).toEqual([])
    for await (const { key } of store.list()) throw new Error(`${key} was left.`)
    await expect(doctor.run()).rejects.toMatchObject({ code: 'stopping' })
  })

  it('gives up at its deadline', async () => {
    const store = createMemoryStore()
    const doctor = new Doctor({ ...parts, store: stuck(store, () => {}), deadlineMillis: 200 })
    const { findings, ok } = await doctor.run({ only: ['probe.put', 'probe.list'] })
    expect(findings.map(({ status }) => status)).toEqual(['unknown', 'unknown'])
    expect(ok).toBe(false)
    for await (const { key } of store.list()) throw new Error(`${key} was left.`)
  })

  it('says once what is wrong with the keys, and not that each setting is denied', async () => {
    const endpoint = server.parts.s3.url
    const credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'wrong' }
    const place = { bucket: 'test-bucket', region: 'us-east-1', endpoint, forcePathStyle: true, dualStack: false }
    const doctor = new Doctor({
      ...parts,
      store: createMemoryStore(),
      place: { ...place, credentials: () => credentials },
    })
    const { findings } = await doctor.run({ only: ['S3', 'bucket'] })
    const seen = new Set(findings.filter(({ status }) => status !== 'not_offered').map((finding) => finding.seen))
    expect(seen).toEqual(new Set([expect.stringMatching(/refuses the signature\. Look at AWS_SECRET_ACCESS_KEY/)]))
    expect(findings.some(({ status }) => status === 'pass' || status === 'fail')).toBe(false)
  })

  it('says that it does not know what it cannot look at', async () => {
    const doctor = new Doctor({ ...parts, store: createMemoryStore() })
    const { findings } = await doctor.run({ only: ['S3', 'bucket', 'catalogue', 'probe.identity'] })
    expect(new Set(findings.map(({ status }) => status))).toEqual(new Set(['unknown']))
  })
})
