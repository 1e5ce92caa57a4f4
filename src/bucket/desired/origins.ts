import { KeepsakeError } from '../../media/index.ts'
import type { Env } from './desired-bucket.ts'

/**
 * Origins as a browser sends them (RFC 6454, section 6.2), each at most with one `*` for a subdomain.
 *
 * @throws {KeepsakeError} `invalid_setting`
 */
export function checkOrigins(origins: readonly string[], env: Env): string[] {
  return origins.map((origin) => checkOrigin(origin.replace(/\/$/, ''), env))
}

function checkOrigin(origin: string, env: Env): string {
  if (origin === '*') {
    if (env === 'dev') return origin
    throw refused(origin, 'every page in the world could use the links of your users. Name your own origins.')
  }
  // A label stands in for the wildcard, so that the rest can be judged as the URL that it is.
  const url = URL.parse(origin.replace('*', 'wildcard'))
  if (!url || !/^https?:$/.test(url.protocol) || url.origin !== origin.replace('*', 'wildcard').toLowerCase()) {
    throw refused(
      origin,
      'an origin is a scheme, a host and perhaps a port, such as https://app.example, and nothing else.',
    )
  }
  const [wildcard = '', ...rest] = url.hostname.split('.')
  if (origin.includes('*') && (wildcard !== 'wildcard' || rest.length < 2 || !/^https?:\/\/\*\.[^*]+$/.test(origin))) {
    throw refused(origin, 'the * may only stand for a whole subdomain, as in https://*.app.example.')
  }
  if (env === 'prod' && url.protocol !== 'https:') {
    throw refused(origin, 'in prod a page must come over https. Use --env dev for development.')
  }
  return origin.toLowerCase()
}

function refused(origin: string, why: string): KeepsakeError {
  return new KeepsakeError('invalid_setting', `bucket.origins has '${origin}': ${why}`)
}
