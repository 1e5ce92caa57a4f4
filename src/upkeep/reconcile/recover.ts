import type { Actor } from '../../catalogue/index.ts'
import { type AssetRecord, KeepsakeError } from '../../media/index.ts'
import { isWhole, objectOf } from '../stored-object.ts'
import type { FindingOf } from './finding.ts'
import { judgeRow } from './judge.ts'
import { callOptions, type ReconcileParts, type RecoverySource, system } from './parts.ts'
import { type Outcome, quarantineKey } from './quarantine.ts'

/*
 * What is wrong with a stored asset is never resolved by deleting its row: the row is all that is left of it, and may
 * be right when the bucket is wrong. It is marked, and its bytes are looked for.
 */

type RecoverParts = Pick<ReconcileParts, 'catalogue' | 'store' | 'collections' | 'recoverySources'>
type AssetFinding = FindingOf<'missing'> | FindingOf<'mismatch'> | FindingOf<'returned'>

/** Looks at a stored asset and its object once more, and writes down what is so; a lost object is looked for. */
export async function recover(
  parts: RecoverParts,
  finding: AssetFinding,
  { actor, signal }: { readonly actor: Actor; readonly signal?: AbortSignal },
): Promise<Outcome> {
  const { catalogue, store } = parts
  const record = await catalogue.get(finding.asset, system)
  if (record === undefined) return { outcome: 'skipped', reason: 'the asset was deleted' }
  if (record.state !== 'stored' || record.key !== finding.key || record.store !== 'primary') {
    return { outcome: 'skipped', reason: `the asset is ${record.state}, or has another key` }
  }
  const found = judgeRow({ ...record, key: record.key }, await store.head(record.key, callOptions(signal)))
  if (found === undefined) return { outcome: 'skipped', reason: 'the object is there, as the catalogue says' }
  const by = { by: 'reconcile' }
  switch (found.kind) {
    case 'missing': {
      // What was marked before stays as it was read.
      const marked = (await catalogue.markHealth(record, 'missing', by, actor)) ?? record
      return bringBack(parts, marked, actor, signal)
    }
    case 'mismatch':
      return markCorrupt(catalogue, record, found, actor)
    default:
      await catalogue.markHealth(record, 'ok', by, actor)
      return { outcome: 'recovered', reason: 'the object is there again' }
  }
}

async function markCorrupt(
  catalogue: RecoverParts['catalogue'],
  record: AssetRecord,
  { field, found, expected }: FindingOf<'mismatch'>,
  actor: Actor,
): Promise<Outcome> {
  await catalogue.markHealth(record, 'corrupt', { by: 'reconcile', field }, actor)
  return { outcome: 'marked', reason: `corrupt: ${field} is ${found}, not ${expected}` }
}

async function bringBack(
  parts: RecoverParts,
  record: AssetRecord,
  actor: Actor,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  const { catalogue, store, collections, recoverySources } = parts
  const missing: Outcome = { outcome: 'marked', reason: 'missing' }
  if (!isWhole(record)) return missing
  const object = objectOf(record, collections.get(record.collection))
  let unasked: string | undefined
  for (const source of [fromQuarantine(store), ...recoverySources]) {
    // A source that fails is no reason to leave all that comes after it as it is. What the bucket does, is.
    let problem: KeepsakeError | undefined
    const failing = (error: unknown) => {
      signal?.throwIfAborted()
      problem = KeepsakeError.from(error)
      if (problem.retryable) unasked ??= `${source.name}: ${problem.message}`
    }
    const open = await source.open(record, signal).catch(failing)
    if (open === undefined) continue
    const body = async function* () {
      try {
        yield* open()
      } catch (error) {
        failing(error)
        throw error
      }
    }
    try {
      // Only these very bytes: the store checks their hash, and nothing is overwritten.
      await store.put({ ...object, body, ...callOptions(signal) })
    } catch (error) {
      if (problem !== undefined || KeepsakeError.is(error, 'content_mismatch', 'content_truncated')) continue
      if (!KeepsakeError.is(error, 'object_exists')) throw error
      // It came by other hands meanwhile, or by an answer that was lost. What it is, is looked at.
      const there = judgeRow({ ...record, key: record.key }, await store.head(record.key, callOptions(signal)))
      if (there?.kind === 'mismatch') return markCorrupt(catalogue, record, there, actor)
    }
    await catalogue.markHealth(record, 'ok', { by: 'reconcile', from: source.name }, actor)
    return { outcome: 'recovered', reason: `from ${source.name}` }
  }
  return unasked === undefined
    ? missing
    : { outcome: 'failed', reason: `missing, and not all could be asked: ${unasked}` }
}

/** An object that was set aside as nobody's, before a row for it came back: from a backup, or by a rebuild. */
function fromQuarantine(store: RecoverParts['store']): RecoverySource {
  return {
    name: 'quarantine',
    async open({ key, size }, signal) {
      if (key === null) return undefined
      const head = await store.head(quarantineKey(key), callOptions(signal))
      if (head?.size !== size) return undefined
      return async function* () {
        yield* (await store.get(quarantineKey(key), callOptions(signal))).body
      }
    },
  }
}
