import { type KeyObject, verify } from 'node:crypto'

export type Judge = { readonly publicKey: KeyObject; readonly keyPairId: string; readonly now: Date }

/**
 * What CloudFront does with a signed link, written from its documentation alone: the signing parameters come off, the
 * policy is made anew of what is left, and the signature is held against it with the public key.
 */
export function judge(link: string, { publicKey, keyPairId, now }: Judge): 'opens' | 'denied' {
  const taken = /^(.*)[?&]Expires=(\d+)&Signature=([A-Za-z0-9~_-]+)&Key-Pair-Id=(\w+)(&Hash-Algorithm=SHA256)?$/.exec(
    link,
  )
  if (taken === null) return 'denied'
  const [, resource, expires, signature = '', id, sha256] = taken
  const condition = { DateLessThan: { 'AWS:EpochTime': Number(expires) } }
  const policy = JSON.stringify({ Statement: [{ Resource: resource, Condition: condition }] })
  const base64 = signature.replaceAll('-', '+').replaceAll('_', '=').replaceAll('~', '/')
  const isSigned = verify(sha256 ? 'sha256' : 'sha1', Buffer.from(policy), publicKey, Buffer.from(base64, 'base64'))
  return isSigned && id === keyPairId && now.getTime() / 1000 < Number(expires) ? 'opens' : 'denied'
}
