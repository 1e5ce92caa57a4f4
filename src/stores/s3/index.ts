export type { CopyLimits } from './copy.ts'
export { awsCredentials, type Credentials, type CredentialsProvider } from './credentials.ts'
export { type Capabilities, type ProviderName, providerOfAnswer, providerOfHost, providers } from './providers.ts'
export { createS3Store, type MultipartOptions, openS3Store, type S3StoreOptions } from './s3-store.ts'
