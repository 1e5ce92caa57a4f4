import { z } from 'zod'
import { KeepsakeError } from '../../media/index.ts'
import { noCredentials } from './no-credentials.ts'
import { Signer } from './signer.ts'

export type Credentials = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  /** When temporary credentials end. */
  readonly expiration?: Date | undefined
}

/** Gives the credentials to use from now on; asked again before they expire. */
export type CredentialsProvider = () => Credentials | Promise<Credentials>

const credentialsSchema = z.object({
  accessKeyId: z.string().min(1),
  secretAccessKey: z.string().min(1),
  sessionToken: z.string().min(1).optional(),
  expiration: z.date().optional(),
})

/** Renewed this long before their end, as the AWS SDKs do. */
const renewAheadMillis = 5 * 60_000
/** Within this time of their end a request waits for new ones. */
const nearlyOverMillis = 30_000
/** A signed URL lives a second at least. */
const shortestLifeMillis = 1000
/** The chain of the AWS SDK asks several services, each with a shorter patience. */
const providerMillis = 30_000
const retryRenewalMillis = 15_000
/** A timer of Node holds 31 bits of milliseconds. */
const longestTimerMillis = 2 ** 31 - 1

/** A signer made of credentials, and their end in milliseconds. */
export type ActiveSigner = { readonly signer: Signer; readonly until: number; readonly isTemporary: boolean }

/**
 * Holds a signer made of the latest credentials. Temporary ones are renewed in the background ahead of their end, once
 * however many ask, so that signing never waits.
 */
export class CredentialsKeeper {
  readonly #provider: CredentialsProvider | undefined
  readonly #region: string
  #active: ActiveSigner
  #renewal: Promise<void> | undefined
  /** Why the last renewal failed. */
  #failure: KeepsakeError | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  private constructor(credentials: Credentials, region: string, provider?: CredentialsProvider) {
    this.#provider = provider
    this.#region = region
    this.#active = activate(credentials, region)
    this.#schedule()
  }

  /** @throws {KeepsakeError} `invalid_setting` */
  static fixed(credentials: Credentials, region: string): CredentialsKeeper {
    return new CredentialsKeeper(parseCredentials(credentials), region)
  }

  /** @throws {KeepsakeError} `store_denied` where the provider has none. */
  static async load(provider: CredentialsProvider, region: string): Promise<CredentialsKeeper> {
    return new CredentialsKeeper(await ask(provider), region, provider)
  }

  /**
   * @param now by the clock of the store, in milliseconds
   * @throws {KeepsakeError} `store_denied` where the credentials are over and no new ones came.
   */
  current(now = Date.now()): ActiveSigner {
    if (this.#active.until - now < shortestLifeMillis) {
      this.renew().catch(() => undefined)
      throw new KeepsakeError(
        'store_denied',
        'The temporary credentials of the object store have expired' +
          (this.#failure
            ? `. ${this.#failure.message}`
            : ' and none could be loaded since. Sign in again, or look at their provider.'),
        this.#failure ? { cause: this.#failure } : {},
      )
    }
    return this.#active
  }

  /** The same, waiting for new credentials where the present ones are at their end. */
  fresh(): ActiveSigner | Promise<ActiveSigner> {
    if (this.#active.until - Date.now() >= nearlyOverMillis) return this.current()
    // Where none come, the present ones are good to their very end.
    return this.renew().then(
      () => this.current(),
      () => this.current(),
    )
  }

  /** Loads new credentials now. Does nothing for fixed ones. */
  renew(): Promise<void> {
    const provider = this.#provider
    if (!provider || this.#closed) return Promise.resolve()
    this.#renewal ??= ask(provider)
      .then((credentials) => {
        this.#active = activate(credentials, this.#region)
        this.#failure = undefined
      })
      .catch((error: unknown) => {
        this.#failure = KeepsakeError.from(error)
        throw error
      })
      .finally(() => {
        this.#renewal = undefined
        this.#schedule()
      })
    return this.#renewal
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    const { until, isTemporary } = this.#active
    if (!this.#provider || this.#closed || !isTemporary) return
    // Of a token in a file nobody tells the end: whoever exchanges it is followed.
    const ahead = until === Number.POSITIVE_INFINITY ? renewAheadMillis : until - Date.now() - renewAheadMillis
    const wait = Math.min(Math.max(ahead, retryRenewalMillis), longestTimerMillis)
    // A failed renewal schedules the next one; whoever needs the credentials meanwhile gets the error.
    this.#timer = setTimeout(() => this.renew().catch(() => undefined), wait).unref()
  }
}

function activate(credentials: Credentials, region: string): ActiveSigner {
  const until = credentials.expiration?.getTime() ?? Number.POSITIVE_INFINITY
  const isTemporary = credentials.sessionToken !== undefined || until !== Number.POSITIVE_INFINITY
  return { signer: new Signer(credentials, region), until, isTemporary }
}

async function ask(provider: CredentialsProvider): Promise<Credentials> {
  let found: unknown
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the provider did not answer in time')), providerMillis)
  })
  try {
    found = await Promise.race([provider(), deadline])
  } catch (cause) {
    throw noCredentials(cause)
  } finally {
    clearTimeout(timer)
  }
  return parseCredentials(found)
}

function parseCredentials(found: unknown): Credentials {
  const result = credentialsSchema.safeParse(found)
  if (result.success) return result.data
  // The values are secrets: only names go into the message.
  const names = result.error.issues.map((issue) => issue.path.join('.')).join(', ')
  throw new KeepsakeError('invalid_setting', `The credentials of the object store are not complete: look at ${names}.`)
}
