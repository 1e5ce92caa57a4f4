export { aliases } from './aliases.ts'
export { type BucketSettings, bucketSettingsSchema, type ParsedBucketSettings } from './bucket-settings.ts'
export { type ConfigFile, configFileNames, loadConfigFile } from './config-file.ts'
export { type ConfigDescription, describeConfig } from './describe-config.ts'
export {
  type Environment,
  type EnvironmentSettings,
  readEnvironment,
  type SettingName,
  settingNames,
} from './environment.ts'
export { defineConfig, type ExtensionSettings, type KeepsakeConfig, type SchemaSetting } from './keepsake-config.ts'
export { type ConfigSources, resolveConfig } from './resolve-config.ts'
export type {
  CloudFrontConfig,
  EmbeddedS3Config,
  FallbackConfig,
  JwtConfig,
  ReplicaConfig,
  ResolvedConfig,
  S3Config,
} from './resolved-config.ts'
export { Secret } from './secret.ts'
