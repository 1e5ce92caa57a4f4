import type { LiveBucket, PublicAccessBlock, Reading } from '../../bucket/index.ts'
import { notOffered, unknown, type Verdict } from '../finding.ts'

/** What controls are judged by, besides the bucket's settings. */
export type Facts = {
  readonly live: LiveBucket
  /** The account's own block of public access. */
  readonly accountBlock: Reading<PublicAccessBlock>
  /** Of the credentials; undefined where it is not known. */
  readonly account: string | undefined
  /** Whether the store is reached by TLS, by plain HTTP on this machine, or by plain HTTP over a network. */
  readonly transport: 'tls' | 'loopback' | 'plain'
}

/** A reading that is neither set nor absent is judged alone by its status. */
export type Judged<T> = { readonly set: (value: T) => Verdict; readonly absent: () => Verdict }

/** Never passes on what could not be read. */
export function judge<T>(reading: Reading<T>, { set, absent }: Judged<T>): Verdict {
  if (reading.status === 'set') return set(reading.value)
  if (reading.status === 'absent') return absent()
  return unread(reading)
}

export function unread(reading: Exclude<Reading<unknown>, { status: 'set' | 'absent' }>): Verdict {
  const { status, action, code, message } = reading
  if (status === 'not offered') return notOffered(`The store does not offer ${action} (${code}).`)
  if (status === 'denied') return unknown(`The credentials may not do ${action} (${code}), so it is not known.`)
  return unknown(`${action} failed, so it is not known: ${code}${message === code ? '' : `: ${message}`}.`)
}

/** Of several readings the first that is denied or failed, where there is one. */
export function firstUnread(readings: readonly Reading<unknown>[]): Verdict | undefined {
  for (const reading of readings) {
    if (reading.status === 'denied' || reading.status === 'error') return unread(reading)
  }
  return undefined
}

export function allNotOffered(readings: readonly Reading<unknown>[]): boolean {
  return readings.every(({ status }) => status === 'not offered')
}

export function known<T>(reading: Reading<T>): T | undefined {
  return reading.status === 'set' ? reading.value : undefined
}
