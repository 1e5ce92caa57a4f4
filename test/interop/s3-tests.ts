/**
 * Ceph's s3-tests against the embedded S3: what passes is kept in s3-tests-passing.txt, and that list only grows.
 *
 *   git clone https://github.com/ceph/s3-tests /tmp/s3-tests
 *   apt-get install python3-boto3 python3-pytest python3-munch python3-isodate python3-tz python3-yaml python3-httplib2
 *   npm run test:s3-tests -- /tmp/s3-tests            what passed must pass; says what else does
 *   npm run test:s3-tests -- /tmp/s3-tests --update   puts what else passes on the list
 *
 * Ends with 1 when a test on the list fails. The tests are not ours and not in this repository. Left out are those of
 * what is not done: versioning, object lock, SSE-C and KMS, ACLs, accounts and tenants, logging, transitions; and those
 * that wait for minutes until a lifecycle "day" has passed.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startEmbeddedS3 } from '../../src/embedded-s3/index.ts'

const LIST = join(import.meta.dirname, 's3-tests-passing.txt')
const FILES = ['s3tests/functional/test_s3.py', 's3tests/functional/test_headers.py']
const MARKERS =
  `versioning object_lock encryption sse_s3 bucket_logging bucket_logging_cleanup cloud_transition cloud_restore
  iam_account iam_user lifecycle_transition lifecycle_expiration appendobject auth_aws2 target_by_bucket object_ownership
  delete_marker`.split(/\s+/)
const NAMES = `acl object_lock versioning versioned tenant access_bucket sse_ torrent different_owner raw_get
  raw_authenticated cors_presigned atomic_write_bucket_gone`.split(/\s+/)
/** Minutes for the whole run. */
const PATIENCE = 25
const credentials = { accessKeyId: 'S3TESTSKEY', secretAccessKey: 'for these tests only' }

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { update: { type: 'boolean', default: false }, python: { type: 'string', default: '/usr/bin/python3' } },
})
const [checkout] = positionals
if (checkout === undefined) throw new Error('Give the folder that ceph/s3-tests is checked out in.')

/** All accounts are the one there is: tests that need two fail, and are not on the list. */
function configuration(port: number): string {
  const account = `display_name = tester\nuser_id = tester\nemail = tester@example.com\naccess_key = ${credentials.accessKeyId}\nsecret_key = ${credentials.secretAccessKey}\n`
  const sections = ['s3 main', 's3 alt', 's3 tenant', 'iam', 'iam root', 'iam alt root'].map(
    (name) => `[${name}]\n${account}${name === 's3 tenant' ? 'tenant = tenant\n' : ''}`,
  )
  return `[DEFAULT]\nhost = 127.0.0.1\nport = ${port}\nis_secure = False\nssl_verify = False\n[fixtures]\nbucket prefix = s3tests-{random}-\n${sections.join('')}`
}

/** The names of the tests that passed, out of a JUnit report: a case without a child did. */
function passed(report: string): Set<string> {
  const names = [...report.matchAll(/<testcase [^>]*?\bname="([^"]+)"[^>]*?\/>/g)].map(([, name = '']) => name)
  // A test whose cleanup failed has a second case, with an error in it.
  const failed = [...report.matchAll(/<testcase [^>]*?\bname="([^"]+)"[^>]*?[^/]>/g)].map(([, name = '']) => name)
  return new Set(names.filter((name) => !failed.includes(name)))
}

async function runTests(folder: string): Promise<Set<string>> {
  const server = await startEmbeddedS3({
    ...{ dir: join(folder, 's3'), credentials, fsync: false },
    // What Ceph's gateway does, and AWS did when these tests were written.
    ...{ blockPublicAccess: false, legacyForms: true },
  })
  try {
    const conf = join(folder, 's3tests.conf')
    await writeFile(conf, configuration(server.port))
    const report = join(folder, 'report.xml')
    const not = (names: readonly string[]) => names.map((name) => `not ${name}`).join(' and ')
    const options = [
      '-q',
      '--tb=no',
      '-p',
      'no:cacheprovider',
      `--junitxml=${report}`,
      '-m',
      not(MARKERS),
      '-k',
      not(NAMES),
    ]
    const child = spawn(values.python, ['-m', 'pytest', ...options, ...FILES], {
      cwd: resolve(checkout ?? ''),
      env: { ...process.env, S3TEST_CONF: conf, PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: PATIENCE * 60_000,
    })
    await once(child, 'exit')
    return passed(await readFile(report, 'utf8'))
  } finally {
    await server.close()
  }
}

const kept = (await readFile(LIST, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
const folder = await mkdtemp(join(tmpdir(), 's3-tests-'))
try {
  const now = await runTests(folder)
  const lost = kept.filter((name) => !now.has(name))
  const gained = [...now].filter((name) => !kept.includes(name)).sort()
  console.log(`${now.size} passed; ${kept.length} were on the list.`)
  for (const name of gained) console.log(`  passes now: ${name}`)
  for (const name of lost) console.log(`  FAILS NOW: ${name}`)
  if (values.update && gained.length > 0) {
    await writeFile(LIST, `${[...new Set([...kept, ...now])].sort().join('\n')}\n`)
    console.log(`${gained.length} put on the list.`)
  }
  if (lost.length > 0) process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true })
}
