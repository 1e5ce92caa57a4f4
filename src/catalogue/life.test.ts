import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { databases, type OpenedDatabase, reservation } from '../../test/support/databases.ts'
import { type AssetState, canTransition } from '../media/index.ts'
import { type Actor, type AuditAction, type Catalogue, createCatalogue } from './index.ts'

const system: Actor = { role: 'system' }
const quota = 100

/** A call, at the current attempt or at one that is no more. */
type Call =
  | {
      readonly verb: 'assignKey'
      readonly stale: boolean
      readonly key: number
      readonly bytes: number
      readonly lease: number
    }
  | { readonly verb: 'confirm'; readonly stale: boolean; readonly size: number }
  | { readonly verb: 'purge' | 'renew'; readonly stale: boolean }
  | { readonly verb: 'fail'; readonly stale: boolean; readonly reopenable: boolean }
  | { readonly verb: 'reopen'; readonly stale: boolean; readonly bytes: number; readonly lease: number }
  | { readonly verb: 'postpone'; readonly stale: boolean; readonly retryIn: number; readonly hopeless: boolean }
  | { readonly verb: 'claim'; readonly stale: boolean; readonly lease: number }
  | { readonly verb: 'beginDelete' }

const stale = fc.boolean()
const wait = fc.constantFrom(0, 0, 3600)
const calls: fc.Arbitrary<Call> = fc.oneof(
  fc.record({ verb: fc.constant('assignKey'), stale, key: fc.nat(2), bytes: fc.nat(120), lease: wait } as const),
  fc.record({ verb: fc.constant('confirm'), stale, size: fc.nat(60) } as const),
  fc.record({ verb: fc.constant('postpone'), stale, retryIn: wait, hopeless: fc.boolean() } as const),
  fc.record({ verb: fc.constantFrom('purge', 'renew'), stale } as const),
  fc.record({ verb: fc.constant('fail'), stale, reopenable: fc.boolean() } as const),
  fc.record({ verb: fc.constant('reopen'), stale, bytes: fc.nat(120), lease: wait } as const),
  fc.record({ verb: fc.constant('claim'), stale, lease: wait } as const),
  fc.record({ verb: fc.constant('beginDelete') } as const),
)

/** What one asset should be like: the contract, written down a second time. */
class Model {
  state: AssetState | 'purged' = 'pending'
  attempt = 1
  failures = 0
  key: string | null = null
  due: boolean
  counted: number
  reopenable = false
  readonly retired = new Set<string>()
  readonly audit: AuditAction[] = ['asset.reserved']

  constructor(lease: number, counted: number) {
    this.due = lease === 0
    this.counted = counted
  }

  /** What the call answers: whether it took place, or the code of its error. */
  call(call: Call, keyName: (n: number) => string): boolean | string {
    if (call.verb === 'beginDelete') return this.#beginDelete()
    if (call.stale) return call.verb === 'assignKey' && this.retired.has(keyName(call.key)) ? 'object_exists' : false
    const pending = this.state === 'pending'
    switch (call.verb) {
      case 'assignKey': {
        const key = keyName(call.key)
        if (this.retired.has(key)) return 'object_exists'
        if (!pending) return false
        if (call.bytes > this.counted && call.bytes > quota) return 'quota_exceeded'
        if (this.key !== null && this.key !== key) this.retired.add(this.key)
        this.key = key
        this.counted = call.bytes
        this.due = call.lease === 0
        return true
      }
      case 'confirm':
        if (!pending || this.key === null) return false
        this.counted = call.size
        return this.#become('stored', 'asset.stored')
      case 'fail':
        if (!pending) return false
        this.reopenable = call.reopenable
        return this.#fail()
      case 'reopen':
        if (this.state !== 'failed' || !this.reopenable) return false
        if (call.bytes > quota) return 'quota_exceeded'
        this.reopenable = false
        this.attempt += 1
        this.counted = call.bytes
        this.due = call.lease === 0
        return this.#become('pending', 'asset.reopened')
      case 'postpone':
        if (!pending) return false
        if (call.hopeless) return this.#fail()
        this.failures += 1
        this.due = call.retryIn === 0
        return this.#become('pending', 'asset.postponed')
      case 'claim':
        if (!pending || !this.due) return false
        this.attempt += 1
        this.#retire()
        this.due = call.lease === 0
        return this.#become('pending', 'asset.retried')
      case 'renew':
        if (pending) this.due = false
        return true
      case 'purge':
        if (this.state !== 'deleting') return false
        this.#retire()
        this.counted = 0
        return this.#become('purged', 'asset.purged')
    }
  }

  #beginDelete(): boolean {
    if (this.state === 'purged') return false
    if (this.state === 'deleting') return true
    this.attempt += 1
    return this.#become('deleting', 'asset.deleting')
  }

  #fail(): boolean {
    this.#retire()
    this.counted = 0
    return this.#become('failed', 'asset.failed')
  }

  #retire(): void {
    if (this.key !== null) this.retired.add(this.key)
    this.key = null
  }

  #become(state: AssetState | 'purged', action: AuditAction): true {
    this.state = state
    this.audit.push(action)
    return true
  }
}

describe.each(databases)('the life of an asset on $name', ({ open }) => {
  let opened: OpenedDatabase
  let catalogue: Catalogue

  beforeAll(async () => {
    opened = await open()
    catalogue = createCatalogue(opened.database)
  })
  afterAll(() => opened?.close())

  async function run(id: string, call: Call, current: number): Promise<boolean> {
    const problem = { code: 'source_unavailable', message: 'x' }
    const attempt = 'stale' in call && call.stale ? current - 1 : current
    switch (call.verb) {
      case 'assignKey': {
        const content = { store: 'primary', kind: 'image', contentType: 'image/png', quota } as const
        const { bytes, lease } = call
        const key = `${id}/${call.key}`
        return (await catalogue.assignKey(id, attempt, { ...content, key, lease, reservedBytes: bytes })) !== undefined
      }
      case 'confirm': {
        const facts = { sha256: 'ab'.repeat(32), width: null, height: null, duration: null, keep: null }
        return (await catalogue.confirm(id, attempt, { ...facts, size: call.size }, system)) !== undefined
      }
      case 'fail':
        return (await catalogue.fail(id, attempt, problem, system, { reopenable: call.reopenable })) !== undefined
      case 'reopen': {
        const room = { lease: call.lease, reservedBytes: call.bytes, quota }
        return (await catalogue.reopen(id, attempt, room, system)) !== undefined
      }
      case 'postpone': {
        const retry = { retryIn: call.retryIn, giveUpAfter: call.hopeless ? 0 : 3600 }
        return (await catalogue.postpone(id, attempt, problem, retry, system)) !== undefined
      }
      case 'claim':
        return (await catalogue.claim(id, attempt, call.lease, system)) !== undefined
      case 'renew':
        await catalogue.renew([{ id, attempt }], 7200)
        return !call.stale
      case 'purge':
        return catalogue.purge(id, attempt, system)
      case 'beginDelete':
        return (await catalogue.beginDelete(id, 0, system)) !== undefined
    }
  }

  const told = async (id: string) =>
    (await catalogue.listAudit({ asset: id, limit: 1000 }, system)).entries.map(({ action }) => action).reverse()

  const column = async (text: string, value: string) =>
    (await opened.database.service.query(text, [value])).rows.map((row) => row.found)

  const retiredKeys = (id: string) =>
    column('select key as found from keepsake.retired_keys where asset = $1 order by key', id)
  const usedBytes = async (owner: string) =>
    (await column('select bytes::float8 as found from keepsake.usage where owner = $1', owner))[0] ?? 0

  it('is the one of the contract, whatever is called in whatever order', async () => {
    const property = fc.asyncProperty(
      wait,
      fc.nat(50),
      fc.array(calls, { maxLength: 14 }),
      async (lease, bytes, made) => {
        const { asset } = await catalogue.reserve(reservation({ lease, reservedBytes: bytes, quota }), system)
        const { id, owner } = asset
        const model = new Model(lease, bytes)
        for (const call of made) {
          const attempt = model.attempt
          const answer = await run(id, call, attempt).catch((error: { code: string }) => error.code)
          expect({ call, answer }).toEqual({ call, answer: model.call(call, (n) => `${id}/${n}`) })
        }
        const { state, attempt, failures, key } = model
        expect(await catalogue.get(id, system)).toEqual(
          state === 'purged' ? undefined : expect.objectContaining({ id, state, attempt, failures, key }),
        )
        expect(await told(id)).toEqual(model.audit)
        expect(await retiredKeys(id)).toEqual([...model.retired].sort())
        expect(await usedBytes(owner)).toBe(model.counted)
      },
    )
    await fc.assert(property, { numRuns: 150 })
  })

  it('stays one life when calls race each other', async () => {
    const property = fc.asyncProperty(fc.array(calls, { minLength: 2, maxLength: 10 }), async (made) => {
      const { asset } = await catalogue.reserve(reservation({ lease: 0, quota }), system)
      const { id, owner } = asset
      await run(id, { verb: 'assignKey', stale: false, key: 0, bytes: 10, lease: 0 }, 1)
      const answers = await Promise.all(made.map((call) => run(id, call, 1).catch(() => false)))
      const took = (verb: Call['verb']) => made.filter((call, n) => call.verb === verb && answers[n]).length

      const audit = await told(id)
      const count = (action: AuditAction) => audit.filter((one) => one === action).length
      const after: Partial<Record<AuditAction, AssetState | 'purged'>> = {
        'asset.stored': 'stored',
        'asset.failed': 'failed',
        'asset.reopened': 'pending',
        'asset.deleting': 'deleting',
        'asset.purged': 'purged',
      }
      let state: AssetState | 'purged' = 'pending'
      for (const action of audit) {
        const next: AssetState | 'purged' | undefined = after[action]
        if (next === undefined) expect(state).toBe('pending')
        else if (state === 'purged') expect.unreachable('something happened after the purge')
        else expect(canTransition(state, next)).toBe(true)
        state = next ?? state
      }
      expect(count('asset.stored')).toBe(took('confirm'))
      expect(count('asset.retried')).toBe(took('claim'))
      expect(count('asset.failed') + count('asset.postponed')).toBe(took('fail') + took('postpone'))
      const now = await catalogue.get(id, system)
      expect(now?.state).toBe(state)
      expect(count('asset.reopened')).toBe(took('reopen'))
      expect(now?.attempt).toBe(1 + count('asset.retried') + count('asset.reopened') + count('asset.deleting'))
      const { rows } = await opened.database.service.query(
        'select counted::float8 as counted from keepsake.assets where id = $1',
        [id],
      )
      expect(await usedBytes(owner)).toBe(rows[0]?.counted)
      // Every key that was ever assigned is on the row or watched.
      const keys = made.flatMap((call, n) => (call.verb === 'assignKey' && answers[n] ? [`${id}/${call.key}`] : []))
      expect(new Set([...(await retiredKeys(id)), now?.key ?? `${id}/0`])).toEqual(new Set([...keys, `${id}/0`]))
    })
    await fc.assert(property, { numRuns: 100 })
  })
})
