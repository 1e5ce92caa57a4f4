import { createHash, type KeyObject } from 'node:crypto'
import { webhookEvents } from '../../catalogue/index.ts'
import type { GuardedPost } from '../../intake/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import { parseWebhookSecret } from './signature.ts'

/** A receiver as the configuration declares it. */
export type WebhookDefinition = {
  /** Stands in lists and in the database. Default: made from the URL. */
  readonly name?: string | undefined
  /** A secret: it may hold a token. */
  readonly url: string
  /** The newest first; all of them sign. */
  readonly secrets: readonly string[]
  /** Default: all. */
  readonly events?: readonly string[] | undefined
}

/** A receiver, ready to be sent to. */
export type WebhookEndpoint = {
  readonly id: string
  readonly url: string
  /** For people. */
  readonly host: string
  readonly keys: readonly KeyObject[]
  readonly events: readonly string[]
}

/** @throws {KeepsakeError} `invalid_setting` */
export function parseEndpoints(
  definitions: readonly WebhookDefinition[],
  post: Pick<GuardedPost, 'check'>,
): readonly WebhookEndpoint[] {
  const endpoints = definitions.map((definition) => parseEndpoint(definition, post))
  const ids = endpoints.map(({ id }) => id)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined) {
    throw new KeepsakeError('invalid_setting', `Two webhooks are '${twice}'. Give each a name of its own.`)
  }
  return endpoints
}

function parseEndpoint(definition: WebhookDefinition, post: Pick<GuardedPost, 'check'>): WebhookEndpoint {
  const { url, name, secrets, events = webhookEvents } = definition
  post.check(url)
  const unknown = events.find((event) => !webhookEvents.some((known) => known === event))
  if (unknown !== undefined) {
    throw new KeepsakeError(
      'invalid_setting',
      `A webhook asks for the event '${unknown}'. There are: ${webhookEvents.join(', ')}.`,
    )
  }
  return {
    id: name ?? createHash('sha256').update(url).digest('hex').slice(0, 12),
    url,
    host: new URL(url).host,
    keys: secrets.map(parseWebhookSecret),
    events: [...events],
  }
}
