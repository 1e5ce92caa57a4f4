import fc from 'fast-check'
import { expect, it } from 'vitest'
import { reportCsv } from './csv.ts'
import type { Report } from './report.ts'

const figures = { objects: 2, bytes: 1000, pending: 0, failed: 1, missing: 0, corrupt: 0 }

function reportOf(names: readonly (string | null)[], extra: Partial<Report> = {}): Report {
  const rows = names.map((name) => ({ name, ...figures }))
  return {
    at: new Date(),
    by: 'owner',
    rows,
    groups: rows.length,
    total: figures,
    nextCursor: null,
    replica: null,
    prices: null,
    ...extra,
  }
}

/** RFC 4180 read back, by its grammar. */
function parse(csv: string): string[][] {
  const lines: string[][] = []
  let at = 0
  while (at < csv.length) {
    const cells: string[] = []
    for (;;) {
      if (csv[at] === '"') {
        const end = /"(?:[^"]|"")*"/y
        end.lastIndex = at
        const quoted = end.exec(csv)?.[0] ?? ''
        cells.push(quoted.slice(1, -1).replaceAll('""', '"'))
        at += quoted.length
      } else {
        const plain = /[^,\r\n"]*/y
        plain.lastIndex = at
        const text = plain.exec(csv)?.[0] ?? ''
        cells.push(text)
        at += text.length
      }
      if (csv[at] !== ',') break
      at += 1
    }
    expect(csv.slice(at, at + 2)).toBe('\r\n')
    at += 2
    lines.push(cells)
  }
  return lines
}

it('is RFC 4180: a head, CRLF, quotes where needed', () => {
  expect(reportCsv(reportOf(['ada', 'a "b", c\nd']))).toBe(
    'owner,objects,bytes,pending,failed,missing,corrupt\r\n' +
      'ada,2,1000,0,1,0,0\r\n' +
      '"a ""b"", c\nd",2,1000,0,1,0,0\r\n',
  )
  expect(reportCsv(reportOf([null]), { head: false })).toBe(',2,1000,0,1,0,0\r\n')
  expect(reportCsv(reportOf([], { by: null }))).toBe(
    'objects,bytes,pending,failed,missing,corrupt\r\n2,1000,0,1,0,0\r\n',
  )
})

it('gives every name back, and no cell that a spreadsheet takes for a formula', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', minLength: 1 })), (names) => {
      const [, ...lines] = parse(reportCsv(reportOf(names)))
      const cells = lines.map(([name]) => name ?? '')
      expect(cells.some((name) => /^[=+\-@\t\r\n]/.test(name))).toBe(false)
      expect(cells.map((cell, index) => (cell === names[index] ? cell : cell.slice(1)))).toEqual(names)
    }),
  )
  const formulas = ['=cmd()', '+1', '-2', '@sum', '\tx', '=HYPERLINK("http://evil.example","a,b")']
  expect(
    parse(reportCsv(reportOf(formulas)))
      .slice(1)
      .map(([name]) => name),
  ).toEqual(formulas.map((it) => `'${it}`))
})

it('has growth and costs where the report has them; what is not known is empty', () => {
  const cost = { storage: 1.15, requests: null, egress: 0, total: 1.15 }
  const row = { ...figures, month: { puts: 1.5, gets: 0, egress: 0, cost } }
  const prices = {
    id: 'x',
    name: 'X',
    storageClass: 'standard',
    asOf: '2026-01-01',
    page: 'y',
    currency: 'USD',
  } as const
  const csv = parse(reportCsv(reportOf([], { rows: [{ name: 'ada', ...row }], total: row, prices })))
  expect(csv[0]?.slice(7)).toEqual([
    'puts',
    'gets',
    'egressBytes',
    'storageUsd',
    'requestsUsd',
    'egressUsd',
    'totalUsd',
  ])
  expect(csv[1]?.slice(7)).toEqual(['2', '0', '0', '1.150000', '', '0.000000', '1.150000'])
  const growth = { added: 3, addedBytes: 30, removed: 1, removedBytes: 10 }
  const grown = reportOf([], {
    by: 'month',
    rows: [{ name: '2026-01', ...figures, growth }],
    total: { ...figures, growth },
  })
  expect(parse(reportCsv(grown))[1]?.slice(7)).toEqual(['3', '30', '1', '10'])
})
