import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { parseWebhookSecret, signedHeaders } from './signature.ts'

const secretOf = (bytes: Uint8Array) => `whsec_${Buffer.from(bytes).toString('base64')}`
const now = () => Math.floor(Date.now() / 1000)

describe('a signature', () => {
  it('is what the library of Standard Webhooks makes, byte for byte, for any key and body', () => {
    const key = fc.uint8Array({ minLength: 24, maxLength: 64 })
    fc.assert(
      fc.property(
        key,
        fc.string({ unit: 'binary' }),
        fc.uuid(),
        fc.nat(2_000_000_000),
        (bytes, body, id, timestamp) => {
          const headers = signedHeaders({ id, timestamp, body }, [parseWebhookSecret(secretOf(bytes))])
          const theirs = new Webhook(secretOf(bytes)).sign(id, new Date(timestamp * 1000), body)
          expect(headers).toEqual({
            'webhook-id': id,
            'webhook-timestamp': String(timestamp),
            'webhook-signature': theirs,
          })
        },
      ),
      { numRuns: 30 },
    )
  })

  it('is the one in the documentation of Standard Webhooks’ libraries', () => {
    const key = parseWebhookSecret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
    const body = '{"test": 2432232314}'
    const headers = signedHeaders({ id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body }, [key])
    expect(headers['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
  })

  it('is taken with the old secret and with the new one while both sign, and with no other', () => {
    const [old, fresh, other] = [randomBytes(32), randomBytes(32), randomBytes(32)].map(secretOf)
    const keys = [fresh, old].map((secret) => parseWebhookSecret(secret ?? ''))
    const body = '{"type":"asset.stored"}'
    const headers = signedHeaders({ id: 'msg_1', timestamp: now(), body }, keys)
    expect(new Webhook(old ?? '').verify(body, headers)).toEqual({ type: 'asset.stored' })
    expect(new Webhook(fresh ?? '').verify(body, headers)).toEqual({ type: 'asset.stored' })
    expect(() => new Webhook(other ?? '').verify(body, headers)).toThrow('No matching signature')
    expect(() => new Webhook(old ?? '').verify(`${body} `, headers)).toThrow('No matching signature')
    expect(() => new Webhook(old ?? '').verify(body, { ...headers, 'webhook-id': 'msg_2' })).toThrow('No matching')
  })
})

describe('a secret', () => {
  it.each([
    ['without its prefix', randomBytes(32).toString('base64')],
    ['too short', secretOf(randomBytes(23))],
    ['too long', secretOf(randomBytes(65))],
    ['not base64', 'whsec_???????????????????????????????????????????'],
    ['empty', 'whsec_'],
  ])('%s is refused, and not shown', (_, secret) => {
    let message = ''
    try {
      parseWebhookSecret(secret)
    } catch (error) {
      message = String(error)
    }
    expect(message).toContain('A webhook secret must be whsec_')
    expect(secret.length < 8 || !message.includes(secret.slice(6))).toBe(true)
  })
})
