import { createHmac } from 'node:crypto'
import {
  DeleteBucketPolicyCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutBucketPolicyCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EmbeddedS3 } from './index.ts'
import { SigningKeys } from './sigv4.ts'
import { Bench, BUCKET, credentials, failure, sdk, send, timestampOf } from './testing/test-kit.ts'

const bench = new Bench()
let server: EmbeddedS3
let s3: S3Client

beforeAll(async () => {
  server = await bench.start()
  s3 = sdk(server)
})
afterAll(() => bench.stop())

/** The name of the file stands for its place in the key. */
const FILENAME_KEY = ['form/$', 'filename}'].join('{')

type Form = {
  readonly fields?: Readonly<Record<string, string>>
  readonly conditions?: readonly unknown[]
  readonly expires?: number
  readonly secret?: string
  readonly file?: string | Buffer
  readonly filename?: string
  /** Changes the fields after they have been signed. */
  readonly tamper?: Readonly<Record<string, string>>
}

/** A form as a browser sends it, with a policy signed by hand. */
function post(form: Form) {
  const timestamp = timestampOf(Date.now())
  const date = timestamp.slice(0, 8)
  const scope = { date, region: server.region, service: 's3' }
  const signing = {
    'x-amz-algorithm': 'AWS4-HMAC-SHA256',
    'x-amz-credential': `${credentials.accessKeyId}/${date}/${server.region}/s3/aws4_request`,
    'x-amz-date': timestamp,
  }
  const fields = { key: FILENAME_KEY, ...form.fields }
  const conditions = form.conditions ?? [{ bucket: BUCKET }, ['starts-with', '$key', 'form/']]
  const document = {
    expiration: new Date(form.expires ?? Date.now() + 60_000).toISOString(),
    conditions: [...conditions, ...Object.entries(signing).map(([name, value]) => ({ [name]: value }))],
  }
  const policy = Buffer.from(JSON.stringify(document)).toString('base64')
  const key = new SigningKeys(form.secret ?? credentials.secretAccessKey).get(scope)
  const signature = createHmac('sha256', key).update(policy).digest('hex')
  const all = { ...fields, ...signing, policy, 'x-amz-signature': signature, ...form.tamper }
  return submit(all, form.file ?? 'content', form.filename ?? 'a.txt')
}

function submit(fields: Readonly<Record<string, string>>, file: string | Buffer, filename: string) {
  const parts = Object.entries(fields).map(
    ([name, value]) => `--xyz\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  const head = `--xyz\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\nContent-Type: text/html\r\n\r\n`
  const body = Buffer.concat([Buffer.from(parts.join('') + head), Buffer.from(file), Buffer.from('\r\n--xyz--\r\n')])
  const headers = { 'content-type': 'multipart/form-data; boundary=xyz', 'content-length': String(body.length) }
  return send(server, { method: 'POST', path: `/${BUCKET}`, headers, body })
}

const tagging = (value: string) =>
  `<Tagging><TagSet><Tag><Key>kind</Key><Value>${value}</Value></Tag></TagSet></Tagging>`

/** Conditions that allow every key, and types that begin so. */
const anyType = (prefix: string) => [
  { bucket: BUCKET },
  ['starts-with', '$key', ''],
  ['starts-with', '$Content-Type', prefix],
]

const head = (Key: string) => s3.send(new HeadObjectCommand({ Bucket: BUCKET, Key }))

describe('uploads by form', () => {
  test('a form that keeps to its policy is an object', async () => {
    const conditions = [
      { bucket: BUCKET },
      ['starts-with', '$key', 'form/'],
      ['eq', '$Content-Type', 'image/png'],
      { 'x-amz-meta-from': 'ünï' },
      ['content-length-range', 1, 2_000_000],
    ]
    // Bytes that look like the end of the form, but are not quite.
    const file = Buffer.concat([
      Buffer.from('\r\n--xy\r\n--xyY'),
      Buffer.alloc(1_000_000, '\r\n--x'),
      Buffer.from('\r\n'),
    ])
    const fields = { 'Content-Type': 'image/png', 'x-amz-meta-from': 'ünï' }
    const { status, headers } = await post({ conditions, fields, file, filename: 'ä b.png' })
    expect(status).toBe(204)
    const Key = 'form/ä b.png'
    expect(await head(Key)).toMatchObject({
      ETag: headers.etag,
      ContentType: 'image/png',
      ContentLength: file.length,
    })
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key }))
    expect(file.equals((await Body?.transformToByteArray()) ?? Buffer.of())).toBe(true)
  })

  test('the answer that was asked for', async () => {
    const conditions = [
      { bucket: BUCKET },
      ['starts-with', '$key', ''],
      ['starts-with', '$success_action_status', ''],
      ['starts-with', '$success_action_redirect', ''],
    ]
    const created = await post({ conditions, fields: { success_action_status: '201' } })
    expect([created.status, created.body.toString()]).toEqual([201, expect.stringContaining('<Key>form/a.txt</Key>')])
    expect((await post({ conditions, fields: { success_action_status: '200' } })).status).toBe(200)
    const redirected = await post({ conditions, fields: { success_action_redirect: 'https://a.test/done?x=1' } })
    expect(redirected.status).toBe(303)
    expect(redirected.headers.location).toContain(`https://a.test/done?x=1&bucket=${BUCKET}&key=form%2Fa.txt&etag=`)
  })

  test.each<[string, Form, string]>([
    [
      'a file too large',
      { conditions: [['content-length-range', 0, 3], ['starts-with', '$key', ''], { bucket: BUCKET }] },
      '400 EntityTooLarge',
    ],
    [
      'a file too small',
      { conditions: [['content-length-range', 9, 99], ['starts-with', '$key', ''], { bucket: BUCKET }] },
      '400 EntityTooSmall',
    ],
    ['another key', { fields: { key: 'else/x' } }, '403 AccessDenied'],
    ['a field that no condition allows', { fields: { 'x-amz-meta-a': 'b' } }, '403 AccessDenied'],
    [
      'a condition without its field',
      { conditions: [{ bucket: BUCKET }, ['starts-with', '$key', ''], { 'x-amz-meta-a': 'b' }] },
      '403 AccessDenied',
    ],
    ['another bucket’s policy', { conditions: [{ bucket: 'other' }, ['starts-with', '$key', '']] }, '403 AccessDenied'],
    ['a policy that has ended', { expires: Date.now() - 1000 }, '403 AccessDenied'],
    ['a wrong secret', { secret: 'wrong' }, '403 SignatureDoesNotMatch'],
    ['a policy changed after it was signed', { tamper: { policy: 'e30=' } }, '403 SignatureDoesNotMatch'],
    [
      'an unknown key pair',
      { tamper: { 'x-amz-credential': 'OTHER/20260101/us-east-1/s3/aws4_request' } },
      '403 AccessDenied',
    ],
    ['no signature', { tamper: { 'x-amz-signature': '' } }, '400 InvalidArgument'],
    ['no key', { fields: { key: '' } }, '400 InvalidArgument'],
    [
      'a line break in a header to be',
      { fields: { 'Content-Type': 'text/plain\r\nx-more: 1' }, conditions: anyType('') },
      '400 InvalidArgument',
    ],
    [
      'a list of types of which one is not allowed',
      { fields: { 'Content-Type': 'image/png, text/html' }, conditions: anyType('image/') },
      '403 AccessDenied',
    ],
    ['a condition of no form', { conditions: [['between', '$key', 'x']] }, '400 InvalidPolicyDocument'],
    [
      'what is not done',
      {
        fields: { 'x-amz-website-redirect-location': '/x' },
        conditions: [
          { bucket: BUCKET },
          ['starts-with', '$key', ''],
          ['starts-with', '$x-amz-website-redirect-location', ''],
        ],
      },
      '501 NotImplemented',
    ],
    [
      'a wrong checksum',
      {
        fields: { 'x-amz-checksum-crc32': 'AAAAAA==' },
        conditions: [{ bucket: BUCKET }, ['starts-with', '$key', ''], ['starts-with', '$x-amz-checksum-crc32', '']],
      },
      '400 BadDigest',
    ],
  ])('%s is refused, and nothing is stored', async (_, form, outcome) => {
    const { status, code } = await post({ filename: 'refused', ...form })
    expect(`${status} ${code}`).toBe(outcome)
    expect(await failure(head('form/refused'))).toBe('404 NotFound')
  })

  test.each<[object, Record<string, string>, number]>([
    [{ StringNotEquals: { 's3:x-amz-server-side-encryption': 'AES256' } }, {}, 403],
    [
      { StringNotEquals: { 's3:x-amz-server-side-encryption': 'AES256' } },
      { 'x-amz-server-side-encryption': 'AES256' },
      204,
    ],
    [{ StringEquals: { 's3:authType': 'POST' } }, {}, 403],
    [{ StringEquals: { 's3:RequestObjectTag/kind': 'secret' } }, { tagging: tagging('open') }, 204],
    [{ StringEquals: { 's3:RequestObjectTag/kind': 'secret' } }, { tagging: tagging('secret') }, 403],
    [{ StringEquals: { 'aws:UserAgent': 'me' } }, { 'user-agent': 'me' }, 204],
  ])('a bucket’s deny on %j looks at the fields %j', async (Condition, fields, status) => {
    const Statement = {
      ...{ Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: `arn:aws:s3:::${BUCKET}/form/*` },
      Condition,
    }
    await s3.send(new PutBucketPolicyCommand({ Bucket: BUCKET, Policy: JSON.stringify({ Statement }) }))
    try {
      const any = Object.keys(fields).map((name) => ['starts-with', `$${name}`, ''])
      const conditions = [{ bucket: BUCKET }, ['starts-with', '$key', ''], ...any]
      expect((await post({ fields, conditions })).status).toBe(status)
    } finally {
      await s3.send(new DeleteBucketPolicyCommand({ Bucket: BUCKET }))
    }
  })

  test('without a policy nobody may, and what is no form is said to be none', async () => {
    expect(await submit({ key: 'x' }, 'x', 'x')).toMatchObject({ status: 403, code: 'AccessDenied' })
    const broken = (headers: Record<string, string>, body: string) =>
      send(server, {
        method: 'POST',
        path: `/${BUCKET}`,
        headers: { 'content-length': `${body.length}`, ...headers },
        body,
      })
    expect((await broken({}, 'x')).code).toBe('MalformedPOSTRequest')
    const form = { 'content-type': 'multipart/form-data; boundary=b' }
    expect((await broken(form, '--b--\r\n')).code).toBe('InvalidArgument')
    expect((await broken(form, 'x'.repeat(30_000))).code).toBe('MaxPostPreDataLengthExceededError')
  })

  test('the old signature is refused unless it is switched on', async () => {
    const policy = Buffer.from(
      JSON.stringify({ expiration: '2099-01-01T00:00:00Z', conditions: [{ bucket: BUCKET }, { key: 'old' }] }),
    ).toString('base64')
    const signature = createHmac('sha1', credentials.secretAccessKey).update(policy).digest('base64')
    const fields = { key: 'old', AWSAccessKeyId: credentials.accessKeyId, policy, signature }
    expect(await submit(fields, 'x', 'x')).toMatchObject({ status: 400, code: 'InvalidRequest' })
  })
})
