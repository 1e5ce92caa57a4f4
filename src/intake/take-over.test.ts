import { afterEach, expect, test } from 'vitest'
import { moveClock } from '../../test/support/databases.ts'
import { gif } from '../../test/support/http.ts'
import { openTestParts } from '../../test/support/keepsake.ts'
import { type ChaosOutcome, createChaosStore } from '../stores/index.ts'

/** A Keepsake whose puts go as the test says. */
async function openWith(put: { outcome?: ChaosOutcome; gate?: Promise<void> | undefined }) {
  const reached = Promise.withResolvers<void>()
  const parts = await openTestParts({
    wrapStore: (store) =>
      createChaosStore(store, {
        decide: ({ verb }) => (verb === 'put' ? (put.outcome ?? 'ok') : 'ok'),
        before: async ({ verb }) => {
          if (verb !== 'put') return
          const { gate } = put
          reached.resolve()
          await gate
        },
      }),
  })
  opened.push(parts)
  const send = () =>
    parts.keepsake.import('generations', { source: { base64: gif.toString('base64') }, idempotencyKey: 'once' })
  return { ...parts, send, putReached: reached.promise }
}

const opened: Awaited<ReturnType<typeof openTestParts>>[] = []
afterEach(async () => {
  for (const { keepsake } of opened.splice(0)) await keepsake.close()
})

async function objectsIn({ bucket }: Pick<Awaited<ReturnType<typeof openTestParts>>, 'bucket'>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of bucket.list()) keys.push(key)
  return keys
}

test('bytes that met a failing store are kept when they are sent again under their key', async () => {
  const put: { outcome?: ChaosOutcome } = { outcome: 'fail' }
  const parts = await openWith(put)
  const told = await parts.send().catch((error: unknown) => error)
  expect(told).toMatchObject({ code: 'store_unavailable', status: 503 })
  put.outcome = 'ok'
  const asset = await parts.send()
  expect(asset.state).toBe('stored')
  expect(await objectsIn(parts)).toEqual([asset.key])
})

test('bytes whose first bearer is still at work are waited for', async () => {
  const gate = Promise.withResolvers<void>()
  const parts = await openWith({ gate: gate.promise })
  const first = parts.send()
  await parts.putReached
  const second = parts.send()
  gate.resolve()
  const [one, two] = await Promise.all([first, second])
  expect(two).toMatchObject({ id: one.id, state: 'stored' })
  expect((await parts.keepsake.list('generations')).assets).toHaveLength(1)
})

test('bytes whose first bearer is not heard of any more are kept by the second', async () => {
  const gate = Promise.withResolvers<void>()
  const put: { gate?: Promise<void> | undefined } = { gate: gate.promise }
  const parts = await openWith(put)
  const first = parts.send()
  await parts.putReached
  put.gate = undefined
  await moveClock(parts.database, 31)
  const second = await parts.send()
  expect(second.state).toBe('stored')
  // It was only slow: it may not undo what the second did.
  gate.resolve()
  expect(await first).toMatchObject({ id: second.id, state: 'stored', key: second.key })
  expect(await (await fetch(second.url ?? '')).arrayBuffer()).toEqual(new Uint8Array(gif).buffer)
})
