/**
 * What keepsake/client says of the wire is what the wire's own schema says. It is declared there a second time, so that a
 * page's types need nothing of the server; here the compiler compares the two, in both directions.
 */
import type { z } from '@hono/zod-openapi'
import { expect, it } from 'vitest'
import { gif, startTestServer } from '../../test/support/http.ts'
import type { Asset, AssetPage, ListQuery, Provenance, UploadOptions } from '../client/index.ts'
import { newAssetId } from '../media/index.ts'
import { assetOutput, type assetPageOutput, type provenanceInput, type uploadInput } from './schema.ts'

/** Compiles only where each fits into the other. */
type Same<One, Other> = [One] extends [Other] ? ([Other] extends [One] ? true : never) : never
type Fits<One, Other> = [One] extends [Other] ? true : never

/** For clients of another make: this one knows a file's size and sends every header. */
type Foreign = 'plain' | 'sameType'

const proofs: readonly true[] = [
  true satisfies Same<Asset, z.output<typeof assetOutput>>,
  true satisfies Same<keyof Asset, keyof z.output<typeof assetOutput>>,
  true satisfies Same<AssetPage, z.output<typeof assetPageOutput>>,
  true satisfies Same<Provenance, z.input<typeof provenanceInput>>,
  true satisfies Same<keyof Provenance, keyof z.input<typeof provenanceInput>>,
  true satisfies Fits<UploadOptions['attributes'], z.input<typeof uploadInput>['attributes']>,
  true satisfies Fits<Extract<keyof z.input<typeof uploadInput>, 'size' | 'sha256'>, 'size' | 'sha256'>,
  true satisfies Fits<Exclude<keyof z.input<typeof uploadInput>, 'size' | 'sha256' | Foreign>, keyof UploadOptions>,
]

/** Every word that the client may ask a list for. */
const asked: Required<{ [Name in keyof ListQuery]: string }> = {
  ...{ owner: 'ada', kind: 'image', state: 'stored', attributes: '', parent: '', limit: '1', cursor: '' },
  ...{ from: '2026-01-01T00:00:00.000Z', to: '2100-01-01T00:00:00.000Z' },
}

it('the client speaks of assets as the API does, and may ask a list for nothing that it does not know', async () => {
  expect(proofs).toHaveLength(8)
  const server = await startTestServer()
  try {
    const source = { base64: gif.toString('base64') }
    const parent = newAssetId()
    const body = { source, owner: 'ada', provenance: { parents: [parent] } }
    const answer = await server.call('/v1/collections/generations/imports', { body })
    expect(assetOutput.parse(await answer.json())).toMatchObject({ state: 'stored' } satisfies Partial<Asset>)
    const { attributes: _, cursor: __, ...query } = asked
    const page = await server.call(`/v1/collections/generations/assets?${new URLSearchParams({ ...query, parent })}`)
    expect([page.status, await page.json()]).toMatchObject([200, { assets: [{ owner: 'ada' }], nextCursor: null }])
  } finally {
    await server.stop()
  }
})
