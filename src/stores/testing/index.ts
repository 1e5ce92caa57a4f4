export { selfSigned } from '../s3/testing/self-signed.ts'
