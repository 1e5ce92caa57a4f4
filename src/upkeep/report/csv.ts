import type { Report, ReportRow } from './report.ts'

type Column = { readonly name: string; readonly of: (row: ReportRow) => string | number | null }

/**
 * The rows of a report as RFC 4180 has it: CRLF, quotes where they are needed, a head. A report without rows is its
 * total in one line. Sizes are bytes, costs US dollars a month; a cost that is not known is empty.
 *
 * A cell that a spreadsheet would take for a formula (OWASP, "CSV Injection") gets a leading apostrophe: owners and
 * attributes are written by strangers.
 */
export function reportCsv(report: Report, options: { readonly head?: boolean } = {}): string {
  const columns = columnsOf(report)
  const rows = report.by === null ? [{ name: null, ...report.total }] : report.rows
  const lines = rows.map((row) => columns.map((column) => cell(column.of(row))).join(','))
  if (options.head !== false) lines.unshift(columns.map(({ name }) => cell(name)).join(','))
  return lines.map((line) => `${line}\r\n`).join('')
}

function columnsOf({ by, total, prices }: Report): readonly Column[] {
  const columns: Column[] = []
  if (by !== null) columns.push({ name: by, of: (row) => row.name })
  columns.push(
    { name: 'objects', of: (row) => row.objects },
    { name: 'bytes', of: (row) => row.bytes },
    { name: 'pending', of: (row) => row.pending },
    { name: 'failed', of: (row) => row.failed },
    { name: 'missing', of: (row) => row.missing },
    { name: 'corrupt', of: (row) => row.corrupt },
  )
  if (total.growth !== undefined) {
    columns.push(
      { name: 'added', of: (row) => row.growth?.added ?? null },
      { name: 'addedBytes', of: (row) => row.growth?.addedBytes ?? null },
      { name: 'removed', of: (row) => row.growth?.removed ?? null },
      { name: 'removedBytes', of: (row) => row.growth?.removedBytes ?? null },
    )
  }
  if (prices !== null) {
    columns.push(
      { name: 'puts', of: (row) => rounded(row.month?.puts, 0) },
      { name: 'gets', of: (row) => rounded(row.month?.gets, 0) },
      { name: 'egressBytes', of: (row) => rounded(row.month?.egress, 0) },
      { name: 'storageUsd', of: (row) => rounded(row.month?.cost.storage, 6) },
      { name: 'requestsUsd', of: (row) => rounded(row.month?.cost.requests, 6) },
      { name: 'egressUsd', of: (row) => rounded(row.month?.cost.egress, 6) },
      { name: 'totalUsd', of: (row) => rounded(row.month?.cost.total, 6) },
    )
  }
  return columns
}

function rounded(value: number | null | undefined, digits: number): string | null {
  return value === null || value === undefined ? null : value.toFixed(digits)
}

function cell(value: string | number | null): string {
  if (value === null) return ''
  const text = typeof value === 'string' && /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
