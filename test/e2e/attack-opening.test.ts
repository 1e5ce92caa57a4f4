import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createKeepsake } from '../../src/keepsake.ts'
import { startSource } from '../support/http.ts'

it('an address that the embedded S3 cannot listen at is a setting to change, and the folder is let go of', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'keepsake-attack-'))
  try {
    await using taken = await startSource(() => {})
    const port = new URL(taken.url).port
    const open = (env: Record<string, string>) => createKeepsake({}, { env: { KEEPSAKE_DATA_DIR: dir, ...env } })
    await expect(open({ KEEPSAKE_S3_PORT: port })).rejects.toMatchObject({
      code: 'invalid_setting',
      message: expect.stringContaining(`port ${port}: another process listens there`),
    })
    // Of TEST-NET-3 (RFC 5737), which no machine has.
    await expect(open({ HOST: '203.0.113.1' })).rejects.toMatchObject({
      code: 'invalid_setting',
      message: expect.stringContaining('EADDRNOTAVAIL'),
    })
    await (await open({})).close()
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})
