import type { PriceTable, StorageClassPrices, Tier } from './price-table.ts'

const page = 'https://aws.amazon.com/s3/pricing/'
/** S3 counts a GB-month as 1,073,741,824 bytes (Amazon S3 FAQ, "How will I be charged and billed"). */
const gigabyte = 2 ** 30

const flat = (price: number): readonly Tier[] => [{ upTo: null, price }]

/** S3 Standard goes down at 50 TB and at 500 TB, egress at 10, 50 and 150 TB (1 TB is 1024 GB). */
const storageTiers = (first: number, next: number, rest: number): readonly Tier[] => [
  { upTo: 51_200, price: first },
  { upTo: 512_000, price: next },
  { upTo: null, price: rest },
]
const egressTiers = (first: number, second: number, third: number, rest: number): readonly Tier[] => [
  { upTo: 10_240, price: first },
  { upTo: 51_200, price: second },
  { upTo: 153_600, price: third },
  { upTo: null, price: rest },
]

const northVirginia: PriceTable = {
  id: 'aws:us-east-1',
  name: 'Amazon S3, US East (N. Virginia)',
  asOf: '2025-10-28',
  page,
  source:
    'AWS Price List API of 2025-10-28, and its repetition in the drift check of github.com/scttfrdmn/objectfs ' +
    '(internal/awsrates); the same figures as in the seeds (January 2025)',
  gigabyte,
  classes: {
    standard: { storage: storageTiers(0.023, 0.022, 0.021), puts: 0.005, gets: 0.0004 },
    'intelligent-tiering': {
      storage: storageTiers(0.023, 0.022, 0.021),
      puts: 0.005,
      gets: 0.0004,
      monitoring: 0.0025,
    },
    'standard-ia': { storage: flat(0.0125), puts: 0.01, gets: 0.001, retrieval: 0.01, atLeast128KiB: true },
    'glacier-instant': { storage: flat(0.004), puts: 0.02, gets: 0.01, retrieval: 0.03, atLeast128KiB: true },
  },
  egress: egressTiers(0.09, 0.085, 0.07, 0.05),
}

const frankfurt: PriceTable = {
  id: 'aws:eu-central-1',
  name: 'Amazon S3, Europe (Frankfurt)',
  asOf: '2026-08-31',
  page,
  source: 'AWS Price List API, AmazonS3 and AWSDataTransfer for eu-central-1, published 2026-08-31',
  gigabyte,
  classes: { standard: { storage: storageTiers(0.0245, 0.0235, 0.0225), puts: 0.0054, gets: 0.00043 } },
  egress: egressTiers(0.09, 0.085, 0.07, 0.05),
}

const singapore: PriceTable = {
  id: 'aws:ap-southeast-1',
  name: 'Amazon S3, Asia Pacific (Singapore)',
  asOf: '2026-07-04',
  page,
  source: 'AWS Price List API of 2026-08-12 (storage, requests) and of 2026-07-04 (egress, first tier)',
  gigabyte,
  classes: {
    standard: { storage: flat(0.025), puts: 0.005, gets: 0.0004 },
    'standard-ia': { storage: flat(0.0138), atLeast128KiB: true },
    'glacier-instant': { storage: flat(0.005), atLeast128KiB: true },
  },
  egress: flat(0.12),
}

const tokyo: PriceTable = {
  id: 'aws:ap-northeast-1',
  name: 'Amazon S3, Asia Pacific (Tokyo)',
  asOf: '2021-03-01',
  page,
  source:
    'AWS Price List API of 2026-07-01 (storage) and of 2026-07-04 (egress, first tier); writes from an AWS bill of ' +
    'March 2021 and reads from an older one, which test data of the price list repeats',
  gigabyte,
  classes: { standard: { storage: flat(0.025), puts: 0.0047, gets: 0.00037 } },
  egress: flat(0.114),
}

const oregon: PriceTable = {
  id: 'aws:us-west-2',
  name: 'Amazon S3, US West (Oregon)',
  asOf: '2026-07-01',
  page,
  source:
    'AWS Price List API of 2026-07-01 (storage) and of 2026-07-04 (egress, first tier); requests and Standard-IA out ' +
    'of a published bill (amounts over quantities), which agree with us-east-1',
  gigabyte,
  classes: {
    standard: { storage: flat(0.023), puts: 0.005, gets: 0.0004 },
    'standard-ia': { storage: flat(0.0125), puts: 0.01, atLeast128KiB: true },
  },
  egress: flat(0.09),
}

/** Regions of which only these figures were found: Standard storage, and in some the egress, both the first tier. */
const firstTiers: readonly (readonly [region: string, place: string, storage: number, egress?: number])[] = [
  ['us-east-2', 'US East (Ohio)', 0.023],
  ['us-west-1', 'US West (N. California)', 0.026],
  ['ca-central-1', 'Canada (Central)', 0.025],
  ['sa-east-1', 'South America (São Paulo)', 0.0405],
  ['eu-west-1', 'Europe (Ireland)', 0.023, 0.09],
  ['eu-west-2', 'Europe (London)', 0.024],
  ['eu-west-3', 'Europe (Paris)', 0.024],
  ['eu-north-1', 'Europe (Stockholm)', 0.023],
  ['af-south-1', 'Africa (Cape Town)', 0.0274],
  ['me-south-1', 'Middle East (Bahrain)', 0.025],
  ['ap-southeast-2', 'Asia Pacific (Sydney)', 0.025, 0.114],
  ['ap-southeast-3', 'Asia Pacific (Jakarta)', 0.025, 0.132],
  ['ap-northeast-2', 'Asia Pacific (Seoul)', 0.025],
  ['ap-south-1', 'Asia Pacific (Mumbai)', 0.025],
]

export const aws: readonly PriceTable[] = [
  northVirginia,
  oregon,
  frankfurt,
  singapore,
  tokyo,
  ...firstTiers.map(
    ([region, place, storage, egress]): PriceTable => ({
      id: `aws:${region}`,
      name: `Amazon S3, ${place}`,
      asOf: '2026-07-01',
      page,
      source: 'AWS Price List API of 2026-07-01 (storage, first tier) and of 2026-07-04 (egress, first tier)',
      gigabyte,
      classes: { standard: { storage: flat(storage) } satisfies StorageClassPrices },
      ...(egress === undefined ? {} : { egress: flat(egress) }),
    }),
  ),
]
