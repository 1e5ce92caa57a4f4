import { KeepsakeError } from '../../media/index.ts'

/**
 * Ports that no hop may use unless its host:port is allowed by name: services that act on a line of text they get, so
 * that an HTTP request could be smuggled to them. The WHATWG Fetch standard's list, section 2.9 "Port blocking".
 */
const badPorts: ReadonlySet<number> = new Set([
  0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
  111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
  540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
  6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
])

/** Which hosts may be private and plain http, by name. */
export type HostAllowList = {
  /** @param port As a URL has it: empty for the scheme's own. */
  readonly allows: (target: { hostname: string; port: string; protocol: string }) => boolean
}

/**
 * Reads entries `host` (any port) or `host:port`; a host is a name or an IP address, IPv6 in brackets. An entry stands
 * for the host as it is written in the URL, not for the address behind it.
 *
 * @throws {KeepsakeError} `invalid_setting`, naming the entry.
 */
export function parseAllowHosts(entries: readonly string[]): HostAllowList {
  const allowed = new Set(entries.map(parseEntry))
  return {
    allows: ({ hostname, port, protocol }) => {
      const bare = hostname.replace(/^\[|\]$/g, '')
      return allowed.has(bare) || allowed.has(`${bare} ${port || (protocol === 'https:' ? '443' : '80')}`)
    },
  }
}

function parseEntry(entry: string): string {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@[\]*%\\]+)(?::([1-9]\d{0,4}))?$/.exec(entry.trim())
  const url = match?.[1] === undefined ? null : URL.parse(`http://${match[1]}/`)
  if (!match || !url || Number(match[2] ?? 1) > 65_535) {
    throw new KeepsakeError(
      'invalid_setting',
      `KEEPSAKE_IMPORT_ALLOW_HOSTS has '${entry}'. An entry is a host or host:port, such as media.internal:9000, ` +
        '127.0.0.1:8080 or [::1]:8080, without a scheme, a path or a wildcard.',
    )
  }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return match[2] === undefined ? host : `${host} ${match[2]}`
}

/**
 * A URL that may be asked, as far as its text tells; its addresses are judged when it is connected to. The WHATWG
 * parser has by then put every spelling of a host (decimal, octal, hex, short, percent-encoded, full-width) into one.
 *
 * @param base The URL that redirected here.
 * @throws {KeepsakeError} `invalid_source` for what is not a URL, `source_forbidden` for what may not be asked.
 */
export function parseTarget(text: string, policy: { hosts: HostAllowList; allowHttp: boolean }, base?: URL): URL {
  const url = URL.parse(text, base?.href)
  if (!url) {
    // A web address whose host cannot be understood is not fetched, rather than guessed at.
    if (base || /^\s*https?:/i.test(text))
      throw forbidden('Its host is not a name or an address that can be understood.')
    throw new KeepsakeError('invalid_source', 'The source is not a URL. Give an absolute one, such as https://….')
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    const hint = url.protocol === 'data:' ? ' Give a data URI as dataUri.' : ''
    throw forbidden(`The scheme '${url.protocol.slice(0, 20)}' is not fetched, only https.${hint}`)
  }
  if (url.username !== '' || url.password !== '') {
    throw forbidden(`The URL at ${url.origin} carries a user name or a password, which are never sent. Take them out.`)
  }
  const allowed = policy.hosts.allows(url)
  if (url.protocol === 'http:' && !allowed && !policy.allowHttp) {
    throw forbidden(
      `${url.origin} is plain http. Use https, or allow the host by KEEPSAKE_IMPORT_ALLOW_HOSTS ` +
        'or every public one by KEEPSAKE_IMPORT_ALLOW_HTTP=true.',
    )
  }
  if (!allowed && url.port !== '' && badPorts.has(Number(url.port))) {
    throw forbidden(`${url.origin} has a port that belongs to another protocol (WHATWG Fetch, port blocking).`)
  }
  url.hash = ''
  return url
}

/** The error for an address that may not be asked. */
export function forbidden(why: string): KeepsakeError {
  return new KeepsakeError('source_forbidden', `The source may not be fetched. ${why}`)
}
