import { KeepsakeError } from './errors.ts'

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
}

const second = 1
const durationUnits: Readonly<Record<string, number>> = {
  '': second,
  s: second,
  m: 60,
  min: 60,
  h: 3600,
  d: 86_400,
  w: 7 * 86_400,
  mo: 30 * 86_400,
  y: 365 * 86_400,
}

/**
 * A size in bytes, from a number or a text such as `'100 MB'` (decimal) or `'16 MiB'` (binary), rounded to whole bytes.
 *
 * @throws {KeepsakeError} `invalid_setting` where it is neither, is negative, or is not a safe integer.
 */
export function parseSize(value: number | string): number {
  return parseQuantity(value, sizeUnits, 'size', "a number of bytes, or a text such as '100 MB' or '16 MiB'")
}

/**
 * A duration in seconds, from a number or a text such as `'15m'`, `'24h'`, `'7d'`, `'1y'` (365 days), rounded to whole
 * seconds. Case does not matter: `m` is always a minute, a month is `mo` (30 days).
 *
 * @throws {KeepsakeError} `invalid_setting` where it is neither, is negative, or is not a safe integer.
 */
export function parseDuration(value: number | string): number {
  return parseQuantity(value, durationUnits, 'duration', "a number of seconds, or a text such as '15m', '7d' or '1y'")
}

function parseQuantity(
  value: number | string,
  units: Readonly<Record<string, number>>,
  noun: string,
  allowed: string,
): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(String(value))
  const name = match?.[2]?.toLowerCase() ?? ''
  const unit = Object.hasOwn(units, name) ? units[name] : undefined
  const result = match && unit !== undefined ? Math.round(Number(match[1]) * unit) : Number.NaN
  if (!Number.isSafeInteger(result)) {
    throw new KeepsakeError('invalid_setting', `'${value}' is not a ${noun}. Allowed is ${allowed}.`)
  }
  return result
}

const binaryUnits = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** A number of bytes for people: `'1.5 MiB'`. */
export function formatSize(bytes: number): string {
  let value = bytes
  let unit = 0
  // Rounded, so that one byte less than a MiB is not shown as 1024 KiB.
  while (Math.round(value) >= 1024 && unit < binaryUnits.length - 1) {
    value /= 1024
    unit += 1
  }
  if (unit === 0) return value === 1 ? '1 byte' : `${value} bytes`
  return `${value.toFixed(value < 9.95 ? 1 : 0)} ${binaryUnits[unit]}`
}
