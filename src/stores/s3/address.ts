import { KeepsakeError } from '../../media/index.ts'
import { encodeKey } from './encode.ts'

export type AddressOptions = {
  readonly bucket: string
  readonly region: string
  /** Default: AWS's own endpoint of the region. */
  readonly endpoint?: string
  /** `https://host/bucket/key` instead of `https://bucket.host/key`. Default: true for an endpoint other than AWS's. */
  readonly forcePathStyle?: boolean
  /** AWS's endpoint for IPv4 and IPv6. Not together with `endpoint`. Default: false. */
  readonly dualStack?: boolean
}

/** Where a bucket is reached, with all that does not change from key to key worked out once. */
export type Address = {
  /** Scheme, host and port. */
  readonly origin: string
  /** The Host header. */
  readonly host: string
  /** What goes before an encoded key in the path; ends with a slash. */
  readonly keyPrefix: string
  /** Path of the bucket itself. */
  readonly bucketPath: string
}

/** Names that S3 or a compatible store has ever given to a bucket, and nothing that could break out of a path or host. */
const bucketName = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/

/** @throws {KeepsakeError} `invalid_setting` */
export function bucketAddress(options: AddressOptions): Address {
  const { bucket, region } = options
  if (!bucketName.test(bucket)) {
    throw new KeepsakeError('invalid_setting', `'${bucket}' is not the name of a bucket. Look at S3_BUCKET_NAME.`)
  }
  if (!/^[a-z0-9-]+$/.test(region)) {
    throw new KeepsakeError('invalid_setting', `'${region}' is not a region such as us-east-1. Look at AWS_REGION.`)
  }
  if (options.dualStack && options.endpoint !== undefined) {
    throw new KeepsakeError(
      'invalid_setting',
      'AWS_USE_DUALSTACK_ENDPOINT is about the endpoints of AWS, and S3_ENDPOINT names another. Unset one of them.',
    )
  }
  const url = endpointUrl(options.endpoint ?? awsEndpoint(region, options.dualStack ?? false))
  const isAws = /\.amazonaws\.com(\.cn)?$/.test(url.hostname)
  // A dot in the name does not match AWS's wildcard certificate (AWS, "Virtual hosting of buckets").
  const pathStyle = options.forcePathStyle ?? (!isAws || bucket.includes('.'))
  const base = url.pathname.replace(/\/+$/, '')
  const host = pathStyle ? url.host : `${bucket}.${url.host}`
  if (!URL.canParse(`${url.protocol}//${host}`)) {
    throw new KeepsakeError('invalid_setting', `'${host}' is not a host. An IP address needs forcePathStyle.`)
  }
  const bucketPath = pathStyle ? `${base}/${bucket}` : `${base}/`
  return {
    origin: `${url.protocol}//${host}`,
    host,
    bucketPath,
    keyPrefix: pathStyle ? `${bucketPath}/` : bucketPath,
  }
}

export function keyPath(address: Address, key: string): string {
  return address.keyPrefix + encodeKey(key)
}

/** AWS, "Making requests to Amazon S3 over IPv6": the dual-stack endpoints. */
function awsEndpoint(region: string, dualStack: boolean): string {
  return `https://s3.${dualStack ? 'dualstack.' : ''}${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`
}

function endpointUrl(endpoint: string): URL {
  const url = URL.parse(endpoint)
  if (url && (url.protocol === 'http:' || url.protocol === 'https:') && !url.search && !url.hash && !url.username) {
    return url
  }
  throw new KeepsakeError(
    'invalid_setting',
    'The S3 endpoint is not a plain http or https URL such as https://s3.eu-west-1.amazonaws.com. Look at S3_ENDPOINT.',
  )
}
