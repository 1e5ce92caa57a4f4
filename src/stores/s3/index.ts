export { awsCredentials, type Credentials, type CredentialsProvider } from './credentials.ts'
export { createS3Store, openS3Store, type S3StoreOptions } from './s3-store.ts'
