import { expect, it } from 'vitest'
import { resolveConfig } from '../../src/config/index.ts'
import { credentialsOf } from '../../src/open-parts.ts'
import { openS3Store } from '../../src/stores/index.ts'

it('a session token of the environment bounds the life of links, and they say so', async () => {
  const end = new Date(Math.floor(Date.now() / 1000) * 1000 + 600_000)
  const { objectStore } = resolveConfig({
    env: {
      S3_BUCKET_NAME: 'media',
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_SESSION_TOKEN: 'token',
      AWS_CREDENTIAL_EXPIRATION: end.toISOString(),
    },
  })
  if (objectStore.kind !== 's3') throw new Error('It is not the bucket.')
  const store = await openS3Store({ bucket: 'media', region: 'us-east-1', credentials: credentialsOf(objectStore) })
  const { url, expiresAt } = store.signGet('key', { expiresIn: 3600 })
  await store.close()
  expect(expiresAt.getTime()).toBeLessThanOrEqual(end.getTime())
  const { searchParams } = new URL(url)
  expect(Number(searchParams.get('X-Amz-Expires'))).toBeLessThanOrEqual(600)
  expect(searchParams.get('X-Amz-Security-Token')).toBe('token')
})
