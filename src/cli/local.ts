import { describeConfig, loadConfigFile, type ResolvedConfig, resolveConfig } from '../config/index.ts'
import { findHolder } from '../data-folder/index.ts'
import { createHttpApp, type JwtSettings } from '../http/index.ts'
import { httpExtensions, openKeepsake } from '../keepsake.ts'
import type { Logger } from '../logger.ts'
import { version } from '../version.ts'
import type { Installation, OpenInstallation } from './installation.ts'
import type { Io } from './io.ts'

/** Keepsake as the environment, `keepsake.config.ts` in the working folder, and the data folder say. */
export async function localInstallation(env: Io['env'], cwd = process.cwd()): Promise<Installation> {
  const file = await loadConfigFile(cwd)
  // Who declares nothing gets everything to try: the recipes. A configuration file says what it wants of them.
  const config = resolveConfig({ env, cwd, file: file ? file.config : { extensions: await defaultRecipes(env) } })
  return {
    dataDir: config.dataDir,
    logLevel: config.logLevel,
    findHolder: () => findHolder(config.dataDir),
    open: ({ logger }) => openInstallation(config, logger),
  }
}

async function defaultRecipes(env: Io['env']) {
  const { recipes } = await import('../recipes/index.ts')
  return recipes({ env })
}

async function openInstallation(config: ResolvedConfig, logger: Logger): Promise<OpenInstallation> {
  const { keepsake, folder } = await openKeepsake(config, logger)
  logger.info(describeConfig(config), 'open')
  const { apiKey, corsOrigins, jwt, host, port } = config.http
  const generatedApiKey = apiKey === null ? await folder.apiKey() : null
  const app = createHttpApp({
    keepsake,
    auth: { apiKeys: [apiKey?.reveal() ?? generatedApiKey ?? ''], ...(jwt ? { jwt: jwtSettings(jwt) } : {}) },
    logger,
    version,
    corsOrigins,
    extensions: await httpExtensions(config),
  })
  return {
    app,
    host,
    port,
    ...(folder.exclusive ? { socket: folder } : {}),
    generatedApiKey,
    announce: (url) => folder.announce(url),
    drain: () => keepsake.drain(),
    close: (options) => keepsake.close(options),
  }
}

function jwtSettings({ keys, audience, issuer }: NonNullable<ResolvedConfig['http']['jwt']>): JwtSettings {
  return {
    keys: 'secret' in keys ? { secret: keys.secret.reveal() } : keys,
    audience,
    ...(issuer === null ? {} : { issuer }),
  }
}
