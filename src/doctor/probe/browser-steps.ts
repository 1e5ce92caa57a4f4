import { randomUUID } from 'node:crypto'
import { fail, notOffered, pass, unknown } from '../finding.ts'
import { type RawAnswer, shown } from './hostile.ts'
import { makeBucket, noBucket } from './no-bucket.ts'
import type { Bench, Step } from './probe.ts'

const contentType = 'image/png'

/** The headers that a direct upload signs (docs/uploads.md). */
function uploadHeaders({ bytes }: Bench): Record<string, string> {
  return { 'content-type': contentType, 'content-length': String(bytes.length), 'if-none-match': '*' }
}

const presignedPut: Step = {
  id: 'probe.presigned-put',
  onError: 'fail',
  async run(bench, signal) {
    const { store, raw, newKey, bytes } = bench
    const key = newKey('uploaded')
    const { url, headers } = store.signPut(key, { expiresIn: 60, headers: uploadHeaders(bench) })
    const answer = await raw.send(url, { method: 'PUT', headers, body: bytes, signal })
    if (answer.status !== 200) {
      return fail(`The upload was answered with ${shown(answer)}.`, answer.code === noBucket ? makeBucket : {})
    }
    const found = await store.head(key, { signal })
    if (found?.size !== bytes.length || found.contentType !== contentType) {
      return fail('The upload was taken, and the object is not as it was sent.')
    }
    return pass('The upload was taken.')
  },
}

const putOnce: Step = {
  id: 'probe.put-once',
  after: 'probe.presigned-put',
  onError: 'unknown',
  async run(bench, signal) {
    const { store, raw, newKey, bytes } = bench
    const { url, headers } = store.signPut(newKey('uploaded'), { expiresIn: 60, headers: uploadHeaders(bench) })
    if (headers['if-none-match'] === undefined) return notOffered('The store refuses conditions on writes.')
    const answer = await raw.send(url, { method: 'PUT', headers, body: bytes, signal })
    if (answer.status === 412 || answer.status === 409) return pass(`The second upload is refused: ${shown(answer)}.`)
    if (answer.status === 200) return fail('The second upload replaced the first.')
    return unknown(`The second upload was answered with ${shown(answer)}.`)
  },
}

function otherThanSigned(
  id: Step['id'],
  name: string,
  change: (bench: Bench) => { headers: Record<string, string>; body: Buffer },
): Step {
  return {
    id,
    after: 'probe.presigned-put',
    onError: 'unknown',
    async run(bench, signal) {
      const { store, raw, newKey } = bench
      const { url, headers } = store.signPut(newKey(name), { expiresIn: 60, headers: uploadHeaders(bench) })
      const changed = change(bench)
      const answer = await raw.send(url, {
        method: 'PUT',
        headers: { ...headers, ...changed.headers },
        body: changed.body,
        signal,
      })
      if (answer.status === 200) return fail('It was taken.')
      if (answer.status === 403 || answer.status === 400) return pass(`It is refused: ${shown(answer)}.`)
      return unknown(`It was answered with ${shown(answer)}.`)
    },
  }
}

const putType = otherThanSigned('probe.put-type', 'wrong-type', ({ bytes }) => ({
  headers: { 'content-type': 'text/html' },
  body: bytes,
}))

const putLength = otherThanSigned('probe.put-length', 'wrong-length', ({ bytes }) => ({
  headers: { 'content-length': String(bytes.length + 1) },
  body: Buffer.concat([bytes, Buffer.from('x')]),
}))

/** A browser's question before an upload (Fetch, "CORS-preflight fetch"). */
async function preflight({ store, raw, key }: Bench, origin: string, signal: AbortSignal): Promise<RawAnswer> {
  const { url } = store.signGet(key, { expiresIn: 60 })
  return raw.send(url.slice(0, url.indexOf('?')), {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'content-type,if-none-match,x-amz-checksum-sha256,x-amz-meta-asset',
    },
    signal,
  })
}

function letsIn(answer: RawAnswer, origin: string): boolean {
  const allowed = answer.headers['access-control-allow-origin']
  return answer.status >= 200 && answer.status < 300 && (allowed === '*' || allowed === origin)
}

const cors: Step = {
  id: 'probe.cors',
  after: 'probe.presigned-get',
  onError: 'unknown',
  async run(bench, signal) {
    const { store, raw, key, origins } = bench
    if (origins.length === 0) return notOffered('No origin is declared.')
    for (const origin of origins) {
      const answer = await preflight(bench, origin, signal)
      if (!letsIn(answer, origin)) return fail(`A page of ${origin} may not upload: ${shown(answer)}.`)
      const { headers } = await raw.send(store.signGet(key, { expiresIn: 60 }).url, { headers: { origin }, signal })
      if (!/(^|,)\s*(etag|\*)\s*(,|$)/i.test(headers['access-control-expose-headers'] ?? '')) {
        return fail(`A page of ${origin} may not see the ETag (Access-Control-Expose-Headers).`)
      }
    }
    return pass(`${origins.join(', ')} may.`)
  },
}

const corsEvil: Step = {
  id: 'probe.cors-evil',
  // Of a bucket that is not there every page is refused.
  after: 'probe.presigned-get',
  onError: 'unknown',
  async run(bench, signal) {
    // What nobody allowed by name, also as a subdomain of one that is, or as its beginning.
    const evil = [
      `https://${randomUUID()}.example`,
      'null',
      ...bench.origins.slice(0, 1).map((origin) => `${origin}.evil.example`),
    ]
    for (const origin of evil) {
      const answer = await preflight(bench, origin, signal)
      if (letsIn(answer, origin)) return fail(`A page of ${origin} may upload.`)
      if (answer.status >= 500) return unknown(`The question was answered with ${shown(answer)}.`)
    }
    return pass('Pages of other origins may not.')
  },
}

export const browserSteps: readonly Step[] = [presignedPut, putOnce, putType, putLength, cors, corsEvil]
