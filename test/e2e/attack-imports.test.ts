import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createChaosStore, type ObjectStore } from '../../src/stores/index.ts'
import { gif, startSource } from '../support/http.ts'
import { openTestKeepsake, openTestParts } from '../support/keepsake.ts'

/** A source that never answers some, and says when so many of them have asked. */
async function startHangingSource(expected: number) {
  const allAsked = Promise.withResolvers<void>()
  let asked = 0
  const source = await startSource((request, response) => {
    if (request.url?.startsWith('/good')) return void response.writeHead(200).end(gif)
    asked += 1
    if (asked === expected) allAsked.resolve()
  })
  return { source, allAsked: allAsked.promise }
}

it('sources that hang do not stop imports of others', async () => {
  const hanging = 60
  const { source, allAsked } = await startHangingSource(hanging)
  await using _source = source
  const keepsake = await openTestKeepsake({ allowHosts: [source.host] })
  try {
    const stuck = Array.from({ length: hanging }, (_, n) =>
      keepsake.import('generations', { source: { url: `${source.url}/${n}` } }),
    )
    await allAsked
    const good = keepsake.import('generations', { source: { url: `${source.url}/good` } })
    const inline = keepsake.import('generations', { source: { bytes: gif } })
    expect((await good).state).toBe('stored')
    expect((await inline).state).toBe('stored')
    // They are let go of at the stop: no failure, since what has a source is still to be had.
    await keepsake.drain()
    const outcomes = await Promise.all(stuck)
    expect(new Set(outcomes.map(({ state, urlSource }) => `${state} ${urlSource}`))).toEqual(
      new Set(['pending origin']),
    )
    await expect(keepsake.import('generations', { source: { bytes: gif } })).rejects.toMatchObject({ code: 'stopping' })
    expect((await keepsake.list('generations', { state: 'stored' })).assets).toHaveLength(2)
  } finally {
    await keepsake.close()
  }
})

it('bytes that the store did not take can be sent again under the same idempotency key', async () => {
  let down = true
  const wrapStore = (store: ObjectStore) =>
    createChaosStore(store, { decide: ({ verb }) => (verb === 'put' && down ? 'fail' : 'ok') })
  const keepsake = await openTestKeepsake({ wrapStore })
  try {
    const request = { source: { bytes: gif }, idempotencyKey: 'again' }
    await expect(keepsake.import('generations', request)).rejects.toMatchObject({ code: 'store_unavailable' })
    down = false
    const asset = await keepsake.import('generations', request)
    expect(asset.state).toBe('stored')
    expect((await keepsake.import('generations', request)).id).toBe(asset.id)
  } finally {
    await keepsake.close()
  }
})

it('bytes whose request does not end are taken over by the same request, and not promised while it is at work', async () => {
  const held = Promise.withResolvers<void>()
  const arrived = Promise.withResolvers<void>()
  let puts = 0
  const wrapStore = (store: ObjectStore) =>
    createChaosStore(store, {
      decide: () => 'ok',
      before: async ({ verb }) => {
        if (verb !== 'put') return
        puts += 1
        arrived.resolve()
        if (puts === 1) await held.promise
      },
    })
  const { keepsake, database } = await openTestParts({ wrapStore, patience: 1, sweepEverySeconds: 3600 })
  try {
    const request = { source: { bytes: gif }, idempotencyKey: 'crashed' }
    const first = keepsake.import('generations', request)
    await arrived.promise
    await expect(keepsake.import('generations', request)).rejects.toMatchObject({ code: 'timeout', retryAfter: 5 })
    // As after a crash: nobody renews the lease, and it runs out.
    await database.service.query(`update keepsake.assets set until = keepsake.now() where state = 'pending'`)
    const again = await keepsake.import('generations', request)
    expect(again.state).toBe('stored')
    // The first one comes late. It finds that it was overtaken, and says what is true.
    held.resolve()
    expect(await first).toMatchObject({ id: again.id, state: 'stored', key: again.key })
  } finally {
    await keepsake.close()
  }
})

it('assets that cannot be settled do not hide those that are due behind them', async () => {
  const wrapStore = (store: ObjectStore) =>
    createChaosStore(store, { decide: ({ verb }) => (verb === 'delete' ? 'fail' : 'ok') })
  const { keepsake, database } = await openTestParts({ wrapStore, sweepEverySeconds: 1 })
  try {
    const assets = await Promise.all(
      Array.from({ length: 130 }, () => keepsake.import('generations', { source: { bytes: gif } })),
    )
    const [last, ...locked] = assets
    for (const { id } of locked) await keepsake.delete(id)
    await database.service.query(`update keepsake.assets set until = keepsake.now() where state = 'deleting'`)
    await database.service.query(`update keepsake.assets set expires_at = keepsake.now() where id = $1`, [last?.id])
    // Its delete is refused too; that the sweep came to it shows in its state.
    const until = performance.now() + 20_000
    while ((await keepsake.countByState()).stored > 0 && performance.now() < until) await delay(100)
    expect(await keepsake.countByState()).toMatchObject({ stored: 0, deleting: 130 })
  } finally {
    await keepsake.close()
  }
})
