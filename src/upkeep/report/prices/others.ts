import type { PriceTable } from './price-table.ts'

const free = [{ upTo: null, price: 0 }] as const
/** Where a provider's page says GB and no more, it is the decimal one. */
const gigabyte = 1e9

export const others: readonly PriceTable[] = [
  {
    id: 'r2',
    name: 'Cloudflare R2',
    asOf: '2026-08-03',
    page: 'https://developers.cloudflare.com/r2/pricing/',
    source: 'src/content/docs/r2/pricing.mdx of github.com/cloudflare/cloudflare-docs, as read by others on 2026-08-03',
    gigabyte,
    classes: {
      standard: { storage: [{ upTo: null, price: 0.015 }], puts: 0.0045, gets: 0.00036 },
      'infrequent-access': { storage: [{ upTo: null, price: 0.01 }], puts: 0.009, gets: 0.0009, retrieval: 0.01 },
    },
    egress: free,
  },
  {
    id: 'b2',
    name: 'Backblaze B2',
    asOf: '2026-04-01',
    page: 'https://www.backblaze.com/cloud-storage/pricing',
    source:
      'https://www.backblaze.com/cloud-storage/transaction-pricing (requests); storage and egress as ' +
      'https://leanopstech.com/blog/backblaze-b2-pricing-2026/ gives them for April 2026',
    gigabyte,
    classes: { standard: { storage: [{ upTo: null, price: 0.006 }], puts: 0, gets: 0.0004 } },
    egress: [{ upTo: null, price: 0.01 }],
  },
  {
    id: 'self-hosted',
    name: 'Your own machines (MinIO, Ceph, the embedded S3)',
    asOf: '2026-11-20',
    page: 'docs/report.md',
    source: 'Nobody sends a bill by the gigabyte; disks, power and time are not counted here',
    gigabyte,
    classes: { standard: { storage: free, puts: 0, gets: 0 } },
    egress: free,
  },
]
