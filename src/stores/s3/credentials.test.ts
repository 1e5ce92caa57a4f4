import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { withCode } from '../conformance.ts'
import { awsCredentials } from './aws-credentials.ts'
import { type Credentials, CredentialsKeeper } from './credentials.ts'
import { openS3Store } from './s3-store.ts'

const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
const place = { bucket: 'bucket', region: 'us-east-1' }
const hour = 3_600_000
const credentialOf = (url: string) => new URL(url).searchParams.get('X-Amz-Credential')?.split('/')[0]

describe('temporary credentials', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: new Date('2026-11-20T12:00:00Z') })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  /** Gives keys KEY1, KEY2 … that live an hour each. */
  function rotating(fails: () => boolean = () => false) {
    const provider = vi.fn(async (): Promise<Credentials> => {
      if (fails()) throw new Error('The metadata service is away.')
      const accessKeyId = `KEY${provider.mock.calls.length}`
      return { ...keys, accessKeyId, sessionToken: 'token', expiration: new Date(Date.now() + hour) }
    })
    return provider
  }

  it('are in the signed URL with their token', async () => {
    const store = await openS3Store({ ...place, credentials: rotating() })
    const { searchParams } = new URL(store.signGet('key', { expiresIn: 60 }).url)
    expect(searchParams.get('X-Amz-Security-Token')).toBe('token')
    await store.close()
  })

  it('never let a URL look longer than they live', async () => {
    const store = await openS3Store({ ...place, credentials: rotating() })
    const { url, expiresAt } = store.signGet('key', { expiresIn: 86_400 })
    expect(expiresAt).toEqual(new Date(Date.now() + hour))
    expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('3600')
    const at = new Date(Date.now() - 600_000)
    expect(store.signGet('key', { expiresIn: 86_400, at }).expiresAt).toEqual(new Date(Date.now() + hour))
    expect(store.signPut('key', { expiresIn: 60, headers: {} }).expiresAt).toEqual(new Date(Date.now() + 60_000))
    await store.close()
  })

  it('are renewed in the background, ahead of their end, for ever', async () => {
    const provider = rotating()
    const store = await openS3Store({ ...place, credentials: provider })
    for (let round = 1; round <= 5; round += 1) {
      expect(credentialOf(store.signGet('key', { expiresIn: 60 }).url)).toBe(`KEY${round}`)
      await vi.advanceTimersByTimeAsync(56 * 60_000)
    }
    await store.close()
    const { length } = provider.mock.calls
    await vi.advanceTimersByTimeAsync(10 * hour)
    expect(provider.mock.calls).toHaveLength(length)
  })

  it('are asked for again after a failure, and told of when they are over', async () => {
    let away = false
    const provider = rotating(() => away)
    const store = await openS3Store({ ...place, credentials: provider })
    away = true
    await vi.advanceTimersByTimeAsync(59 * 60_000)
    expect(provider.mock.calls.length).toBeGreaterThan(10)
    expect(credentialOf(store.signGet('key', { expiresIn: 60 }).url)).toBe('KEY1')
    await vi.advanceTimersByTimeAsync(2 * 60_000)
    expect(() => store.signGet('key', { expiresIn: 60 })).toThrow(withCode('store_denied'))
    away = false
    await vi.advanceTimersByTimeAsync(30_000)
    expect(credentialOf(store.signGet('key', { expiresIn: 60 }).url)).toMatch(/^KEY/)
    await store.close()
  })

  it('are good to their very end where no new ones come, and then the reason is told', async () => {
    let away = false
    const provider = rotating(() => away)
    const keeper = await CredentialsKeeper.load(provider, 'us-east-1')
    const { signer } = keeper.current()
    away = true
    vi.setSystemTime(Date.now() + hour - 10_000)
    expect((await keeper.fresh()).signer).toBe(signer)
    vi.setSystemTime(Date.now() + 10_000)
    await expect(Promise.resolve(keeper.fresh())).rejects.toThrow(
      /have expired\. .*The metadata service is away\. Set /,
    )
    keeper.close()
  })

  it('with a token of no known end are looked for again now and then', async () => {
    const provider = vi.fn(() => ({ ...keys, accessKeyId: `KEY${provider.mock.calls.length}`, sessionToken: 'token' }))
    const store = await openS3Store({ ...place, credentials: provider })
    expect(credentialOf(store.signGet('key', { expiresIn: 60 }).url)).toBe('KEY1')
    await vi.advanceTimersByTimeAsync(6 * 60_000)
    expect(credentialOf(store.signGet('key', { expiresIn: 60 }).url)).toBe('KEY2')
    await store.close()
  })

  it('are loaded once however many wait for them', async () => {
    const provider = rotating()
    const keeper = await CredentialsKeeper.load(provider, 'us-east-1')
    vi.setSystemTime(Date.now() + hour - 10_000)
    const signers = await Promise.all(Array.from({ length: 20 }, () => keeper.fresh()))
    expect(new Set(signers).size).toBe(1)
    expect(provider).toHaveBeenCalledTimes(2)
    keeper.close()
  })
})

it('whoever waits for new ones can be stopped', async () => {
  let asked = 0
  const provider = () => {
    asked += 1
    if (asked > 1) return new Promise<Credentials>(() => undefined)
    return { ...keys, expiration: new Date(Date.now() + 20_000) }
  }
  const store = await openS3Store({ ...place, endpoint: 'http://127.0.0.1:1', credentials: provider })
  const stop = new AbortController()
  const head = store.head('key', { signal: stop.signal })
  stop.abort()
  await expect(head).rejects.toEqual(withCode('timeout'))
  expect(asked).toBe(2)
  await store.close()
})

it('a provider that never answers is given up', async () => {
  vi.useFakeTimers()
  try {
    const opening = expect(openS3Store({ ...place, credentials: () => new Promise(() => undefined) })).rejects
    await Promise.all([opening.toEqual(withCode('store_denied')), vi.advanceTimersByTimeAsync(30_000)])
  } finally {
    vi.useRealTimers()
  }
})

describe('credentials that cannot be had', () => {
  it.each<[string, () => Credentials]>([
    [
      'a provider that fails',
      () => {
        throw new Error('no')
      },
    ],
  ])('%s is told at the start', async (_, credentials) => {
    await expect(openS3Store({ ...place, credentials })).rejects.toEqual(withCode('store_denied'))
  })

  it('incomplete ones are told by the names of what is missing', async () => {
    const credentials = () => ({ accessKeyId: 'AKIDEXAMPLE', secretAccessKey: '' })
    await expect(openS3Store({ ...place, credentials })).rejects.toThrow('look at secretAccessKey')
  })
})

it("come from a profile, by the AWS SDK's chain", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keepsake-profile-'))
  const file = join(folder, 'credentials')
  await writeFile(file, '[media]\naws_access_key_id = FROMPROFILE\naws_secret_access_key = secret\n')
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', file)
  vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'none'))
  try {
    const store = await openS3Store({ ...place, credentials: awsCredentials({ profile: 'media' }) })
    expect(credentialOf(store.signGet('key', { expiresIn: 60 }).url)).toBe('FROMPROFILE')
    await store.close()
  } finally {
    vi.unstubAllEnvs()
    await rm(folder, { recursive: true })
  }
})
