import { S3Error } from './errors.ts'

/** "Object key names … a sequence of Unicode characters with UTF-8 encoding of up to 1,024 bytes." */
const MAX_KEY = 1024

export function keyTooLong(key: string): S3Error | undefined {
  const size = Buffer.byteLength(key)
  if (size <= MAX_KEY) return undefined
  return new S3Error('KeyTooLongError', undefined, { Size: String(size), MaxSizeAllowed: String(MAX_KEY) })
}

/** "Bucket names must not start with the prefix …", "must not end with the suffix …". */
const RESERVED = /^(?:xn--|sthree-|amzn-s3-demo-)|(?:-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$/

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
export function isBucketName(name: string): boolean {
  if (name.length < 3 || name.length > 63 || /^\d+\.\d+\.\d+\.\d+$/.test(name) || RESERVED.test(name)) return false
  return name.split('.').every((label) => /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(label))
}
