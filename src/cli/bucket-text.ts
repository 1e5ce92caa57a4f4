import type { BucketPlan, Decision, Plan, StepResult } from '../bucket/index.ts'
import type { Io } from './io.ts'
import { lineDiff } from './line-diff.ts'
import { printable } from './printable.ts'

type Paint = (colour: 'green' | 'red' | 'yellow' | 'dim' | 'bold', text: string) => string

const codes = { green: 32, red: 31, yellow: 33, dim: 2, bold: 1 } as const

/** Colours on a terminal only, and never where NO_COLOR is set (https://no-color.org). */
export function painter({ stdout, env }: Pick<Io, 'stdout' | 'env'>): Paint {
  const coloured = stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  return (colour, text) => (coloured ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text)
}

/** A plan as people read it: what is to change line by line, and one line for everything else. */
export function planText({ buckets }: Plan, paint: Paint): string {
  return buckets.map((bucket) => bucketText(bucket, paint)).join('\n')
}

function bucketText({ spec, create, live, parts }: BucketPlan, paint: Paint): string {
  const role = spec.role === 'media' ? '' : ` (${spec.role})`
  const lines = [`${paint('bold', `Bucket ${spec.name}`)}${role} in ${spec.region}, store: ${live.store.make}`]
  if (create) lines.push(paint('green', '+ bucket: will be made'))
  for (const { part, decision } of parts) lines.push(...partLines(part, decision, paint))
  return `${lines.join('\n')}\n`
}

function partLines(part: string, decision: Decision, paint: Paint): string[] {
  switch (decision.status) {
    case 'same':
      return [paint('dim', `= ${part}: as it is to be`), ...notes(decision.notes, paint)]
    case 'not asked':
      return [paint('dim', `= ${part}: not asked for`), ...notes(decision.notes, paint)]
    case 'change':
      return [
        paint('yellow', `~ ${part}`),
        ...lineDiff(jsonLines(decision.before), jsonLines(decision.after)).map(({ kind, text }) =>
          kind === 'same'
            ? `    ${text}`
            : kind === 'added'
              ? paint('green', `  + ${text}`)
              : paint('red', `  - ${text}`),
        ),
        ...notes(decision.notes, paint),
      ]
    case 'kept':
      return [paint('yellow', `! ${part}: ${keptTexts[decision.because]}`), ...notes(decision.notes, paint)]
    case 'not offered':
      return [paint('dim', `- ${part}: not offered: ${printable(decision.why)}`)]
    case 'unknown':
      return [paint('red', `? ${part}: unknown: ${printable(decision.why)}`)]
    case 'blocked':
      return [paint('red', `! ${part}: ${printable(decision.why)}`)]
  }
}

const keptTexts = {
  'in the way': 'not as asked: what others set stays as it is',
  'more than asked': 'kept as others set it',
  'left over': 'ours is left, though asked for no more',
} as const

function notes(texts: readonly string[], paint: Paint): string[] {
  return texts.map((text) => paint('dim', `    ${printable(text)}`))
}

function jsonLines(value: unknown): string[] {
  if (value === null || value === undefined) return []
  return pretty(value, '').split('\n').map(printable)
}

/** JSON in which a list of words that fits stands on one line. */
function pretty(value: unknown, indent: string): string {
  const inline = JSON.stringify(value)
  const flat = Array.isArray(value) && value.every((entry) => typeof entry !== 'object' || entry === null)
  if (typeof value !== 'object' || value === null || (flat && inline.length < 100)) return inline
  const inner = `${indent}  `
  const entries = Array.isArray(value)
    ? value.map((entry) => pretty(entry, inner))
    : Object.entries(value).map(([name, entry]) => `${JSON.stringify(name)}: ${pretty(entry, inner)}`)
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}']
  return entries.length === 0
    ? `${open}${close}`
    : `${open}\n${entries.map((entry) => inner + entry).join(',\n')}\n${indent}${close}`
}

/** One step of an apply, as it ends. */
export function stepText({ bucket, step, outcome, why }: StepResult, paint: Paint): string {
  const colour = outcome === 'done' ? 'green' : outcome === 'failed' ? 'red' : 'dim'
  const reason = why === undefined ? '' : `: ${printable(why)}`
  return `${paint(colour, outcome)} ${bucket} ${step === 'create' ? 'bucket' : step}${reason}\n`
}
