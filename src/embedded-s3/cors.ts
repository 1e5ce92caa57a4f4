import { S3Error } from './errors.ts'
import { element, parseXml, S3_NAMESPACE, XML_DECLARATION, type XmlElement } from './xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html */
export type CorsRule = {
  readonly id: string | undefined
  readonly origins: readonly string[]
  readonly methods: readonly string[]
  readonly headers: readonly string[]
  readonly exposed: readonly string[]
  /** Seconds. */
  readonly maxAge: string | undefined
}

export type CorsRequest = {
  readonly origin: string
  readonly method: string
  /** The headers that a preflight asks for, in lower case. */
  readonly headers: readonly string[]
}

const METHODS = ['GET', 'PUT', 'POST', 'DELETE', 'HEAD']
const MAX_RULES = 100

export function parseCors(document: string): CorsRule[] {
  const root = parseXml(document)
  const { length } = root.children
  if (root.name !== 'CORSConfiguration' || length === 0 || length > MAX_RULES) throw new S3Error('MalformedXML')
  return root.children.map(parseRule)
}

function parseRule(rule: XmlElement): CorsRule {
  if (rule.name !== 'CORSRule') throw new S3Error('MalformedXML')
  const all = (name: string) => rule.children.filter((child) => child.name === name).map(({ text }) => text.trim())
  const known = ['ID', 'AllowedOrigin', 'AllowedMethod', 'AllowedHeader', 'ExposeHeader', 'MaxAgeSeconds']
  const [origins, methods, headers, maxAge] = [
    all('AllowedOrigin'),
    all('AllowedMethod'),
    all('AllowedHeader'),
    all('MaxAgeSeconds')[0],
  ]
  if (rule.children.some(({ name }) => !known.includes(name)) || origins.length === 0 || methods.length === 0) {
    throw new S3Error('MalformedXML')
  }
  for (const method of methods) {
    if (METHODS.includes(method)) continue
    throw new S3Error('InvalidRequest', `Found unsupported HTTP method in CORS config. Unsupported method is ${method}`)
  }
  for (const [what, values] of Object.entries({ AllowedOrigin: origins, AllowedHeader: headers })) {
    const wild = values.find((value) => value.split('*').length > 2)
    if (wild === undefined) continue
    throw new S3Error('InvalidRequest', `${what} "${wild}" can not have more than one wildcard.`)
  }
  const exposed = all('ExposeHeader')
  const wild = exposed.find((name) => name.includes('*'))
  if (wild !== undefined) {
    throw new S3Error(
      'InvalidRequest',
      `ExposeHeader "${wild}" contains wildcard. We currently do not support wildcard for ExposeHeader.`,
    )
  }
  if (maxAge !== undefined && !/^\d{1,9}$/.test(maxAge)) throw new S3Error('MalformedXML')
  return { id: all('ID')[0], origins, methods, headers, exposed, maxAge }
}

export function corsXml(rules: readonly CorsRule[]): string {
  const each = (name: string, values: readonly string[]) => values.map((value) => element(name, value)).join('')
  const one = (name: string, value: string | undefined) => (value === undefined ? '' : element(name, value))
  const xml = rules.map(
    (rule) =>
      `<CORSRule>${one('ID', rule.id)}${each('AllowedMethod', rule.methods)}${each('AllowedOrigin', rule.origins)}` +
      `${each('AllowedHeader', rule.headers)}${one('MaxAgeSeconds', rule.maxAge)}${each('ExposeHeader', rule.exposed)}</CORSRule>`,
  )
  return `${XML_DECLARATION}<CORSConfiguration xmlns="${S3_NAMESPACE}">${xml.join('')}</CORSConfiguration>`
}

/** The headers of an answer, by the first rule that fits: "Amazon S3 uses the first CORSRule that matches". */
export function corsHeaders(rules: readonly CorsRule[], request: CorsRequest): Record<string, string> | undefined {
  const rule = rules.find(
    ({ origins, methods, headers }) =>
      methods.includes(request.method) &&
      origins.some((origin) => fits(origin, request.origin)) &&
      request.headers.every((name) => headers.some((header) => fits(header.toLowerCase(), name))),
  )
  if (rule === undefined) return undefined
  const anyone = rule.origins.includes('*')
  return {
    'access-control-allow-origin': anyone ? '*' : request.origin,
    'access-control-allow-methods': rule.methods.join(', '),
    ...(request.headers.length > 0 ? { 'access-control-allow-headers': request.headers.join(', ') } : {}),
    ...(rule.exposed.length > 0 ? { 'access-control-expose-headers': rule.exposed.join(', ') } : {}),
    ...(rule.maxAge === undefined ? {} : { 'access-control-max-age': rule.maxAge }),
    ...(anyone ? {} : { 'access-control-allow-credentials': 'true' }),
    vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
  }
}

/** One `*` stands for any text. */
function fits(pattern: string, text: string): boolean {
  const star = pattern.indexOf('*')
  if (star < 0) return pattern === text
  const [start, end] = [pattern.slice(0, star), pattern.slice(star + 1)]
  return text.length >= start.length + end.length && text.startsWith(start) && text.endsWith(end)
}
