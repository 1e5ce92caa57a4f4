import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { KeepsakeError } from '../../media/index.ts'

/** Standard Webhooks, "Signature scheme": at least 24 bytes, 64 at most, in base64 behind this. */
const prefix = 'whsec_'
const fewestBytes = 24
const mostBytes = 64

/**
 * The key in a secret such as `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`.
 *
 * @throws {KeepsakeError} `invalid_setting`, without a word of the secret.
 */
export function parseWebhookSecret(secret: string): KeyObject {
  const text = secret.startsWith(prefix) ? secret.slice(prefix.length) : undefined
  const bytes = text !== undefined && /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined
  if (bytes && bytes.length >= fewestBytes && bytes.length <= mostBytes) return createSecretKey(bytes)
  throw new KeepsakeError(
    'invalid_setting',
    `A webhook secret must be ${prefix} and ${fewestBytes} to ${mostBytes} random bytes in base64. ` +
      `Make one: echo "${prefix}$(openssl rand -base64 32)".`,
  )
}

export type SignedMessage = {
  /** Neither this nor the timestamp may hold a full stop, which parts what is signed. */
  readonly id: string
  /** Seconds since 1970, when this attempt was made. */
  readonly timestamp: number
  readonly body: string
}

/**
 * The three headers of a message, signed with each key: while a secret is exchanged, a receiver may have either.
 * Standard Webhooks 1.0.0, "Webhook headers".
 */
export function signedHeaders(message: SignedMessage, keys: readonly KeyObject[]): Record<string, string> {
  const content = `${message.id}.${message.timestamp}.${message.body}`
  const signatures = keys.map((key) => `v1,${createHmac('sha256', key).update(content).digest('base64')}`)
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(message.timestamp),
    'webhook-signature': signatures.join(' '),
  }
}
