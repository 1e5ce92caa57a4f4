import type { Actor, CollectionDefinition } from '../../index.ts'

/** The collection's name. */
export const collectionName = 'ai-generated'

/** `ai-generated/<wallet without 0x>/<agent>/images|videos/<model>/<date>/<HHMMSS>_<id8>.<ext>`. */
export const collection = {
  key: 'ai-generated/{wallet}/{agent}/{kind}s/{model}/{date}/{time}_{id8}.{ext}',
  accept: [
    ...['image/jpeg', 'image/png', 'image/apng', 'image/gif', 'image/webp', 'image/svg+xml'],
    ...['video/mp4', 'video/mpeg', 'video/quicktime', 'video/x-msvideo', 'video/webm'],
  ],
  maxSize: '100 MB',
  attributes: {
    wallet: { required: true, normalize: 'hex-address' },
    agent: { required: true },
    model: { required: true },
  },
} satisfies CollectionDefinition

/** A wallet's one spelling, as the collection keeps it: without 0x, hexadecimal in lower case. */
export function bareWallet(wallet: string): string {
  const trimmed = wallet.trim()
  return /^(?:0x|[0-9a-f]*$)/i.test(trimmed) ? trimmed.replace(/^(?:0x\s*)+/i, '').toLowerCase() : trimmed
}

/** Each wallet's content is its own: an API key keeps it for the wallet or whom it names, a token for its own subject. */
export function ownerFor(actor: Actor, wallet: string, named: string | undefined): string | undefined {
  return actor.role === 'user' ? undefined : (named ?? bareWallet(wallet))
}
