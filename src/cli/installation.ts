import type { Server } from 'node:net'
import type { HttpApp } from '../http/index.ts'
import type { Logger } from '../logger.ts'
import type { LogLevel } from '../logging/index.ts'

/** Keepsake as it is set up here: what the environment, `keepsake.config.ts` and the data folder say. */
export type Installation = {
  /** The data folder, for messages. */
  readonly dataDir: string
  /** How much a server logs where its command line does not say. */
  readonly logLevel: LogLevel
  /** The process that holds the data folder now, with the socket where it serves this user. */
  findHolder(): Promise<{ readonly pid: number; readonly socket: string } | undefined>
  /** Opens everything in this process. @throws `data_folder_locked` where another process was faster. */
  open(options: { readonly logger: Logger }): Promise<OpenInstallation>
}

export type OpenInstallation = {
  readonly app: HttpApp
  readonly host: string
  readonly port: number
  /** Where the command line finds a server; undefined where the data folder is not held by this process alone. */
  readonly socket?: { listen(server: Server): Promise<string> }
  /** The API key, where it was generated here and the user can know it from nowhere else. */
  readonly generatedApiKey: string | null
  /** Tells other processes where this one serves. */
  announce(url: string): Promise<void>
  /** Takes no more imports, and finishes or puts off those under way. */
  drain(): Promise<void>
  /** Finishes what was acknowledged and lets go. */
  close(options?: { readonly grace?: number }): Promise<void>
}
