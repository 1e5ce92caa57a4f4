import { formatSize } from '../media/index.ts'
import type { Io } from './io.ts'
import { printable } from './printable.ts'

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] as const
const interval = 100
const barWidth = 20

/** One line on a terminal that shows that long work goes on; nothing at all where nobody looks. */
export class Progress {
  readonly #output: Io['stderr']
  readonly #label: string
  readonly #start = performance.now()
  readonly #timer: NodeJS.Timeout | undefined
  #frame = 0
  #text: string | undefined
  #bytes = 0
  #total: number | undefined

  constructor(io: Pick<Io, 'stderr'>, label: string, options: { readonly quiet: boolean }) {
    this.#output = io.stderr
    this.#label = printable(label)
    if (options.quiet || io.stderr.isTTY !== true) return
    this.#timer = setInterval(() => this.#draw(), interval)
    this.#timer.unref()
  }

  /** @param total Bytes to expect, where known. */
  add(bytes: number, total?: number): void {
    this.#bytes += bytes
    this.#total = total
  }

  /** What stands behind the label from now on, in place of bytes and time. */
  say(text: string): void {
    this.#text = printable(text)
  }

  stop(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#output.write('\r\u001b[K')
  }

  #draw(): void {
    this.#frame += 1
    const parts = [frames[this.#frame % frames.length] ?? '', this.#label]
    if (this.#text !== undefined) parts.push(this.#text)
    if (this.#total !== undefined && this.#bytes < this.#total) parts.push(bar(this.#bytes / this.#total))
    if (this.#bytes > 0) parts.push(formatSize(this.#bytes))
    if (this.#text === undefined) parts.push(`${((performance.now() - this.#start) / 1000).toFixed(1)} s`)
    const line = parts.join('  ').slice(0, Math.max(20, (this.#output.columns ?? 80) - 1))
    this.#output.write(`\r\u001b[K${line}`)
  }
}

function bar(share: number): string {
  const full = Math.min(barWidth, Math.round(share * barWidth))
  return `${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${Math.floor(share * 100)}%`
}
