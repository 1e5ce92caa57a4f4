import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os'
import { join, resolve } from 'node:path'

/** A line of the table; the columns are named by the first one. */
export type Row = Readonly<Record<string, string | number>>

export type Part = {
  readonly name: string
  readonly title: string
  readonly rows: readonly Row[]
  /** How it was measured, and what the figures do not say. */
  readonly notes: readonly string[]
  /** Each figure with its median and spread, for machines. */
  readonly figures: unknown
}

type Machine = ReturnType<typeof describeMachine>

function describeMachine() {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memory: `${Math.round(totalmem() / 1024 ** 3)} GiB`,
    os: `${type()} ${release()}`,
    node: process.version,
    /** Of the last minute, the benchmark's own included: much above the cores, and the rates suffered. */
    load: Number((loadavg()[0] ?? 0).toFixed(1)),
    commit: commit(),
  }
}

function commit(): string {
  const git = (...words: string[]) => execFileSync('git', words, { cwd: import.meta.dirname, encoding: 'utf8' }).trim()
  try {
    return (
      git('rev-parse', '--short=12', 'HEAD') + (git('status', '--porcelain', '--', ':/src') === '' ? '' : ', changed')
    )
  } catch {
    return 'unknown'
  }
}

/** Writes a part's table to stdout and, with the machine that it was measured on, into bench/results. */
export async function report(part: Part): Promise<void> {
  const machine = describeMachine()
  const at = new Date()
  console.log(`\n${part.title}\n`)
  console.log(table(part.rows))
  for (const note of part.notes) console.log(`- ${note}`)
  const folder = resolve(import.meta.dirname, 'results')
  const file = join(folder, `${at.toISOString().slice(0, 10)}-${part.name}`)
  await mkdir(folder, { recursive: true })
  await writeFile(`${file}.md`, markdown(part, machine, at))
  await writeFile(`${file}.json`, `${JSON.stringify({ at, machine, ...part }, null, 2)}\n`)
}

function markdown({ title, rows, notes }: Part, machine: Machine, at: Date): string {
  const { cpu, cores, memory, os, node, load, commit } = machine
  return [
    `# ${title}`,
    `Measured ${at.toISOString()} at commit ${commit} on ${cpu}, ${cores} cores, ${memory}, ${os}, Node ${node}; load ${load}.`,
    table(rows),
    notes.map((note) => `- ${note}`).join('\n'),
    '',
  ].join('\n\n')
}

/** A Markdown table whose columns line up on a terminal too. */
function table(rows: readonly Row[]): string {
  const names = Object.keys(rows[0] ?? {})
  const cells = [names, ...rows.map((row) => names.map((name) => `${row[name] ?? ''}`))]
  const widths = names.map((_, column) => Math.max(...cells.map((line) => (line[column] ?? '').length)))
  const line = (words: readonly string[]) =>
    `| ${words.map((word, column) => word.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const [head = [], ...body] = cells
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n')
}
