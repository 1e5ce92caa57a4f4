/**
 * What is known of one part of a bucket's settings. `absent`: the store says that there is none. `denied`: these
 * credentials may not look, which says nothing about what is there. `not offered`: this store has no such setting.
 */
export type Reading<T> =
  | { readonly status: 'set'; readonly value: T }
  | { readonly status: 'absent' }
  | {
      readonly status: 'denied' | 'not offered' | 'error'
      /** The permission that the call takes, `s3:…`. */
      readonly action: string
      /** As the store names it. */
      readonly code: string
      readonly message: string
    }

/** What a call failed with, in the words of S3. */
export type S3Failure = {
  readonly code: string
  /** 0 where no answer came. */
  readonly status: number
  readonly message: string
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Makes a reading of a call.
 *
 * @param absent The codes by which the store says that there is none.
 */
export async function readPart<T>(
  action: string,
  absent: readonly string[],
  call: () => Promise<T | undefined>,
): Promise<Reading<T>> {
  try {
    const value = await call()
    return value === undefined ? { status: 'absent' } : { status: 'set', value }
  } catch (error) {
    const failure = s3Failure(error)
    if (absent.includes(failure.code)) return { status: 'absent' }
    const { code, message } = failure
    return {
      status: isDenied(failure) ? 'denied' : isNotOffered(failure) ? 'not offered' : 'error',
      action,
      code,
      message,
    }
  }
}

/** 403 is a refusal and nothing else: without s3:ListBucket even what is missing answers so. */
export function isDenied({ code, status }: S3Failure): boolean {
  return status === 403 || code === 'AccessDenied' || code === 'AllAccessDisabled' || status === 401
}

/** Codes that say nothing but no; others say what is wrong with the request, its keys, its time or its place. */
export function isRefusal(code: string): boolean {
  return ['AccessDenied', 'AllAccessDisabled', 'Forbidden'].includes(code)
}

/** MinIO and R2 answer 501, some answer 405 or say that they do not know the sub-resource. */
export function isNotOffered({ code, status }: S3Failure): boolean {
  return (
    status === 501 ||
    status === 405 ||
    ['NotImplemented', 'MethodNotAllowed', 'UnsupportedOperation', 'NotSupported', 'XNotImplemented'].includes(code)
  )
}

/** Whatever the SDK throws, in the words of S3. */
export function s3Failure(error: unknown): S3Failure {
  if (!(error instanceof Error)) return { code: 'Unknown', status: 0, message: String(error), headers: {} }
  const metadata = '$metadata' in error ? Object(error.$metadata) : {}
  const response = '$response' in error ? Object(error.$response) : {}
  const status = Number(metadata.httpStatusCode ?? response.statusCode ?? 0)
  const headers = Object.fromEntries(
    Object.entries(Object(response.headers)).map(([name, value]) => [name.toLowerCase(), String(value)]),
  )
  const named = 'Code' in error && typeof error.Code === 'string' ? error.Code : error.name
  // An answer without a body, to HEAD, has no code of its own; the SDK then calls it by its status or "UnknownError".
  const code =
    /^(\d+|Unknown(Error)?)$/.test(named) || named === 'Error' ? (codeOfStatus(status) ?? codeOfSystem(error)) : named
  return { code, status, message: firstLine(error.message) || code, headers }
}

function codeOfStatus(status: number): string | undefined {
  return (
    {
      301: 'PermanentRedirect',
      400: 'BadRequest',
      403: 'AccessDenied',
      404: 'NotFound',
      501: 'NotImplemented',
    } as const
  )[status]
}

function codeOfSystem(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

/** The SDK adds advice for its own users on further lines. */
function firstLine(message: string): string {
  return message.split('\n')[0]?.slice(0, 500) ?? ''
}
