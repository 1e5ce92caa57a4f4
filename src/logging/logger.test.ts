import { describe, expect, it } from 'vitest'
import { KeepsakeError } from '../media/index.ts'
import { createLogger, redactText } from './index.ts'

function capture(options: { pretty?: boolean } = {}) {
  const lines: string[] = []
  const logger = createLogger({ ...options, output: { write: (line) => lines.push(line) } })
  return { logger, lines, text: () => lines.join('') }
}

const signed =
  'https://bucket.s3.amazonaws.com/a%20key.png?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260101&X-Amz-Signature=deadbeefcafe'

describe('createLogger', () => {
  it('writes one JSON document a line', () => {
    const { logger, lines } = capture()
    logger.info({ method: 'GET', ms: 3 }, 'request')
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 30, msg: 'request', method: 'GET', ms: 3 })
  })

  it('takes signatures out of fields, messages, errors, stacks and causes, at any depth', () => {
    const { logger, text } = capture()
    const cause = new Error(`GET ${signed} answered 403`)
    logger.error({
      err: new KeepsakeError('store_denied', `No: ${signed}`, { cause }),
      deep: { list: [{ url: signed }] },
    })
    logger.warn(`failed for ${signed}`)
    logger.warn('failed for %s', signed)
    logger.child({ source: signed }).info('child')
    expect(text()).toContain('https://bucket.s3.amazonaws.com/a%20key.png?[redacted]')
    expect(text()).not.toMatch(/deadbeefcafe|AKIDEXAMPLE/)
    expect(text()).toContain('store_denied')
  })

  it('hides values under the names of secrets', () => {
    const { logger, text } = capture()
    logger.info({ headers: { Authorization: 'hunter2', cookie: 'hunter2' }, apiKey: 'hunter2', password: 'hunter2' })
    logger.info({ secretAccessKey: 'hunter2', AWS_SECRET_ACCESS_KEY: 'hunter2', sessionToken: 'hunter2' })
    expect(text()).not.toContain('hunter2')
  })

  it('logs what cannot be written as JSON without failing', () => {
    const { logger, lines } = capture()
    const loop: Record<string, unknown> = { big: 10n, bytes: new Uint8Array(1000), when: new Date('nonsense') }
    loop.self = loop
    logger.info(loop, 'odd')
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ msg: 'odd', big: '10', bytes: '[1000 bytes]' })
  })

  it('writes short lines for people, which cannot steer the terminal', () => {
    const { logger, text } = capture({ pretty: true })
    logger.info({ requestId: 'r1', method: 'GET' }, 'hello \u001b[2Jworld')
    logger.error({ err: new Error('broken') }, 'oh')
    expect(text()).toContain('INFO')
    expect(text()).toContain('hello  [2Jworld')
    expect(text()).toContain('method=GET')
    expect(text()).toContain('Error: broken')
  })
})

describe('redactText', () => {
  it.each([
    ['postgres://me:pw1234@db.example/app', 'postgres://[redacted]@db.example/app'],
    ['Authorization: Bearer abcdef123456', 'Authorization: Bearer [redacted]'],
    ['blob?sv=2024&sig=abc%2Fdef&se=2026', 'blob?sv=2024&sig=[redacted]&se=2026'],
    ['https://a.example/x?token=1#y rest', 'https://a.example/x?[redacted] rest'],
    ['nothing to hide: 3 < 4', 'nothing to hide: 3 < 4'],
  ])('%s', (text, expected) => {
    expect(redactText(text)).toBe(expected)
  })

  it('takes out JWTs wherever they stand', () => {
    expect(redactText('got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln now')).toBe('got [redacted] now')
  })
})
