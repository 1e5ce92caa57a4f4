/**
 * The embedded S3 by clients that no one here wrote, from Debian's packages:
 *
 *   apt-get install awscli s3cmd rclone python3-boto3
 *   npx vitest run --config test/interop/vitest.config.ts test/interop/clients.interop.ts
 *
 * A client that is not installed fails its suite, by name.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedS3, startEmbeddedS3 } from '../../src/embedded-s3/index.ts'

const run = promisify(execFile)
const credentials = { accessKeyId: 'INTEROPKEY', secretAccessKey: 'an/interop+secret' }
/** Above every client's threshold for multipart uploads. */
const large = randomBytes(20 * 1024 ** 2)
const small = Buffer.from('small, with an ä in its name')

let server: EmbeddedS3
let folder: string
/** Where the client under test works: `up/` holds what is to be uploaded. */
let up: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'interop-'))
  up = join(folder, 'up')
  await mkdir(join(up, 'sub folder'), { recursive: true })
  await writeFile(join(up, 'large.bin'), large)
  await writeFile(join(up, 'sub folder', 'smäll.txt'), small)
  // Older than any copy of them: sync compares a file's time with the object's, which has whole seconds.
  const before = new Date(Date.now() - 3_600_000)
  for (const path of ['large.bin', join('sub folder', 'smäll.txt')]) await utimes(join(up, path), before, before)
  const buckets = ['aws', 's3cmd', 'rclone', 'boto3']
  server = await startEmbeddedS3({ dir: join(folder, 's3'), credentials, buckets: buckets.map((name) => `by-${name}`) })
})
afterAll(async () => {
  await server?.close()
  await rm(folder, { recursive: true, force: true })
})

/** Runs a client to its end; what it printed. Throws with what it said when it fails. */
async function client(command: string, ...args: string[]): Promise<string> {
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: folder,
    LC_ALL: 'C.UTF-8',
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    ENDPOINT: server.url,
  }
  try {
    return (await run(command, args, { env, timeout: 120_000, maxBuffer: 2 ** 26 })).stdout
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new Error(`${command} is not installed: apt-get install awscli s3cmd rclone python3-boto3`)
    }
    throw error
  }
}

async function expectSame(down: string): Promise<void> {
  expect((await readFile(join(down, 'large.bin'))).equals(large)).toBe(true)
  expect((await readFile(join(down, 'sub folder', 'smäll.txt'))).equals(small)).toBe(true)
}

describe('awscli', { timeout: 300_000 }, () => {
  const aws = (...args: string[]) => client('aws', '--endpoint-url', server.url, ...args)

  it('syncs up and down, a large file in parts', async () => {
    await aws('s3', 'sync', up, 's3://by-aws/tree')
    expect(await aws('s3', 'sync', up, 's3://by-aws/tree')).toBe('')
    expect(await aws('s3', 'ls', '--recursive', 's3://by-aws')).toContain('tree/sub folder/smäll.txt')
    const down = join(folder, 'aws-down')
    await aws('s3', 'sync', 's3://by-aws/tree', down)
    await expectSame(down)
    const head = await aws('s3api', 'head-object', '--bucket', 'by-aws', '--key', 'tree/large.bin')
    expect(JSON.parse(head).ETag).toMatch(/^"[0-9a-f]{32}-3"$/)
  })

  it('copies, presigns and removes', async () => {
    await aws('s3', 'cp', 's3://by-aws/tree/large.bin', 's3://by-aws/copy.bin')
    const link = (await aws('s3', 'presign', 's3://by-aws/copy.bin', '--expires-in', '60')).trim()
    expect(Buffer.from(await (await fetch(link)).arrayBuffer()).equals(large)).toBe(true)
    await aws('s3', 'rm', '--recursive', 's3://by-aws/')
    expect(await aws('s3', 'ls', '--recursive', 's3://by-aws')).toBe('')
    await aws('s3', 'mb', 's3://made-by-aws')
    await aws('s3', 'rb', 's3://made-by-aws')
  })
})

describe('s3cmd', { timeout: 300_000 }, () => {
  const s3cmd = (...args: string[]) => {
    const host = new URL(server.url).host
    const place = [`--host=${host}`, `--host-bucket=${host}`, '--no-ssl', '--region=us-east-1', '--no-progress']
    const keys = [`--access_key=${credentials.accessKeyId}`, `--secret_key=${credentials.secretAccessKey}`]
    return client('s3cmd', '--config=/dev/null', ...place, ...keys, ...args)
  }

  it('syncs up and down, a large file in parts', async () => {
    await s3cmd('sync', '--multipart-chunk-size-mb=5', `${up}/`, 's3://by-s3cmd/tree/')
    expect(await s3cmd('ls', '--recursive', 's3://by-s3cmd')).toContain('s3://by-s3cmd/tree/sub folder/smäll.txt')
    expect(await s3cmd('info', 's3://by-s3cmd/tree/large.bin')).toContain(String(large.length))
    const down = join(folder, 's3cmd-down')
    await mkdir(down)
    await s3cmd('sync', 's3://by-s3cmd/tree/', `${down}/`)
    await expectSame(down)
  })

  it('copies and removes', async () => {
    await s3cmd('cp', 's3://by-s3cmd/tree/large.bin', 's3://by-s3cmd/copy.bin')
    await s3cmd('del', '--recursive', '--force', 's3://by-s3cmd')
    expect(await s3cmd('ls', '--recursive', 's3://by-s3cmd')).toBe('')
    await s3cmd('mb', 's3://made-by-s3cmd')
    await s3cmd('rb', 's3://made-by-s3cmd')
  })
})

describe('rclone', { timeout: 300_000 }, () => {
  const rclone = (...args: string[]) => {
    const backend = ['--s3-provider=Other', `--s3-endpoint=${server.url}`, '--s3-env-auth', '--s3-region=us-east-1']
    return client('rclone', '--config=/dev/null', ...backend, '--s3-upload-cutoff=5M', '--s3-chunk-size=5M', ...args)
  }

  it('syncs up and down, a large file in parts, and finds them the same', async () => {
    await rclone('sync', up, ':s3:by-rclone/tree')
    await rclone('check', up, ':s3:by-rclone/tree')
    expect(await rclone('lsf', '-R', ':s3:by-rclone')).toContain('tree/sub folder/smäll.txt')
    const down = join(folder, 'rclone-down')
    await rclone('sync', ':s3:by-rclone/tree', down)
    await expectSame(down)
  })

  it('moves, links and removes', async () => {
    await rclone('moveto', ':s3:by-rclone/tree/large.bin', ':s3:by-rclone/moved.bin')
    const link = (await rclone('link', '--expire', '1m', ':s3:by-rclone/moved.bin')).trim()
    expect(Buffer.from(await (await fetch(link)).arrayBuffer()).equals(large)).toBe(true)
    await rclone('delete', ':s3:by-rclone')
    expect(await rclone('lsf', '-R', '--files-only', ':s3:by-rclone')).toBe('')
    await rclone('mkdir', ':s3:made-by-rclone')
    await rclone('rmdir', ':s3:made-by-rclone')
  })
})

describe('boto3', { timeout: 300_000 }, () => {
  it('puts, gets, lists, uploads in parts, presigns, posts and removes', async () => {
    const script = `
import boto3, os, urllib.request
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
up, down = ${JSON.stringify(up)}, ${JSON.stringify(join(folder, 'boto3.bin'))}
s3 = boto3.client('s3', endpoint_url=os.environ['ENDPOINT'], config=Config(signature_version='s3v4'))
B = 'by-boto3'
parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
s3.upload_file(up + '/large.bin', B, 'large.bin', Config=parts, ExtraArgs={'Metadata': {'a': 'b'}})
s3.download_file(B, 'large.bin', down, Config=parts)
assert open(up + '/large.bin', 'rb').read() == open(down, 'rb').read()
head = s3.head_object(Bucket=B, Key='large.bin')
assert head['ETag'].endswith('-4"') and head['Metadata'] == {'a': 'b'}, head
s3.copy({'Bucket': B, 'Key': 'large.bin'}, B, 'copy.bin', Config=parts)
s3.put_object(Bucket=B, Key='k ä', Body=b'body', ChecksumAlgorithm='SHA256')
link = s3.generate_presigned_url('get_object', Params={'Bucket': B, 'Key': 'k ä'}, ExpiresIn=60)
assert urllib.request.urlopen(link).read() == b'body'
form = s3.generate_presigned_post(B, 'posted', Conditions=[['content-length-range', 1, 10]], ExpiresIn=60)
fields = ''.join(f'--b\\r\\nContent-Disposition: form-data; name="{k}"\\r\\n\\r\\n{v}\\r\\n' for k, v in form['fields'].items())
def post(content):
    data = (fields + f'--b\\r\\nContent-Disposition: form-data; name="file"; filename="f"\\r\\n\\r\\n{content}\\r\\n--b--\\r\\n').encode()
    request = urllib.request.Request(form['url'], data, {'Content-Type': 'multipart/form-data; boundary=b'})
    try: return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error: return error.code
assert (post('posted'), post('far too much')) == (204, 400)
pages = s3.get_paginator('list_objects_v2').paginate(Bucket=B, PaginationConfig={'PageSize': 2})
keys = [o['Key'] for page in pages for o in page['Contents']]
assert keys == ['copy.bin', 'k ä', 'large.bin', 'posted'], keys
answer = s3.delete_objects(Bucket=B, Delete={'Objects': [{'Key': k} for k in keys]})
assert len(answer['Deleted']) == 4 and 'Errors' not in answer, answer
s3.delete_bucket(Bucket=B)
print('all well')
`
    expect(await client('/usr/bin/python3', '-c', script)).toBe('all well\n')
  })
})
