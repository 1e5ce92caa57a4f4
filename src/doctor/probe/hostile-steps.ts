import { fail, notOffered, pass, unknown, type Verdict } from '../finding.ts'
import { codeOf, type RawAnswer, shown } from './hostile.ts'
import type { Step } from './probe.ts'

/** What must not be let in: a success is the failure, and only a clear refusal passes. */
function refused(what: string, answer: RawAnswer): Verdict {
  if (answer.status >= 200 && answer.status < 300) return fail(`${what} was answered with ${shown(answer)}.`)
  if ([400, 401, 403].includes(answer.status)) return pass(`${what} is refused: ${shown(answer)}.`)
  return unknown(`${what} was neither let in nor refused: ${shown(answer)}.`)
}

/** The first that is not refused decides. */
function allRefused(verdicts: readonly Verdict[]): Verdict {
  const [first] = verdicts
  const wrong = verdicts.find(({ status }) => status === 'fail') ?? verdicts.find(({ status }) => status !== 'pass')
  return wrong ?? first ?? unknown('Nothing was tried.')
}

const tampered: Step = {
  id: 'probe.tampered',
  after: 'probe.presigned-get',
  onError: 'unknown',
  async run({ store, raw, key, newKey }, signal) {
    const { url } = store.signGet(key, { expiresIn: 60 })
    const last = url.at(-1)
    const forged = url.slice(0, -1) + (last === '0' ? '1' : '0')
    const longer = url.replace('X-Amz-Expires=60', 'X-Amz-Expires=3600')
    const otherMethod = { method: 'PUT', body: Buffer.from('x'), headers: { 'content-length': '1' }, signal } as const
    // The link of one key, with the path of another.
    const other = store.signGet(newKey('other'), { expiresIn: 60 }).url
    const moved = url.slice(0, url.indexOf('?')) + other.slice(other.indexOf('?'))
    return allRefused([
      refused('A link with another signature', await raw.send(forged, { signal })),
      refused('A link made to live longer', await raw.send(longer, { signal })),
      refused('A link moved to another key', await raw.send(moved, { signal })),
      refused('A reading link used to write', await raw.send(url, otherMethod)),
    ])
  },
}

const expired: Step = {
  id: 'probe.expired',
  after: 'probe.presigned-get',
  onError: 'unknown',
  async run({ store, raw, key }, signal) {
    // By this machine's own clock, as links are: where it is wrong, probe.clock says so.
    const { url } = store.signGet(key, { expiresIn: 60, at: new Date(Date.now() - 7_200_000) })
    return refused('A link that ended two hours ago', await raw.send(url, { signal }))
  },
}

const anonymous: Step = {
  id: 'probe.anonymous',
  after: 'probe.presigned-get',
  onError: 'unknown',
  async run({ store, raw, key, newKey }, signal) {
    const object = bare(store.signGet(key, { expiresIn: 60 }).url)
    const written = bare(store.signGet(newKey('anonymous'), { expiresIn: 60 }).url)
    const bucket = object.slice(0, object.length - encodedLength(object, key))
    const body = Buffer.from('x')
    return allRefused([
      refused('Reading without a signature', await raw.send(object, { signal })),
      refused('Listing without a signature', await raw.send(`${bucket}?list-type=2&max-keys=1`, { signal })),
      refused(
        'Writing without a signature',
        await raw.send(written, { method: 'PUT', headers: { 'content-length': '1' }, body, signal }),
      ),
    ])
  },
}

/** The key stands at the end of the path; the probe's own has nothing that is encoded. */
function encodedLength(url: string, key: string): number {
  if (!url.endsWith(key)) throw new TypeError('The link does not end in its key.')
  return key.length
}

function bare(url: string): string {
  return url.slice(0, url.indexOf('?'))
}

/** Connections that nobody takes: plain HTTP is not spoken there. A time-out may be a firewall's on the way. */
const notSpoken = /^(ECONNREFUSED|ECONNRESET|EPIPE|UND_ERR_SOCKET|HPE_\w+)$/

const plainHttp: Step = {
  id: 'probe.plain-http',
  after: 'probe.put',
  onError: 'unknown',
  async run({ store, raw, key }, signal) {
    // Lives for seconds, for an object that nobody misses.
    const url = new URL(store.signGet(key, { expiresIn: 5 }).url)
    if (url.protocol === 'http:') return plainEndpoint(url)
    // A refusal says something only of a link that opens.
    const secure = await raw.send(url.href, { signal })
    if (secure.status !== 200) return unknown(`The link does not open over TLS either: ${shown(secure)}.`)
    try {
      const answer = await raw.send(`http://${url.host}${url.pathname}${url.search}`, { signal })
      if (answer.status >= 300 && answer.status < 400 && (answer.headers.location ?? '').startsWith('https:')) {
        return pass(`Plain HTTP is sent on to https: ${shown(answer)}.`)
      }
      return refused('A link over plain HTTP', answer)
    } catch (error) {
      const code = codeOf(error)
      return notSpoken.test(code) ? pass(`Plain HTTP is not spoken there: ${code}.`) : unknown(`No answer (${code}).`)
    }
  },
}

function plainEndpoint({ hostname, host }: URL): Verdict {
  if (isLoopback(hostname)) return notOffered(`The store is on this machine (${host}), and speaks plain HTTP only.`)
  return fail(`The links themselves are plain HTTP, to ${host}.`)
}

export function isLoopback(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname)
}

export const hostileSteps: readonly Step[] = [tampered, expired, anonymous, plainHttp]
