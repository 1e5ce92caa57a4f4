import { BlockList } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isPublicAddress } from './address.ts'

/** Written apart from the code: IANA's registries as first and last address of each block. */
const v4Blocks = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['168.63.129.16', '168.63.129.16'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.31.196.0', '192.31.196.255'],
  ['192.52.193.0', '192.52.193.255'],
  ['192.88.99.0', '192.88.99.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['192.175.48.0', '192.175.48.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '255.255.255.255'],
] as const
const v6Blocks = [
  ['::', '1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2620:4f:8000::', '2620:4f:8000:ffff:ffff:ffff:ffff:ffff'],
  ['3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['4000::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
] as const

const v4Table = new BlockList()
for (const [first, last] of v4Blocks) v4Table.addRange(first, last, 'ipv4')
const v6Table = new BlockList()
for (const [first, last] of v6Blocks) v6Table.addRange(first, last, 'ipv6')

const dotted = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
const number = (address: string) => address.split('.').reduce((value, part) => value * 256 + Number(part), 0)

describe('isPublicAddress', () => {
  test('agrees with an independent table on every IPv4 address, edges included', () => {
    const edges = v4Blocks.flatMap(([first, last]) => [
      number(first) - 1,
      number(first),
      number(last),
      number(last) + 1,
    ])
    const inRange = edges.filter((value) => value >= 0 && value <= 0xffff_ffff)
    const anyV4 = fc.oneof(fc.constantFrom(...inRange), fc.integer({ min: 0, max: 0xffff_ffff })).map(dotted)
    fc.assert(
      fc.property(anyV4, (address) => {
        const wanted = !v4Table.check(address, 'ipv4')
        expect(isPublicAddress(address)).toBe(wanted)
        // The same address in IPv6 clothes, mapped or through NAT64, means the same.
        expect(isPublicAddress(`::ffff:${address}`)).toBe(wanted)
        const hex = number(address).toString(16).padStart(8, '0')
        expect(isPublicAddress(`::ffff:${hex.slice(0, 4)}:${hex.slice(4)}`)).toBe(wanted)
        expect(isPublicAddress(`64:ff9b::${hex.slice(0, 4)}:${hex.slice(4)}`)).toBe(wanted)
      }),
      { numRuns: 3000 },
    )
  })

  test('agrees with an independent table on IPv6, in any spelling', () => {
    const group = fc.oneof(
      fc.constantFrom(
        0,
        1,
        0xffff,
        0x2001,
        0x2002,
        0x2003,
        0x2606,
        0x3fff,
        0xdb8,
        0x1ff,
        0x200,
        0xfd00,
        0xfe80,
        0x2620,
      ),
      fc.integer({ min: 0, max: 0xffff }),
    )
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.boolean(), (groups, upper) => {
        const long = groups.map((value) => value.toString(16).padStart(4, '0')).join(':')
        const mapped = /^0000:0000:0000:0000:0000:ffff|^0064:ff9b:0000:0000:0000:0000/.test(long)
        fc.pre(!mapped)
        const wanted = !v6Table.check(long, 'ipv6')
        expect(isPublicAddress(upper ? long.toUpperCase() : long)).toBe(wanted)
        expect(isPublicAddress(new URL(`http://[${long}]/`).hostname.slice(1, -1))).toBe(wanted)
      }),
      { numRuns: 3000 },
    )
  })

  test.each(['1.1.1.1', '93.184.216.34', '2606:4700::1111', '2a00:1450:4001::1', '::ffff:8.8.8.8'])(
    'a public host: %s',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )

  test.each([
    '169.254.169.254',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::254',
    '::1',
    '::',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::808:808',
    '2002:7f00:1::',
    '2001:0:4136:e378:8000:63bf:3fff:fdd2',
    'fe80::1',
    'ff02::1',
  ])('an inside address: %s', (address) => expect(isPublicAddress(address)).toBe(false))

  test('what is not plainly an address is not public', () => {
    const garbage = [
      '',
      'localhost',
      '1.1.1',
      '01.1.1.1',
      '1.1.1.256',
      '0x01.1.1.1',
      '1.1.1.1 ',
      '1.1.1.1\n',
      '2606::1%1',
    ]
    for (const text of [...garbage, '[2606:4700::1]', '2606:4700', ':::', '1:2:3:4:5:6:7:8:9', '2606::1::2']) {
      expect(isPublicAddress(text), JSON.stringify(text)).toBe(false)
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(isPublicAddress(`${text}x`)).toBe(false)
      }),
    )
  })
})
