import { isIPv6 } from 'node:net'

/**
 * The IPv4 space that is never a public host: the whole IANA IPv4 Special-Purpose Address Registry (RFC 6890 and its
 * successors; the few blocks it marks as globally reachable serve routers and anycast services, never media), multicast
 * (RFC 5771), class E (RFC 1112), and the one public address that is an inside door: Azure's wire server.
 *
 * `net.BlockList` is not used: its `check` answers false for an address that it cannot read, so garbage would pass.
 */
const forbiddenV4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8], // this network
  ['10.0.0.0', 8], // private
  ['100.64.0.0', 10], // carrier-grade NAT; Alibaba's metadata service is 100.100.100.200
  ['127.0.0.0', 8], // loopback
  ['168.63.129.16', 32], // Azure's wire server (learn.microsoft.com, "What is IP address 168.63.129.16?")
  ['169.254.0.0', 16], // link-local; the metadata service of most clouds is 169.254.169.254
  ['172.16.0.0', 12], // private
  ['192.0.0.0', 24], // IETF protocol assignments; Oracle's metadata service is 192.0.0.192
  ['192.0.2.0', 24], // documentation
  ['192.31.196.0', 24], // AS112
  ['192.52.193.0', 24], // AMT
  ['192.88.99.0', 24], // 6to4 relay, deprecated
  ['192.168.0.0', 16], // private
  ['192.175.48.0', 24], // AS112, direct delegation
  ['198.18.0.0', 15], // benchmarking
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, and limited broadcast
]

/** Within 2000::/3, the only IPv6 space that IANA allocates for global unicast: what is special all the same. */
const forbiddenV6: readonly (readonly [string, number])[] = [
  ['2001::', 23], // IETF protocol assignments: Teredo, ORCHID, benchmarking …
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4: an IPv4 address in disguise
  ['2620:4f:8000::', 48], // AS112
  ['3fff::', 20], // documentation
]

const v4Ranges = forbiddenV4.map(([base, bits]) => range(parseV4(base), bits, 32))
const v6Ranges = forbiddenV6.map(([base, bits]) => range(parseV6(base), bits, 128))
const globalUnicast = range(parseV6('2000::'), 3, 128)
const v4Mapped = range(parseV6('::ffff:0:0'), 96, 128)
const nat64 = range(parseV6('64:ff9b::'), 96, 128)

/**
 * Whether an address, as a resolver or a socket gives it, is a public host's. Fails closed: what is not a plain IPv4
 * (four decimal numbers) or IPv6 address without a zone is not public.
 */
export function isPublicAddress(address: string): boolean {
  const v4 = parseV4(address)
  if (v4 !== undefined) return isPublicV4(v4)
  const v6 = parseV6(address)
  if (v6 === undefined) return false
  // An IPv4 address in IPv6 clothes is judged as what it reaches: mapped (RFC 4291, 2.5.5.2), and the well-known NAT64
  // prefix (RFC 6052), without which a host on an IPv6-only network could fetch nothing from the IPv4 world.
  if (v4Mapped(v6) || nat64(v6)) return isPublicV4(v6 & 0xffff_ffffn)
  return globalUnicast(v6) && !v6Ranges.some((within) => within(v6))
}

function isPublicV4(value: bigint): boolean {
  return !v4Ranges.some((within) => within(value))
}

function range(base: bigint | undefined, bits: number, width: number): (value: bigint) => boolean {
  if (base === undefined) throw new TypeError('The table has an address that cannot be read.')
  const shift = BigInt(width - bits)
  return (value) => value >> shift === base >> shift
}

function parseV4(text: string): bigint | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (!match) return undefined
  let value = 0n
  for (const part of match.slice(1)) {
    // A leading zero is octal to some readers and decimal to others.
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined
    value = (value << 8n) | BigInt(part)
  }
  return value
}

function parseV6(text: string): bigint | undefined {
  if (text.includes('%') || !isIPv6(text)) return undefined
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  const v4 = tail?.[2] === undefined ? undefined : parseV4(tail[2])
  if (tail && v4 === undefined) return undefined
  const hex = v4 === undefined ? text : `${tail?.[1]}${(v4 >> 16n).toString(16)}:${(v4 & 0xffffn).toString(16)}`
  const [left = '', right] = hex.split('::')
  const head = left === '' ? [] : left.split(':')
  const end = right === undefined || right === '' ? [] : right.split(':')
  const zeros = 8 - head.length - end.length
  if (right === undefined ? zeros !== 0 : zeros < 0) return undefined
  const groups = [...head, ...new Array<string>(zeros).fill('0'), ...end]
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n)
}
