import { fail, notOffered, pass, unknown } from '../finding.ts'
import { browserSteps } from './browser-steps.ts'
import { shown } from './hostile.ts'
import { hostileSteps } from './hostile-steps.ts'
import type { Step } from './probe.ts'

const contentType = 'application/octet-stream'
/** S3 refuses a difference of 900 seconds; this much is worth a word. */
const skewSeconds = 30
const dangerousSkewSeconds = 300

const put: Step = {
  id: 'probe.put',
  onError: 'fail',
  async run({ store, key, bytes, sha256 }, signal) {
    const started = performance.now()
    await store.put({
      key,
      body: bytes,
      size: bytes.length,
      sha256,
      contentType,
      metadata: { probe: 'doctor' },
      signal,
    })
    return pass(`${bytes.length} bytes in ${Math.round(performance.now() - started)} ms.`)
  },
}

const head: Step = {
  id: 'probe.head',
  after: 'probe.put',
  onError: 'fail',
  async run({ store, key, bytes }, signal) {
    const found = await store.head(key, { signal })
    if (!found) return fail('The store says that there is no such object, right after it was written.')
    if (found.size !== bytes.length || found.contentType !== contentType || found.metadata.probe !== 'doctor') {
      return fail(
        `It has ${found.size} bytes of ${found.contentType}; ${bytes.length} of ${contentType} were written, with metadata.`,
      )
    }
    return pass('Size, type and metadata are as they were written.')
  },
}

/** A signed GET shows the headers that the port leaves out, as a client gets them. */
const encryption: Step = {
  id: 'probe.encryption',
  after: 'probe.presigned-get',
  onError: 'unknown',
  async run({ store, raw, key, declaredEncryption }, signal) {
    const { status, headers, code } = await raw.send(store.signGet(key, { expiresIn: 60 }).url, { signal })
    if (status !== 200) return unknown(`The object was answered with ${shown({ status, code })}.`)
    const algorithm = headers['x-amz-server-side-encryption']
    if (algorithm !== undefined) return pass(`${algorithm}.`)
    const silent = 'the store does not say so of an object (no x-amz-server-side-encryption)'
    if (declaredEncryption === undefined) return notOffered(`Nothing is declared, and ${silent}.`)
    return fail(`${declaredEncryption === null ? 'Nothing' : declaredEncryption} is declared, and ${silent}.`)
  },
}

const expiry: Step = {
  id: 'probe.expiry',
  after: 'probe.presigned-get',
  onError: 'unknown',
  async run({ store, raw, key, clock, temporaryDays, rulesOfVersions = [] }, signal) {
    const { status, headers, code } = await raw.send(store.signGet(key, { expiresIn: 60 }).url, { signal })
    if (status !== 200) return unknown(`The object was answered with ${shown({ status, code })}.`)
    const promise = headers['x-amz-expiration'] ?? ''
    const date = Date.parse(/expiry-date="([^"]+)"/.exec(promise)?.[1] ?? '')
    const rule = /rule-id="([^"]+)"/.exec(promise)?.[1] ?? ''
    // Seen on radosgw 16.2, which names the rule for versions that are not current of an object that is.
    if (typeof temporaryDays === 'number' && rulesOfVersions.includes(decoded(rule))) {
      return notOffered(`There is a rule, and the store speaks of another, '${decoded(rule)}', that is not about this.`)
    }
    if (Number.isNaN(date)) {
      if (temporaryDays === null) return fail('It would stay for ever: no rule ends it.')
      const silent = 'the store does not say when it ends an object (no x-amz-expiration)'
      if (temporaryDays !== undefined) return notOffered(`There is a rule, and ${silent}.`)
      return unknown(`Whether there is a rule is not known, and ${silent}.`)
    }
    const days = Math.round((date - clock.now().getTime()) / 86_400_000)
    // S3 rounds up to the next midnight UTC.
    const most = (temporaryDays ?? usualDays) + 1
    return days <= most ? pass(`In ${days} days.`) : fail(`Only in ${days} days, where ${most - 1} are promised.`)
  },
}
/** What keepsake bucket apply sets where nothing else is said. */
const usualDays = 7

const get: Step = {
  id: 'probe.get',
  after: 'probe.put',
  onError: 'fail',
  async run({ store, key, bytes }, signal) {
    const { body } = await store.get(key, { signal })
    return (await readAll(body)).equals(bytes) ? pass('The same bytes came back.') : fail('Other bytes came back.')
  },
}

const range: Step = {
  id: 'probe.range',
  after: 'probe.put',
  onError: 'fail',
  async run({ store, key, bytes }, signal) {
    const { body } = await store.get(key, { range: { start: 8, end: 15 }, signal })
    const got = await readAll(body)
    return got.equals(bytes.subarray(8, 16)) ? pass('Bytes 8 to 15 came back.') : fail('Other bytes came back.')
  },
}

const presignedGet: Step = {
  id: 'probe.presigned-get',
  after: 'probe.put',
  onError: 'fail',
  async run({ store, raw, key, bytes }, signal) {
    const answer = await raw.send(store.signGet(key, { expiresIn: 60 }).url, { signal })
    if (answer.status !== 200) return fail(`The link was answered with ${shown(answer)}.`)
    return answer.body.equals(bytes) ? pass('The link opens.') : fail('The link gave other bytes.')
  },
}

/** By the Date of an answer (RFC 9110, section 6.6.1), which has whole seconds: its middle is half a second later. */
const clock: Step = {
  id: 'probe.clock',
  onError: 'unknown',
  async run({ store, raw, key, clock }, signal) {
    const before = clock.now().getTime()
    const { headers } = await raw.send(unsigned(store.signGet(key, { expiresIn: 60 }).url), { method: 'HEAD', signal })
    const middle = (before + clock.now().getTime()) / 2
    const date = Date.parse(headers.date ?? '')
    if (Number.isNaN(date)) return unknown('The store does not tell its time (no Date).')
    const skew = Math.round((middle - date - 500) / 1000)
    const seen =
      skew === 0
        ? 'Less than a second apart.'
        : `This machine is ${Math.abs(skew)} seconds ${skew < 0 ? 'behind' : 'ahead'}.`
    if (Math.abs(skew) < skewSeconds) return pass(seen)
    return fail(seen, Math.abs(skew) >= dangerousSkewSeconds ? { severity: 'high' } : {})
  },
}

const multipart: Step = {
  id: 'probe.multipart',
  onError: 'fail',
  async run({ store, newKey, began, bytes, sha256 }, signal) {
    const upload = await store.createMultipart({ key: newKey('parts'), contentType, signal })
    began(upload)
    await store.putPart(upload, { partNumber: 1, body: bytes, size: bytes.length, sha256, signal })
    let parts = 0
    for await (const _ of store.listParts(upload, { signal })) parts += 1
    if (parts !== 1) return fail(`One part was sent, and ${parts} are listed.`)
    await store.abortMultipart(upload, { signal })
    return pass('Begun, one part sent, given up.')
  },
}

const list: Step = {
  id: 'probe.list',
  after: 'probe.put',
  onError: 'fail',
  async run({ store, folder, key }, signal) {
    for await (const { key: found } of store.list({ prefix: folder, signal }))
      if (found === key) return pass('The object is listed.')
    return fail('The object is not listed, right after it was written.')
  },
}

const remove: Step = {
  id: 'probe.delete',
  after: 'probe.put',
  onError: 'fail',
  async run({ store, key }, signal) {
    const { failed } = await store.delete([key], { signal })
    if (failed[0]) return fail(failed[0].message)
    const left = await store.head(key, { signal })
    return left ? fail('The object is still there after its delete.') : pass('Everything was removed.')
  },
}

/** In order; what is removed at the end is what the others look at. */
export const probeSteps: readonly Step[] = [
  clock,
  put,
  head,
  get,
  range,
  presignedGet,
  encryption,
  expiry,
  ...hostileSteps,
  ...browserSteps,
  multipart,
  list,
  remove,
]

/** The id of a rule stands in the header percent-encoded. */
function decoded(id: string): string {
  try {
    return decodeURIComponent(id)
  } catch {
    return id
  }
}

function unsigned(url: string): string {
  return url.slice(0, url.indexOf('?'))
}

async function readAll(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  return Buffer.concat(pieces)
}
