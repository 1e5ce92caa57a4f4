import { setTimeout as sleep } from 'node:timers/promises'
import { createLogger } from '../logging/index.ts'
import { KeepsakeError } from '../media/index.ts'
import { CliFailure } from './failure.ts'
import type { Io } from './io.ts'

export type CallInit = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | AsyncIterable<Uint8Array>
  readonly signal: AbortSignal
}

/** What is used of a ReadableStream, be it the platform's or undici's. */
export type AnswerBody = {
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>
    cancel(): Promise<void>
  }
}

export type Answer = {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  /** The bytes as they come; null where there are none. */
  readonly body: AnswerBody | null
  text(): Promise<string>
}

/** A way to speak the HTTP contract with a Keepsake, wherever it runs. */
export type Connection = {
  /** For messages. */
  readonly name: string
  call(path: string, init: CallInit): Promise<Answer>
  close(): Promise<void>
}

export type ConnectOptions = { readonly url?: string; readonly apiKey?: string; readonly dataDir?: string }

/** Milliseconds to wait for a verb in another process that holds the data folder without serving. */
const holderPatience = 10_000

/**
 * One of three ways, the first that applies: the server that `--url` or KEEPSAKE_URL names; the process that holds the
 * data folder, through its socket; or Keepsake opened in this very process, without a port.
 */
export async function connect(options: ConnectOptions, io: Io): Promise<Connection> {
  const url = options.url ?? io.env.KEEPSAKE_URL
  if (url !== undefined && url !== '') return connectRemote(url, options.apiKey ?? io.env.KEEPSAKE_API_KEY)
  return connectLocal(options, io)
}

async function connectRemote(address: string, apiKey: string | undefined): Promise<Connection> {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '') {
    throw CliFailure.usage('KEEPSAKE_URL (or --url) must be an address such as https://keepsake.example.')
  }
  const base = url.href.replace(/\/+$/, '')
  const { fetch } = await import('undici')
  return {
    name: base,
    call: (path, { body, headers, ...init }) =>
      fetch(base + path, {
        ...init,
        redirect: 'manual',
        headers: { ...headers, ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}) },
        ...(body === undefined ? {} : { body, duplex: 'half' as const }),
      }),
    close: async () => {},
  }
}

async function connectLocal(options: ConnectOptions, io: Io): Promise<Connection> {
  const env = options.dataDir === undefined ? io.env : { ...io.env, KEEPSAKE_DATA_DIR: options.dataDir }
  const installation = await io.installation(env)
  const until = performance.now() + holderPatience
  for (;;) {
    try {
      const holder = await installation.findHolder()
      const found = holder && (await connectSocket(holder.socket, holder.pid))
      if (found) return found
      if (!holder) return await openHere(installation, io)
    } catch (error) {
      // Between the look and the opening another process was faster.
      if (!KeepsakeError.is(error, 'data_folder_locked')) throw error
      if (performance.now() >= until) throw error
    }
    if (io.signal.aborted) throw CliFailure.interrupted()
    if (performance.now() >= until) {
      throw new KeepsakeError(
        'data_folder_locked',
        `Another process holds ${installation.dataDir} and does not answer. Wait for it to end, or stop it.`,
      )
    }
    await sleep(100 + Math.random() * 100)
  }
}

/** The holder's own server, or undefined while it has none: another verb at work, or a server that is starting. */
async function connectSocket(socketPath: string, pid: number): Promise<Connection | undefined> {
  const { Agent, fetch } = await import('undici')
  const dispatcher = new Agent({ connect: { socketPath } })
  try {
    const probe = await fetch('http://keepsake/healthz', { dispatcher, signal: AbortSignal.timeout(5_000) })
    await probe.body?.cancel()
    if (!probe.ok) throw new Error(`status ${probe.status}`)
  } catch {
    await dispatcher.destroy()
    return undefined
  }
  return {
    name: `process ${pid}`,
    call: (path, { body, ...init }) =>
      fetch(`http://keepsake${path}`, {
        ...init,
        dispatcher,
        redirect: 'manual',
        ...(body === undefined ? {} : { body, duplex: 'half' as const }),
      }),
    close: () => dispatcher.destroy(),
  }
}

async function openHere(installation: Awaited<ReturnType<Io['installation']>>, io: Io): Promise<Connection> {
  const { trustedCaller } = await import('../http/index.ts')
  const logger = createLogger({ level: 'error', output: io.stderr })
  const opened = await installation.open({ logger })
  return {
    name: installation.dataDir,
    call: async (path, { body, signal, ...init }) => {
      const request = new Request(`http://keepsake${path}`, {
        ...init,
        ...(body === undefined
          ? {}
          : { body: typeof body === 'string' ? body : readable(body), duplex: 'half' as const }),
      })
      return untilAborted(Promise.resolve(opened.app.fetch(request, trustedCaller)), signal)
    },
    // The verb has its answer. What this process took over from the queue meanwhile goes back there at once.
    close: () => opened.close({ grace: 0 }),
  }
}

function readable(body: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]()
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await iterator.return?.()
    },
  })
}

/** The app does not hear of the caller's signal: the caller stops waiting, and closing ends the work in good order. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
