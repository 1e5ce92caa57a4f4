import { KeepsakeError } from '../../media/index.ts'

const reservedStarts = ['xn--', 'sthree-', 'amzn-s3-demo-']
const reservedEnds = ['-s3alias', '--ol-s3', '.mrap', '--x-s3', '--table-s3']

/**
 * `<app>-<env>-<account>`: the account makes it unique in the world without chance, and says whose it is.
 *
 * @throws {KeepsakeError} `invalid_setting`
 */
export function bucketName(app: string, env: string, account: string): string {
  if (!/^[a-z0-9][a-z0-9-]*$/.test(app)) {
    throw new KeepsakeError(
      'invalid_setting',
      `The app's name is '${app}'. It becomes part of the bucket's: allowed are a-z, 0-9 and hyphens, such as 'echoes-audio'.`,
    )
  }
  return checkBucketName(`${app}-${env}-${account}`)
}

/**
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, for a new general purpose bucket. Dots
 * are allowed there and refused here: no certificate fits them.
 *
 * @throws {KeepsakeError} `invalid_setting`
 */
export function checkBucketName(name: string): string {
  const problem = problemOf(name)
  if (problem === undefined) return name
  throw new KeepsakeError(
    'invalid_setting',
    `'${name}' cannot be the name of a new bucket: ${problem}. Allowed are 3 to 63 of a-z, 0-9 and hyphens, with a letter or digit at both ends.`,
  )
}

function problemOf(name: string): string | undefined {
  if (name.length < 3 || name.length > 63) return `it has ${name.length} characters`
  if (name.includes('.')) return 'it has a dot, for which S3 has no certificate'
  if (!/^[a-z0-9-]+$/.test(name)) return 'it has characters that S3 does not take'
  if (!/^[a-z0-9].*[a-z0-9]$/.test(name)) return 'it begins or ends with a hyphen'
  if (reservedStarts.some((start) => name.startsWith(start))) return 'S3 keeps its beginning for itself'
  if (reservedEnds.some((end) => name.endsWith(end))) return 'S3 keeps its end for itself'
  return undefined
}
