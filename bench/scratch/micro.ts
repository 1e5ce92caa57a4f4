import { createS3Store } from '../../src/stores/index.ts'
import { Authenticator } from '../../src/embedded-s3/authentication.ts'
import { parseRequest } from '../../src/embedded-s3/request.ts'
import { route } from '../../src/embedded-s3/router.ts'
import { storedHeaders } from '../../src/embedded-s3/object-headers.ts'
import { writeCondition } from '../../src/embedded-s3/preconditions.ts'
import { encodeEntry } from '../../src/embedded-s3/store/pack-entry.ts'
import { Payload } from '../../src/embedded-s3/payload.ts'
import { bucket, credentials, region } from '../bucket.ts'
const store = createS3Store({ bucket, region, endpoint: 'http://127.0.0.1:4444', credentials })
const put = store.signPut('put-1/0123456789abcdef0123456789abcdef.png', { expiresIn: 3600, headers: { 'content-type': 'image/png', 'content-length': '20000' } })
const u = new URL(put.url)
console.log(put.url, put.headers)
const raw = Object.entries({ host: '127.0.0.1:4444', ...put.headers }).flat()
const inc = { url: u.pathname + u.search, method: 'PUT', rawHeaders: raw, headers: {} } as never
const auth = new Authenticator(credentials, region, false)
const t = (n: string, f: () => unknown) => { for (let i = 0; i < 20000; i++) f(); const s = process.cpuUsage(); for (let i = 0; i < 50000; i++) f(); const e = process.cpuUsage(s); console.log(n, ((e.user + e.system) / 50000).toFixed(2)) }
t('parse', () => parseRequest(inc))
const r = parseRequest(inc)
t('auth', () => auth.authenticate(r))
const a = auth.authenticate(r)
t('route', () => route(r))
t('stored', () => storedHeaders(r))
t('cond', () => writeCondition(r))
t('payload', () => new Payload(r, a, {} as never, 5e9))
const body = Buffer.alloc(20000)
const record = { key: r.key, size: 20000, etag: '0123456789abcdef0123456789abcdef', modified: Date.now(), headers: { 'content-type': 'image/png' }, metadata: {}, checksums: {} }
t('encode', () => encodeEntry({ bucket, key: r.key, change: 'put', record }, [body]))
