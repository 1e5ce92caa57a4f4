import { describe, expect, it } from 'vitest'
import { monthlyCost } from './cost.ts'
import { choosePrices, priceTables } from './prices/index.ts'

const { table, prices } = choosePrices('aws:us-east-1')
const northVirginia = { ...prices, gigabyte: table.gigabyte, ...(table.egress ? { egress: table.egress } : {}) }
/** The seeds count a gigabyte as 1000 megabytes. */
const asTheSeedsCount = { ...northVirginia, gigabyte: 1e9 }

/** Seed 002: "1000 users, 10 generations each, 5MB average file = 50GB = ~$1.15/month". */
const generations = { bytes: 50e9, bytesOf128KiB: 50e9, objectsOf128KiB: 10_000, puts: 0, gets: 0, egress: 0 }
/** Seed 003: 10 GB, 25,000 PUT, 50,000 GET, 20 GB out: "~$2.18/month". */
const photos = { bytes: 10e9, bytesOf128KiB: 10e9, objectsOf128KiB: 5000, puts: 25_000, gets: 50_000, egress: 20e9 }

describe('the worked example of seed 002', () => {
  it('is its $1.15 when counted as there: storage alone, decimal gigabytes', () => {
    expect(monthlyCost(generations, asTheSeedsCount).total).toBeCloseTo(1.15, 6)
  })

  it('is $1.12 as AWS counts: 50 GB are 46.57 billed ones, and 10,000 writes cost five cents', () => {
    const { storage, requests, total } = monthlyCost({ ...generations, puts: 10_000 }, northVirginia)
    expect(storage).toBeCloseTo((50e9 / 2 ** 30) * 0.023, 6)
    expect(storage).toBeCloseTo(1.071, 3)
    expect(requests).toBeCloseTo(0.05, 6)
    expect(total).toBeCloseTo(1.121, 3)
  })
})

describe('the worked example of seed 003', () => {
  it('is its $2.18 when counted as there, line by line', () => {
    const { storage, requests, egress, total } = monthlyCost(photos, asTheSeedsCount)
    expect(storage).toBeCloseTo(0.23, 6)
    expect(requests).toBeCloseTo(0.125 + 0.02, 6)
    expect(egress).toBeCloseTo(1.8, 6)
    expect(total).toBeCloseTo(2.175, 6)
  })

  it('is $2.04 as AWS counts: its gigabytes are the larger ones', () => {
    expect(monthlyCost(photos, northVirginia).total).toBeCloseTo(2.0356, 4)
  })
})

describe('a cost', () => {
  const nothing = { bytes: 0, bytesOf128KiB: 0, objectsOf128KiB: 0, puts: 0, gets: 0, egress: 0 }
  const of = (id: string) => {
    const chosen = choosePrices(id)
    return {
      ...chosen.prices,
      gigabyte: chosen.table.gigabyte,
      ...(chosen.table.egress ? { egress: chosen.table.egress } : {}),
    }
  }

  it('goes down by tiers', () => {
    const terabyte = 2 ** 40
    const { storage } = monthlyCost({ ...nothing, bytes: 60 * terabyte }, of('aws:us-east-1'))
    expect(storage).toBeCloseTo(51_200 * 0.023 + 10_240 * 0.022, 4)
    expect(monthlyCost({ ...nothing, egress: 200 * terabyte }, of('aws:us-east-1')).egress).toBeCloseTo(
      10_240 * 0.09 + 40_960 * 0.085 + 102_400 * 0.07 + 51_200 * 0.05,
      4,
    )
  })

  it('of rare access counts 128 KiB an object, and reading', () => {
    const small = { ...nothing, bytes: 2 ** 30, bytesOf128KiB: 4 * 2 ** 30, egress: 2 ** 30 }
    const cost = monthlyCost(small, of('aws:us-east-1:standard-ia'))
    expect(cost.storage).toBeCloseTo(4 * 0.0125, 6)
    expect(cost.egress).toBeCloseTo(0.09 + 0.01, 6)
  })

  it('of intelligent tiering counts the watching', () => {
    const watched = { ...nothing, objectsOf128KiB: 1_000_000 }
    expect(monthlyCost(watched, of('aws:us-east-1:intelligent-tiering')).storage).toBeCloseTo(2.5, 6)
  })

  it('leaves out what no price is known of, and says so', () => {
    expect(monthlyCost(photos, of('aws:us-east-2'))).toMatchObject({ requests: null, egress: null })
    expect(monthlyCost(photos, of('aws:ap-southeast-1:standard-ia'))).toMatchObject({ requests: null, egress: null })
    expect(monthlyCost(photos, of('aws:eu-west-1'))).toMatchObject({ requests: null, egress: expect.closeTo(1.676, 3) })
  })

  it('is nothing on one’s own machines, and has no egress at R2', () => {
    expect(monthlyCost(photos, of('self-hosted')).total).toBe(0)
    expect(monthlyCost(photos, of('r2')).egress).toBe(0)
    // Cloudflare's own example: 1,000 GB-months are $14.85 after the ten that are free.
    expect(monthlyCost({ ...nothing, bytes: 990e9 }, of('r2')).storage).toBeCloseTo(14.85, 6)
  })
})

describe('the price tables', () => {
  it('have one id each, a day, a page and a source, tiers that go up, and prices that are none below zero', () => {
    expect(new Set(priceTables.map(({ id }) => id)).size).toBe(priceTables.length)
    for (const one of priceTables) {
      expect(one.asOf).toMatch(/^20\d\d-\d\d-\d\d$/)
      expect([one.page, one.source].every((text) => text.length > 10)).toBe(true)
      for (const tiers of [...Object.values(one.classes).map(({ storage }) => storage), one.egress ?? []]) {
        const ends = tiers.map(({ upTo }) => upTo ?? Number.POSITIVE_INFINITY)
        expect(ends).toEqual(ends.toSorted((a, b) => a - b))
        if (tiers.length > 0) expect(ends.at(-1)).toBe(Number.POSITIVE_INFINITY)
        expect(tiers.every(({ price }) => price >= 0)).toBe(true)
      }
    }
  })

  it('are chosen by id and class; what is not there is named with what is', () => {
    expect(choosePrices('aws:us-east-1:glacier-instant')).toMatchObject({ className: 'glacier-instant' })
    expect(choosePrices('b2').table.name).toBe('Backblaze B2')
    expect(() => choosePrices('aws:us-east-1:deep')).toThrow(/class 'deep'.*Known: standard, .*standard-ia/)
    expect(() => choosePrices('gcs')).toThrow(/for 'gcs'.*aws:us-east-1.*self-hosted/)
  })
})
