import { z } from 'zod'
import { KeepsakeError } from '../media/index.ts'
import {
  type Answer,
  type AnswerBody,
  type CallInit,
  type Connection,
  type ConnectOptions,
  connect,
} from './connect.ts'
import { CliFailure } from './failure.ts'
import { failureOf } from './failure-of.ts'
import type { Io } from './io.ts'

/** Milliseconds for a call that only asks, and for one that moves media. */
const shortDeadline = 60_000
const longDeadline = 600_000

/** What the command line reads of an answer; a newer server may say more. */
export const assetSchema = z.looseObject({
  id: z.string(),
  collection: z.string(),
  owner: z.string(),
  state: z.string(),
  kind: z.string().nullable(),
  size: z.number().nullable(),
  contentType: z.string().nullable(),
  attributes: z.record(z.string(), z.string()),
  url: z.string().nullable(),
  createdAt: z.string(),
  problem: z.looseObject({ code: z.string(), message: z.string() }).optional(),
})
export type AssetAnswer = z.output<typeof assetSchema>

export const assetPageSchema = z.looseObject({ assets: z.array(assetSchema), nextCursor: z.string().nullable() })

export const urlsSchema = z.looseObject({
  urls: z.array(
    z.union([
      z.looseObject({ id: z.string(), url: z.string(), expiresAt: z.string() }),
      z.looseObject({ id: z.string(), code: z.string() }),
    ]),
  ),
})

export const auditPageSchema = z.looseObject({
  entries: z.array(
    z.looseObject({
      at: z.string(),
      action: z.string(),
      asset: z.string(),
      owner: z.string(),
      actor: z.string(),
      requestId: z.string().optional(),
    }),
  ),
  nextCursor: z.string().nullable(),
})

const problemSchema = z.looseObject({
  code: z.string(),
  status: z.number(),
  title: z.string(),
  detail: z.string(),
  requestId: z.string().optional(),
})

/** A line of an answer that takes long, see src/http/lines.ts. */
const lineSchema = z.looseObject({ type: z.string() })
/** Milliseconds without a line, not even one that says that the server is alive, after which it is taken for dead. */
const silenceDeadline = 60_000

type Call = Omit<CallInit, 'signal'> & { readonly long?: boolean }

/** The HTTP contract with failures as {@link CliFailure}. */
export class Client {
  readonly #connection: Connection
  readonly #signal: AbortSignal

  constructor(connection: Connection, signal: AbortSignal) {
    this.#connection = connection
    this.#signal = signal
  }

  /** Answers of 2xx and 3xx; every other one is thrown. */
  async call(path: string, { long, ...init }: Call = {}): Promise<Answer> {
    const deadline = AbortSignal.timeout(long ? longDeadline : shortDeadline)
    let answer: Answer
    try {
      answer = await this.#connection.call(path, { ...init, signal: AbortSignal.any([this.#signal, deadline]) })
    } catch (error) {
      throw this.#unreachable(error, deadline)
    }
    if (answer.status < 400) return answer
    throw await this.#refusal(answer)
  }

  async json<T>(schema: z.ZodType<T>, path: string, init: Call = {}): Promise<T> {
    return this.read(schema, await this.call(path, init))
  }

  async read<T>(schema: z.ZodType<T>, answer: Answer): Promise<T> {
    const parsed = schema.safeParse(parseJson(await answer.text()))
    if (parsed.success) return parsed.data
    throw this.#failure(
      'internal',
      502,
      `${this.#connection.name} answers, but not as a Keepsake does. Check the address.`,
    )
  }

  /**
   * Calls for work that takes long and tells how it goes on. Resolves with the result's line.
   *
   * @param onProgress Told each line of progress.
   */
  async lines<T>(
    schema: z.ZodType<T>,
    path: string,
    init: Omit<Call, 'long'>,
    onProgress: (line: Readonly<Record<string, unknown>>) => void = () => {},
  ): Promise<T> {
    const silence = new AbortController()
    const timer = setTimeout(() => silence.abort(), silenceDeadline)
    const signal = AbortSignal.any([this.#signal, silence.signal])
    try {
      const answer = await this.#connection.call(path, { ...init, signal })
      if (answer.status >= 400) throw await this.#refusal(answer)
      for await (const text of textLines(answer.body, signal)) {
        timer.refresh()
        const line = lineSchema.safeParse(parseJson(text))
        if (!line.success) break
        if (line.data.type === 'progress') onProgress(line.data)
        if (line.data.type === 'problem') throw new CliFailure(problemSchema.parse(line.data))
        if (line.data.type === 'result') return schema.parse(line.data)
      }
      signal.throwIfAborted()
    } catch (error) {
      throw this.#unreachable(error, silence.signal)
    } finally {
      clearTimeout(timer)
    }
    throw this.#failure('unreachable', 503, `${this.#connection.name} hung up before it was done.`)
  }

  #unreachable(error: unknown, deadline: AbortSignal): CliFailure {
    if (error instanceof CliFailure) return error
    // What was to be sent could not be read.
    if (error instanceof Error && KeepsakeError.is(error.cause)) return failureOf(error.cause)
    if (KeepsakeError.is(error)) return failureOf(error)
    if (this.#signal.aborted) return CliFailure.interrupted()
    const { name } = this.#connection
    if (deadline.aborted) return this.#failure('timeout', 504, `No answer from ${name} in time. Look again with ls.`)
    return this.#failure('unreachable', 503, `${name} cannot be reached (${reasonOf(error)}). Is the server running?`)
  }

  async #refusal(answer: Answer): Promise<CliFailure> {
    const parsed = problemSchema.safeParse(parseJson(await answer.text().catch(() => '')))
    if (parsed.success) return new CliFailure(parsed.data)
    return this.#failure('unexpected', answer.status, `${this.#connection.name} answered ${answer.status}.`)
  }

  #failure(code: string, status: number, detail: string): CliFailure {
    return new CliFailure({ code, status, title: 'No usable answer', detail })
  }
}

/** Runs work with a connection, and lets go of it whatever happens. */
export async function withClient<T>(options: ConnectOptions, io: Io, work: (client: Client) => Promise<T>): Promise<T> {
  const connection = await connect(options, io)
  try {
    return await work(new Client(connection, io.signal))
  } finally {
    await connection.close()
  }
}

/** A body's lines; ends early, and lets go of the body, once the signal is aborted. */
async function* textLines(body: AnswerBody | null, signal: AbortSignal): AsyncIterable<string> {
  if (body === null) return
  const reader = body.getReader()
  const decoder = new TextDecoder()
  const stop = () => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', stop, { once: true })
  try {
    let rest = ''
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const whole = (rest + decoder.decode(next.value, { stream: true })).split('\n')
      rest = whole.pop() ?? ''
      yield* whole
    }
    if (rest !== '') yield rest
  } finally {
    signal.removeEventListener('abort', stop)
    stop()
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** fetch hides the reason in the cause. */
function reasonOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (inner instanceof Error) return 'code' in inner ? String(inner.code) : inner.message
  return String(inner)
}
