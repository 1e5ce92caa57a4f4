import { spawn, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { runCli } from '../../test/support/cli.ts'
import { type Bench, credentials, startBench } from '../bucket/testing/index.ts'
import type { Io } from './index.ts'

const main = new URL('main.ts', import.meta.url).pathname
const stepsSchema = z.object({ steps: z.array(z.object({ step: z.string(), outcome: z.string() })) })

let bench: Bench
let folder: string
beforeAll(async () => {
  bench = await startBench()
  folder = await mkdtemp(join(tmpdir(), 'keepsake-bucket-cli-'))
})
afterAll(async () => {
  await bench.stop()
  await rm(folder, { recursive: true, force: true })
})

let bucket = ''
let count = 0
beforeEach(() => {
  count += 1
  bucket = `media-${count}`
})

/** A bucket of its own for each test, on a store that is named as any other would be. */
const environment = () => ({
  S3_BUCKET_NAME: bucket,
  S3_ENDPOINT: bench.server.url,
  AWS_ACCESS_KEY_ID: credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  KEEPSAKE_BUCKET_ENV: 'dev',
  KEEPSAKE_DATA_DIR: join(folder, 'data'),
})
const keepsake = (args: readonly string[], env: Record<string, string> = {}, io: Partial<Io> = {}) =>
  runCli(['bucket', ...args], { env: { ...environment(), ...env }, ...io })

describe('keepsake bucket', () => {
  it('plans with 2, applies, and plans with 0', async () => {
    const origin = ['--origin', 'http://localhost:3000']
    const planned = await keepsake(['plan', ...origin])
    expect(planned).toMatchObject({ code: 2, stderr: '' })
    expect(planned.stdout).toContain(`Bucket ${bucket} in us-east-1`)
    expect(planned.stdout).toContain('+ bucket: will be made')
    expect(planned.stdout).toContain('  +     "origins": ["http://localhost:3000"],')
    expect(planned.stdout).toContain('= versioning: not asked for')
    expect(planned.stdout).toMatch(/ Next: keepsake bucket apply, with the same options\n$/)
    const applied = await keepsake(['apply', ...origin, '--yes'])
    expect(applied).toMatchObject({ code: 0, stderr: '' })
    expect(applied.stdout).toContain(`done ${bucket} cors\n`)
    const again = await keepsake(['plan', ...origin])
    expect(again.code).toBe(0)
    expect(again.stdout).toMatch(/Nothing to change\.\n$/)
    const changed = await keepsake(['plan', '--origin', 'http://localhost:5173'])
    expect(changed.code).toBe(2)
    expect(changed.stdout).toContain(
      '  -     "origins": ["http://localhost:3000"],\n  +     "origins": ["http://localhost:5173"],',
    )
  })

  it('tells what the store does not offer, and goes on', async () => {
    const { code, stdout } = await keepsake([
      'apply',
      '--env',
      'prod',
      '--logging',
      '--replica-region',
      'eu-west-1',
      '--yes',
    ])
    expect(code).toBe(0)
    for (const part of ['versioning', 'logging', 'replication']) expect(stdout).toContain(`- ${part}: not offered: `)
    expect(stdout).toContain('KeepsakeDenyPlainHttp is not offered: the endpoint speaks plain http')
  })

  it('speaks JSON', async () => {
    const plan = await keepsake(['plan', '--json'])
    expect(plan.json()).toMatchObject({ bucket, changes: true, buckets: [{ create: true, parts: expect.any(Array) }] })
    const applied = await keepsake(['apply', '--json', '--yes'])
    const { steps } = stepsSchema.parse(applied.json())
    expect(steps[0]).toEqual({ step: 'create', outcome: 'done' })
    const failed = await keepsake(['plan', '--json', '--origin', 'nonsense'])
    expect(JSON.parse(failed.stderr)).toMatchObject({
      code: 'invalid_setting',
      detail: expect.stringContaining("'nonsense'"),
    })
  })

  it('is coloured on a terminal only, and not where NO_COLOR is set', async () => {
    const output = async (env: Record<string, string>, isTTY: boolean) => {
      let text = ''
      await keepsake(['plan'], env, { stdout: { isTTY, write: (more) => (text += more) } })
      return text
    }
    const colour = '\u001b['
    expect(await output({}, true)).toContain(`${colour}32m  + `)
    expect(await output({ NO_COLOR: '1' }, true)).not.toContain(colour)
    expect(await output({ TERM: 'dumb' }, true)).not.toContain(colour)
    expect(await output({}, false)).not.toContain(colour)
  })

  it('applies nothing that nobody confirmed', async () => {
    const { code, stderr } = await keepsake(
      ['apply'],
      {},
      { stdin: Object.assign((async function* () {})(), { isTTY: false }) },
    )
    expect(code).toBe(2)
    expect(stderr).toContain('Look at the plan, and add --yes.')
    expect((await keepsake(['plan', '--json'])).json()).toMatchObject({ buckets: [{ create: true }] })
  })

  it('applies a saved plan as it was, and not on a bucket that changed since', async () => {
    const file = join(folder, `${bucket}.json`)
    expect((await keepsake(['plan', '--origin', 'http://localhost:3000', '--out', file])).code).toBe(2)
    expect(await readFile(file, 'utf8')).not.toContain(credentials.secretAccessKey)
    // Other settings than the saved ones make no difference.
    const env = { KEEPSAKE_BUCKET_ORIGINS: '*', S3_BUCKET_NAME: 'another' }
    expect((await keepsake(['apply', file, '--yes'], env)).code).toBe(0)
    expect((await keepsake(['plan', '--origin', 'http://localhost:3000'])).code).toBe(0)
    const late = await keepsake(['apply', file, '--yes'])
    expect(late.code).toBe(5)
    expect(late.stderr).toContain('is not as it was when the plan was saved')
  })

  it('refuses a plan that is none, or for another store', async () => {
    const file = join(folder, 'none.json')
    expect((await keepsake(['apply', file])).code).toBe(2)
    await writeFile(file, '{}')
    expect((await keepsake(['apply', file])).stderr).toContain('is no plan of this Keepsake')
    await keepsake(['plan', '--out', file])
    const changed = await keepsake(['apply', file, '--yes', '--origin', 'http://localhost:3000', '--adopt'])
    expect(changed).toMatchObject({ code: 2, stderr: expect.stringContaining('--origin, --adopt cannot change it') })
    const elsewhere = await keepsake(['apply', file, '--yes'], { S3_ENDPOINT: 'http://127.0.0.1:1' })
    expect(elsewhere.stderr).toContain('The plan was made for')
  })

  it('never ends with 0 where others keep the bucket from being as asked', async () => {
    const { s3, sdk } = bench.client
    await keepsake(['apply', '--yes'])
    await s3.send(new sdk.DeletePublicAccessBlockCommand({ Bucket: bucket }))
    const Statement = {
      Sid: 'PublicReadGetObject',
      Effect: 'Allow',
      Principal: '*',
      Action: 's3:GetObject',
      Resource: `arn:aws:s3:::${bucket}/*`,
    }
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    await s3.send(new sdk.PutBucketPolicyCommand({ Bucket: bucket, Policy }))
    const deny = '--deny-other-encryption'
    const applied = await keepsake(['apply', '--yes', deny])
    expect(applied.code).toBe(5)
    expect(applied.stdout).toMatch(/Done: 1 of 1 steps, each read back\. Not as asked, as told above: policy\.\n$/)
    const planned = await keepsake(['plan', deny])
    expect(planned.code).toBe(2)
    expect(planned.stdout).toContain('! policy: not as asked: what others set stays as it is\n')
    expect(planned.stdout).toMatch(/Nothing that an apply would change\. Not as asked, as told above: policy\.\n$/)
    expect((await keepsake(['plan', deny, '--json'])).json()).toMatchObject({
      changes: false,
      unmet: [{ bucket, part: 'policy', why: expect.stringContaining('--adopt') }],
    })
    expect((await keepsake(['apply', '--yes', deny, '--adopt'])).code).toBe(0)
    expect((await keepsake(['plan', deny])).code).toBe(0)
  })

  it('does not take what is left of its own for a difference', async () => {
    await keepsake(['apply', '--origin', 'http://localhost:3000', '--yes'])
    const { code, stdout } = await keepsake(['plan'])
    expect(code).toBe(0)
    expect(stdout).toContain('! cors: ours is left, though asked for no more\n')
    expect(stdout).toContain(`aws s3api delete-bucket-cors --bucket ${bucket}`)
  })

  it('ends with 4 where a setting may not be read', async () => {
    await keepsake(['apply', '--yes'])
    const { s3, sdk } = bench.client
    const Statement = { Effect: 'Deny', Principal: '*', Action: 's3:GetBucketCORS', Resource: `arn:aws:s3:::${bucket}` }
    await s3.send(
      new sdk.PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }),
    )
    const { code, stdout } = await keepsake(['plan'])
    expect(code).toBe(4)
    expect(stdout).toContain('? cors: unknown: s3:GetBucketCORS: AccessDenied')
  })

  it.each([
    [4, { AWS_SECRET_ACCESS_KEY: 'wrong' }, 'refuses the signature. Look at AWS_SECRET_ACCESS_KEY'],
    [4, { AWS_ACCESS_KEY_ID: 'AKIANOBODY' }, 'does not know the access key. Look at AWS_ACCESS_KEY_ID'],
    [4, { AWS_REGION: 'eu-west-3' }, 'is in the region us-east-1, not in eu-west-3. Set AWS_REGION=us-east-1.'],
    [6, { S3_ENDPOINT: 'http://127.0.0.1:1' }, 'refuses connections (ECONNREFUSED). Is it running?'],
  ])('ends with %i and says what is wrong: %j', async (exit, env, words) => {
    for (const exists of [false, true]) {
      if (exists) await keepsake(['apply', '--yes'])
      const { code, stderr } = await keepsake(['plan'], env)
      expect(stderr).toContain(words)
      expect(code).toBe(exit)
    }
  })

  it.each([
    [['plan', '--retention', '=5'], 'everything in the bucket would expire'],
    [['plan', '--retention', '/exports/=5'], "write 'exports/'"],
    [['plan', '--retention', 'ai-generated/=5'], "the collection 'generations' keeps its media"],
    [['plan', '--env', 'prod', '--origin', '*'], 'every page in the world'],
    [['plan', '--env', 'prod', '--origin', 'http://a.example'], 'must come over https'],
    [['plan', '--retention', 'exports'], '<prefix>=<days>'],
    [['plan', '--temp-days', '0'], '--temp-days'],
    [['plan', '--env', 'test'], 'Allowed: dev, prod'],
    [['plan', '--kms-key', 'alias/mine'], 'the whole ARN of a key'],
    [['plan', '--app', 'other-app', '--account', '123456789012'], 'Set one of them, or make them agree'],
    [['export', 'pulumi'], 'Allowed: iam, cloudformation'],
    [['export', 'iam', '--role', 'admin'], 'Allowed: app, janitor, doctor, provisioner'],
  ])('%j is refused with advice', async (args, words) => {
    const { code, stderr } = await keepsake(args)
    expect(code).not.toBe(0)
    expect(stderr).toContain(words)
  })

  it('names the bucket after app, environment and account', async () => {
    const { stdout, code } = await keepsake(
      ['export', 'iam', '--role', 'app', '--app', 'echoes-audio', '--account', '123456789012'],
      {
        S3_BUCKET_NAME: '',
        S3_ENDPOINT: '',
      },
    )
    expect(code).toBe(0)
    expect(stdout).toContain('arn:aws:s3:::echoes-audio-dev-123456789012/*')
  })

  it('understands the environments of the five documents', async () => {
    const iam = async (env: Record<string, string>) =>
      (await keepsake(['export', 'iam', '--role', 'app'], { S3_BUCKET_NAME: '', S3_ENDPOINT: '', ...env })).stdout
    expect(await iam({ S3_BUCKET_NAME: 'burnie-content-storage' })).toContain(':::burnie-content-storage/*')
    expect(await iam({ AWS_S3_BUCKET_NAME: 'nolmt-ai-generations' })).toContain(':::nolmt-ai-generations/*')
    expect(await iam({ S3_BUCKET: 'product-photos-ai' })).toContain(':::product-photos-ai/*')
    expect(await iam({ AWS_BUCKET_NAME: 'videovote-uploads' })).toContain(':::videovote-uploads/*')
  })

  it('exports to a file and to standard output', async () => {
    const file = join(folder, 'bucket.tf')
    expect(await keepsake(['export', 'terraform', '--out', file])).toMatchObject({ code: 0, stdout: '' })
    expect(await readFile(file, 'utf8')).toContain(`bucket = "${bucket}"`)
    expect((await keepsake(['export', 'cloudformation'])).json()).toHaveProperty('Resources.MediaBucket')
    expect((await keepsake(['export', 'aws-cli', '--json'])).json()).toMatchObject({
      format: 'aws-cli',
      text: expect.stringContaining('create-bucket'),
    })
  })
})

describe('with the embedded S3', () => {
  const embedded = () => ({ KEEPSAKE_DATA_DIR: join(folder, bucket) })
  const run = (args: readonly string[]) => runCli(['bucket', ...args], { env: embedded() })
  const origin = ['--origin', 'http://localhost:3000']

  it('exports commands that never go to AWS, and says that the other forms would', async () => {
    const script = (await run(['export', 'aws-cli'])).stdout
    // A CLI that tells what it was called with.
    const bin = join(folder, 'bin')
    await mkdir(bin, { recursive: true })
    await writeFile(join(bin, 'aws'), '#!/bin/sh\necho "$@"\n', { mode: 0o755 })
    const shell = (env: Record<string, string>) =>
      spawnSync('/bin/sh', { input: script, env: { PATH: `${bin}:/bin:/usr/bin`, ...env }, encoding: 'utf8' })
    const nowhere = shell({})
    expect(nowhere.status).not.toBe(0)
    expect(nowhere.stdout).toBe('')
    expect(nowhere.stderr).toContain('AWS_ENDPOINT_URL: is to be the address of the embedded S3')
    const here = shell({ AWS_ENDPOINT_URL: 'http://127.0.0.1:9000' })
    expect(here.status).toBe(0)
    expect(here.stdout).toMatch(/^(--endpoint-url http:\/\/127\.0\.0\.1:9000 s3api .*\n)+$/)
    const template = await run(['export', 'cloudformation'])
    expect(template).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('Give --app, --bucket or S3_BUCKET_NAME'),
    })
    expect((await run(['export', 'iam', '--app', 'x', '--account', '123456789012'])).stderr).toBe('')
  })

  it('sets it up where nobody serves it', async () => {
    expect((await run(['plan', ...origin])).code).toBe(2)
    expect((await run(['apply', ...origin, '--yes'])).code).toBe(0)
    expect((await run(['plan', ...origin])).code).toBe(0)
  })
})

describe('the AWS SDK', () => {
  /** Runs the command with a hook that tells which packages were looked up. */
  async function packagesOf(
    args: readonly string[],
    dir: string,
    whenServing: () => Promise<void> = async () => {},
  ): Promise<string[]> {
    const hook = `
      import { registerHooks } from 'node:module'
      const seen = new Set()
      registerHooks({ resolve(specifier, context, next) {
        const found = next(specifier, context)
        const name = /node_modules\\/((?:@[^/]+\\/)?[^/]+)\\/(?!.*node_modules)/.exec(found.url)?.[1]
        if (name) seen.add(name)
        return found
      } })
      process.on('exit', () => process.stderr.write('packages ' + [...seen].join(' ') + '\\n'))`
    const preload = `data:text/javascript,${encodeURIComponent(hook)}`
    const env = { PATH: process.env.PATH ?? '', KEEPSAKE_DATA_DIR: dir, PORT: '0' }
    const child = spawn(process.execPath, ['--import', preload, main, ...args], { env })
    let [stdout, stderr] = ['', '']
    child.stderr.on('data', (text) => (stderr += text))
    const serving = new Promise<boolean>((resolve) => {
      child.stdout.on('data', (text) => {
        stdout += text
        if (stdout.includes('http://')) resolve(true)
      })
      child.once('exit', () => resolve(false))
    })
    const ended = new Promise((resolve) => child.once('close', resolve))
    try {
      if (await serving) await whenServing()
    } finally {
      child.kill('SIGTERM')
      await ended
    }
    return /^packages (.*)$/m.exec(stderr)?.[1]?.split(' ') ?? []
  }
  const ofAws = (names: readonly string[]) => names.filter((name) => /^@(aws-sdk|smithy)\//.test(name))

  it('costs help nothing', async () => {
    const packages = await packagesOf(['--help'], folder)
    expect(packages).toContain('commander')
    expect(ofAws(packages)).toEqual([])
  })

  it('costs a server nothing, though the command sets up the bucket that the server holds', async () => {
    const dir = join(folder, 'held')
    const run = (verb: string) =>
      runCli(['bucket', verb, '--origin', 'http://localhost:3000', ...(verb === 'apply' ? ['--yes'] : [])], {
        env: { KEEPSAKE_DATA_DIR: dir },
      })
    const codes: number[] = []
    const packages = await packagesOf(['serve'], dir, async () => {
      for (const verb of ['plan', 'apply', 'plan']) codes.push((await run(verb)).code)
    })
    expect(codes).toEqual([2, 0, 0])
    expect(packages).toContain('hono')
    expect(ofAws(packages)).toEqual([])
  })

  it('is loaded by a plan', async () => {
    expect(ofAws(await packagesOf(['bucket', 'plan'], join(folder, 'plan')))).toContain('@aws-sdk/client-s3')
  })
})
