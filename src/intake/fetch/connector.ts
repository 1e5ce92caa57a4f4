import { lookup as systemLookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { buildConnector } from 'undici'
import { isPublicAddress } from './address.ts'
import { forbidden, type HostAllowList } from './target.ts'

export type ResolvedAddress = { readonly address: string; readonly family: 4 | 6 }

/** Resolves a host name to all its addresses. */
export type Lookup = (hostname: string) => Promise<readonly ResolvedAddress[]>

/** Milliseconds that one address of several may take before the next is tried beside it (RFC 8305). */
const nextAddressAfter = 1000

/**
 * Opens sockets to public hosts only. The one lookup of a connect is judged, and the socket goes to what was judged, so
 * that a name which answers differently the next time (DNS rebinding) gains nothing. All addresses of a name must be
 * public: one that is not makes the name suspect. TLS verifies the certificate against the host name as ever.
 */
export function guardedConnector(options: {
  readonly hosts: HostAllowList
  readonly lookup: Lookup | undefined
  /** Milliseconds for resolving, connecting and the TLS handshake together. */
  readonly timeout: number
  readonly ca: string | undefined
}): buildConnector.connector {
  const resolve = options.lookup ?? resolveBySystem
  const build = (isAllowed: (address: string) => boolean) =>
    buildConnector({
      timeout: options.timeout,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: nextAddressAfter,
      lookup: checkedLookup(resolve, isAllowed),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    })
  const trusted = build(() => true)
  const guarded = build(isPublicAddress)

  return (target, callback) => {
    if (options.hosts.allows(target)) return trusted(target, callback)
    // Node does not call `lookup` for an IP literal, so it is judged here.
    if (isIP(target.hostname) !== 0 && !isPublicAddress(target.hostname)) {
      process.nextTick(callback, notPublic(target.hostname), null)
      return
    }
    guarded(target, (...result) => {
      const [error, socket] = result
      // Belt and braces: whatever way the socket came about, its other end is public or it is not used.
      if (error === null && (socket.remoteAddress === undefined || !isPublicAddress(socket.remoteAddress))) {
        const gone = socket.remoteAddress === undefined
        socket.destroy()
        callback(gone ? Object.assign(new Error('closed'), { code: 'ECONNRESET' }) : notPublic(target.hostname), null)
        return
      }
      callback(...result)
    })
  }
}

async function resolveBySystem(hostname: string): Promise<readonly ResolvedAddress[]> {
  const found = await systemLookup(hostname, { all: true, order: 'verbatim' })
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
}

/** {@link Lookup} as `net.connect` wants it; refuses the whole answer where one address is refused. */
function checkedLookup(resolve: Lookup, isAllowed: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname)
      .then((addresses) => {
        if (addresses.length === 0) throw Object.assign(new Error('no address'), { code: 'ENOTFOUND' })
        if (!addresses.every(({ address }) => isAllowed(address))) throw notPublic(hostname)
        return addresses.map(({ address, family }) => ({ address, family }))
      })
      .then(
        (addresses) => {
          const [first] = addresses
          if (options.all || first === undefined) process.nextTick(callback, null, addresses)
          else process.nextTick(callback, null, first.address, first.family)
        },
        (error) => process.nextTick(callback, error, [], 0),
      )
  }
}

function notPublic(hostname: string) {
  return forbidden(
    `The host '${hostname}' is, or resolves to, an address that is not public. ` +
      'If it is yours, allow it by KEEPSAKE_IMPORT_ALLOW_HOSTS.',
  )
}
