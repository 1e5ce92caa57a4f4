import { z } from 'zod'
import { withClient } from '../client.ts'
import { type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../printable.ts'
import { type CommonOptions, jsonDocument, queryOf } from './options.ts'

export type DoctorOptions = CommonOptions & { readonly only?: string; readonly all?: boolean }

const findingSchema = z.looseObject({
  id: z.string(),
  title: z.string(),
  severity: z.enum(['critical', 'high', 'medium', 'low', 'info']),
  status: z.enum(['pass', 'fail', 'not_offered', 'unknown']),
  seen: z.string(),
  why: z.string(),
  fix: z.string(),
})
type Finding = z.output<typeof findingSchema>

const reportSchema = z.looseObject({ findings: z.array(findingSchema) })

export async function doctorVerb(options: DoctorOptions, io: Io): Promise<ExitCode> {
  const report = await withClient(options, io, (client) =>
    client.json(reportSchema, `/v1/doctor${queryOf({ only: options.only })}`),
  )
  const { findings } = report
  io.stdout.write(options.json ? jsonDocument(report) : page(findings, options.all ?? false, paintFor(io)))
  return exitCodeOf(findings)
}

function exitCodeOf(findings: readonly Finding[]): ExitCode {
  const failed = findings.filter(({ status }) => status === 'fail').map(({ severity }) => severity)
  if (failed.some((severity) => severity === 'critical' || severity === 'high')) return exitCodes.failure
  if (failed.some((severity) => severity !== 'info')) return exitCodes.refused
  return findings.some(({ status }) => status === 'unknown') ? exitCodes.unavailable : exitCodes.ok
}

type Paint = (text: string, color: keyof typeof colors) => string

/** SGR parameters (ECMA-48, 8.3.117). */
const colors = { red: 31, green: 32, yellow: 33, bold: 1, faint: 2 } as const

/** https://no-color.org */
function paintFor({ stdout, env }: Io): Paint {
  const colored = stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  return (text, color) => (colored ? `\u001b[${colors[color]}m${text}\u001b[0m` : text)
}

const groups: Readonly<Record<string, string>> = {
  S3: 'Bucket: controls of AWS Security Hub',
  bucket: 'Bucket: what Keepsake counts on',
  probe: 'Bucket: tried out',
  catalogue: 'Catalogue',
  folder: 'Data folder',
  settings: 'Settings',
}
const severityOrder = ['critical', 'high', 'medium', 'low', 'info'] as const

/** What fails first, the worst in front; then what is not known; then, a line each, what is well. */
function page(findings: readonly Finding[], all: boolean, paint: Paint): string {
  const failed = findings
    .filter(({ status }) => status === 'fail')
    .toSorted((a, b) => severityOrder.indexOf(a.severity) - severityOrder.indexOf(b.severity))
  const unknown = findings.filter(({ status }) => status === 'unknown')
  const blocks = [...failed.map((finding) => block(finding, paint)), ...unknownBlocks(unknown, paint)]
  const rest = findings.filter(({ status }) => status === 'pass' || status === 'not_offered')
  const listed = all ? grouped(rest, paint) : counted(findings, paint)
  return `${blocks.join('')}${listed}\n${summary(findings, paint)}`
}

function block(finding: Finding, paint: Paint): string {
  const { id, title, severity, status, seen, why, fix } = finding
  const grave = severity === 'critical' || severity === 'high'
  const mark =
    status === 'unknown'
      ? paint('? unknown', 'yellow')
      : paint(`✗ ${severity}`, grave ? 'red' : severity === 'info' ? 'faint' : 'yellow')
  const lines = [
    `${mark}  ${paint(printable(title), 'bold')}  ${paint(id, 'faint')}`,
    `    seen  ${printable(seen)}`,
    ...(status === 'fail' ? [`    why   ${printable(why)}`, `    fix   ${printable(fix)}`] : []),
  ]
  return `${lines.join('\n')}\n\n`
}

/** One cause leaves many things unknown: what has the same reason is told once. */
function unknownBlocks(findings: readonly Finding[], paint: Paint): string[] {
  return [...Map.groupBy(findings, ({ seen }) => seen)].map(([seen, all]) => {
    const [first] = all
    if (first !== undefined && all.length === 1) return block(first, paint)
    const ids = all.map(({ id }) => id).join(', ')
    return `${paint('? unknown', 'yellow')}  ${paint(`${all.length} checks`, 'bold')}  ${paint(ids, 'faint')}\n    seen  ${printable(seen)}\n\n`
  })
}

function grouped(findings: readonly Finding[], paint: Paint): string {
  const names = [...new Set(findings.map(({ id }) => groupOf(id)))]
  return names
    .map((name) => {
      const lines = findings
        .filter(({ id }) => groupOf(id) === name)
        .map(({ id, title, status, seen }) => {
          const mark = status === 'pass' ? paint('✓', 'green') : paint('–', 'faint')
          return `  ${mark} ${printable(title)}  ${paint(`${id}: ${printable(seen)}`, 'faint')}\n`
        })
      return `${paint(groups[name] ?? name, 'bold')}\n${lines.join('')}`
    })
    .join('\n')
}

/** A line for each group. */
function counted(findings: readonly Finding[], paint: Paint): string {
  const names = [...new Set(findings.map(({ id }) => groupOf(id)))]
  const width = Math.max(0, ...names.map((name) => (groups[name] ?? name).length))
  return names
    .map((name) => {
      const own = findings.filter(({ id }) => groupOf(id) === name)
      const passed = own.filter(({ status }) => status === 'pass').length
      const none = own.filter(({ status }) => status === 'not_offered').length
      const isWell = passed + none === own.length
      const mark = isWell
        ? paint('✓', 'green')
        : own.some(({ status }) => status === 'fail')
          ? paint('✗', 'red')
          : paint('?', 'yellow')
      return `${mark} ${(groups[name] ?? name).padEnd(width)}  ${passed} of ${own.length - none} passed\n`
    })
    .join('')
}

function groupOf(id: string): string {
  return id.split('.')[0] ?? id
}

function summary(findings: readonly Finding[], paint: Paint): string {
  const count = (status: Finding['status']) => findings.filter((one) => one.status === status).length
  const [fail, unknown] = [count('fail'), count('unknown')]
  const parts = [
    fail > 0 ? paint(`${fail} failed`, 'red') : 'none failed',
    ...(unknown > 0 ? [paint(`${unknown} unknown`, 'yellow')] : []),
    paint(`${count('pass')} passed`, 'green'),
    ...(count('not_offered') > 0 ? [`${count('not_offered')} not offered`] : []),
  ]
  return `${parts.join(', ')}\n`
}
