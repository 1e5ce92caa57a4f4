import { execFile } from 'node:child_process'
import { access, constants, mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../support/listen.ts'

const script = join(import.meta.dirname, 'radosgw.sh')
const credentials = { accessKeyId: 'testkey', secretAccessKey: 'testsecret' }
/** The programs that the script calls, and Debian's packages that have them. */
const programs = {
  radosgw: 'radosgw',
  'radosgw-admin': 'radosgw',
  'ceph-mon': 'ceph-mon',
  'ceph-osd': 'ceph-osd',
  ceph: 'ceph-common',
  monmaptool: 'ceph-common',
  curl: 'curl',
} as const
const attempts = 3
const startMillis = 90_000

export type Radosgw = { readonly endpoint: string; readonly credentials: typeof credentials; stop(): Promise<void> }

/** The one at KEEPSAKE_TEST_RADOSGW, or one of our own, which ends with the tests. */
export async function startRadosgw(): Promise<Radosgw> {
  const given = process.env.KEEPSAKE_TEST_RADOSGW
  if (given) return { endpoint: given, credentials, stop: async () => {} }
  await refuseMissingPackages()
  for (let attempt = 1; ; attempt += 1) {
    const dir = await mkdtemp(join(tmpdir(), 'keepsake-radosgw-'))
    const [port, monPort] = [await freePort(), await freePort()]
    const env = { ...process.env, RGW_DIR: dir, RGW_PORT: String(port), RGW_MON_PORT: String(monPort) }
    const run = (verb: string) => promisify(execFile)(script, [verb], { env, timeout: startMillis })
    try {
      await run('start')
      return {
        endpoint: `http://127.0.0.1:${port}`,
        credentials,
        stop: async () => {
          await run('stop')
        },
      }
    } catch (error) {
      const log = await readFile(join(dir, 'log', 'mon.a.log'), 'utf8').catch(() => 'no log')
      await run('stop').catch(() => undefined)
      // Somebody else may have taken a port in between.
      if (attempt < attempts) continue
      throw new Error(`radosgw did not start. The end of its monitor's log:\n${log.slice(-2000)}`, { cause: error })
    }
  }
}

async function refuseMissingPackages(): Promise<void> {
  const missing = new Set<string>()
  for (const [program, debian] of Object.entries(programs)) {
    if (!(await isInstalled(program))) missing.add(debian)
  }
  if (missing.size === 0) return
  throw new Error(
    `The S3 store was NOT tested against radosgw: these Debian packages are not installed: ${[...missing].join(', ')}.\n` +
      `  apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-common curl\n` +
      `Or set KEEPSAKE_TEST_RADOSGW to the address of a running one, or KEEPSAKE_INTEROP_WITHOUT=radosgw to go without.`,
  )
}

async function isInstalled(program: string): Promise<boolean> {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, program), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.includes(true)
}
