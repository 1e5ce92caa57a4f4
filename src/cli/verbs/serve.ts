import { serveHttp } from '../../http/index.ts'
import { createLogger, type LogLevel } from '../../logging/index.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { type CommonOptions, jsonDocument } from './options.ts'

export type ServeOptions = CommonOptions & {
  readonly host?: string
  readonly port?: string
  readonly logLevel?: LogLevel
}

/** Serves until the signal, then finishes what was acknowledged. */
export async function serveVerb(options: ServeOptions, io: Io): Promise<ExitCode> {
  if (options.url !== undefined) throw CliFailure.usage('serve runs a server here; --url is for the other verbs.')
  const installation = await io.installation({
    ...io.env,
    ...(options.host === undefined ? {} : { HOST: options.host }),
    ...(options.port === undefined ? {} : { PORT: options.port }),
    ...(options.dataDir === undefined ? {} : { KEEPSAKE_DATA_DIR: options.dataDir }),
    ...(options.apiKey === undefined ? {} : { KEEPSAKE_API_KEY: options.apiKey }),
  })
  const level = options.logLevel ?? installation.logLevel
  const logger = createLogger({ level, output: options.json ? io.stderr : io.stdout })
  const opened = await installation.open({ logger })
  try {
    const { app, host, port, socket } = opened
    const server = await serveHttp({ app, host, port, logger, ...(socket ? { socket } : {}) })
    try {
      await opened.announce(server.url)
      const key = opened.generatedApiKey
      io.stdout.write(
        options.json ? jsonDocument({ url: server.url, apiKey: key }) : banner(server.url, key, installation.dataDir),
      )
      await aborted(io.signal)
      logger.info({}, 'stopping')
    } finally {
      // Together: the last requests are often imports, whose callers wait for what they fetch.
      await Promise.all([server.close(), opened.drain()])
    }
  } finally {
    await opened.close()
  }
  logger.info({}, 'stopped')
  return exitCodes.ok
}

function banner(url: string, apiKey: string | null, dataDir: string): string {
  const lines = [`Keepsake serves at ${url}`, `  docs     ${url}/docs`, `  data     ${dataDir}`]
  if (apiKey !== null) lines.push(`  API key  ${apiKey}   (generated, kept in the data folder)`)
  return `${lines.join('\n')}\n\n`
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
