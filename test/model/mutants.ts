// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the source that is edited has templates in it.
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** An edit of one source file. `find` must stand there exactly once, so that a mutant cannot rot unseen. */
type Edit = { readonly file: string; readonly find: string; readonly replace: string }

/** One defect, as the edits of the real source that make it. */
export type Mutant = { readonly name: string; readonly edits: readonly Edit[] }

const keepFile = 'intake/keep.ts'
const settleFile = 'upkeep/settle.ts'
const transitions = 'catalogue/transitions.ts'
const migration = 'catalogue/migrations/0001-catalogue.ts'

function mutant(name: string, file: string, find: string, replace: string): Mutant {
  return { name, edits: [{ file, find, replace }] }
}

const promoter = 'upkeep/promote/promoter.ts'

export const mutants: readonly Mutant[] = [
  {
    name: 'promoted before the copy is in the bucket',
    edits: [
      { file: promoter, find: '      await this.#copy(asset, local.store, signal)\n', replace: '' },
      {
        file: promoter,
        find: '      this.#putOff.delete(asset.id)\n',
        replace: '      await this.#copy(asset, local.store, signal)\n      this.#putOff.delete(asset.id)\n',
      },
    ],
  },
  mutant(
    'the sweep takes the copy of a promotion under way',
    'catalogue/retired-keys.ts',
    "(a.store = r.store or (a.state = 'stored' and r.store = 'primary'))",
    'a.store = r.store',
  ),
  mutant(
    'a delete that leaves the local copy of what was promoted',
    settleFile,
    'if (stores.local && copies.includes(stores.local.place))',
    'if (stores.local && copies.length > 9)',
  ),
  mutant(
    'a promotion that leaves the local copy behind for good',
    'catalogue/promotions.ts',
    'from old join changed on changed.id = old.id\n  on conflict',
    'from old join changed on changed.id = old.id where false\n  on conflict',
  ),
  mutant(
    'row stored before the put',
    keepFile,
    '  await put(parts, keyed, key, content, servedAs(collection, contentType), signal)\n  return confirm(parts, keyed, content, collection, actor)',
    '  const row = await confirm(parts, keyed, content, collection, actor)\n  await put(parts, keyed, key, content, servedAs(collection, contentType), signal)\n  return row',
  ),
  mutant(
    'object deleted before the row',
    'bound-verbs.ts',
    '    const record = isAssetId(id) ? await catalogue.beginDelete(id, deleteLease, this.#actor) : undefined',
    '    const seen = await catalogue.get(id, this.#actor)\n    if (seen?.key) await this.#parts.stores.of(seen.store).delete([seen.key])\n    const record = isAssetId(id) ? await catalogue.beginDelete(id, deleteLease, this.#actor) : undefined',
  ),
  mutant(
    'delete acknowledged before the object is gone',
    'bound-verbs.ts',
    '      return { done: false }',
    '      return { done: true }',
  ),
  mutant(
    'row purged without its object',
    settleFile,
    '  if (key !== null) {\n    await remove(store, key,',
    '  if (key === "") {\n    await remove(store, key,',
  ),
  {
    name: 'object deleted after an error on commit',
    edits: [
      {
        file: keepFile,
        find: "  parts: Pick<KeepParts, 'catalogue' | 'clock' | 'jobs'>,",
        replace: '  parts: KeepParts,',
      },
      {
        file: keepFile,
        find: "      if (failures + 1 >= tries || !KeepsakeError.is(error, 'catalogue_unavailable', 'timeout')) throw error",
        replace:
          "      if (record.key) await parts.store?.delete([record.key])\n      if (failures + 1 >= tries || !KeepsakeError.is(error, 'catalogue_unavailable', 'timeout')) throw error",
      },
    ],
  },
  mutant(
    'acknowledged without a row',
    keepFile,
    "      return stored ?? (await catalogue.get(record.id, { role: 'system' }))",
    "      return stored ?? { ...record, ...facts, state: 'stored' }",
  ),
  mutant(
    'unfenced confirm',
    transitions,
    "where id = $1 and state = 'pending' and attempt = $2 and key is not null",
    "where id = $1 and state = 'pending' and $2::integer is not null and key is not null",
  ),
  mutant(
    'reaper without fence',
    transitions,
    "where id = $1 and state = 'pending' and attempt = $2 and (until <= keepsake.now() or $6::boolean) and upload is null for update",
    "where id = $1 and state = 'pending' and $2::integer is not null and $6::boolean is not null and upload is null for update",
  ),
  mutant(
    'reaper that does not ask the object',
    settleFile,
    '    const head = await stores.of(record.store).head(record.key)',
    '    const head = record.attempt > 99 ? await stores.of(record.store).head(record.key) : undefined',
  ),
  mutant(
    'reaper that gives up a key without retiring it',
    transitions,
    "), retired as (\n  ${retire}\n), audited as (\n  ${audit('changed', 'asset.retried'",
    "), audited as (\n  ${audit('changed', 'asset.retried'",
  ),
  mutant(
    'failure that leaves its key behind',
    transitions,
    "), retired as (\n  ${retire}\n), audited as (\n  ${audit('changed', 'asset.failed'",
    "), audited as (\n  ${audit('changed', 'asset.failed'",
  ),
  {
    name: 'retired keys are looked at once and forgotten',
    edits: [
      {
        file: 'catalogue/retired-keys.ts',
        find: "and s.at >= s.retired_at + interval '6 hours'",
        replace: 'and s.at >= s.retired_at',
      },
      // Both parts see the row as it was: the update would win over the delete.
      {
        file: 'catalogue/retired-keys.ts',
        find: "where r.key = s.key and r.store = s.store and s.at < s.retired_at + interval '6 hours'`",
        replace: 'where r.key = s.key and r.store = s.store and s.at < s.retired_at`',
      },
    ],
  },
  mutant(
    'stored without an audit row',
    transitions,
    "${audit('changed', 'asset.stored',",
    "${audit('changed where false', 'asset.stored',",
  ),
  mutant(
    'upload stored on its client’s word',
    settleFile,
    '  if (record.upload !== null) return parts.uploads.settle(record, collection, system)\n',
    '',
  ),
  mutant(
    'upload stored whatever it is',
    'intake/upload/examine.ts',
    '  if (!acceptsContentType(collection.accept, contentType)) {',
    '  if (contentType === "") {',
  ),
  mutant(
    'abort of what was stored meanwhile',
    'catalogue/uploads.ts',
    "where id = $1 and state = 'pending' and upload is not null for update",
    "where id = $1 and state in ('pending', 'stored') for update",
  ),
  mutant('quota not checked', migration, 'if total > new.quota then', 'if total > new.quota + 1000000 then'),
  mutant(
    'idempotency key taken for any request',
    'catalogue/reserve.ts',
    'if (fingerprint !== idempotency.fingerprint) {',
    'if (fingerprint === "") {',
  ),
  mutant(
    'idempotency key that does not bind',
    'catalogue/reserve.ts',
    'reservation.idempotency?.key ?? null,',
    'reservation.idempotency === null ? null : reservation.idempotency.key + reservation.id,',
  ),
  mutant(
    'owner not checked',
    'catalogue/acting.ts',
    "  if (actor.role !== 'user') return work(database.service)",
    '  if (actor.role !== null) return work(database.service)',
  ),
  {
    name: 'a later attempt takes the same key and overwrites',
    edits: [
      { file: keepFile, find: '    attempt: record.attempt,\n    owner', replace: '    attempt: 1,\n    owner' },
      {
        file: keepFile,
        find: '        signal,\n      })',
        replace: '        createOnly: false,\n        signal,\n      })',
      },
      {
        file: transitions,
        find: 'where a.id = old.id and not exists (select from keepsake.retired_keys r where r.key = $3)',
        replace: 'where a.id = old.id',
      },
    ],
  },
]

/** A copy of the source with the defect in it, inside the repository so that node_modules resolves. */
export async function sow(root: string, mutant: Mutant): Promise<{ src: string } & AsyncDisposable> {
  const folder = join(root, '.mutants', `${mutant.name.replaceAll(/\W+/g, '-')}-${process.pid}`)
  const src = join(folder, 'src')
  await mkdir(folder, { recursive: true })
  await cp(join(root, 'src'), src, { recursive: true })
  for (const { file, find, replace } of mutant.edits) {
    const path = join(src, file)
    const pieces = (await readFile(path, 'utf8')).split(find)
    if (pieces.length !== 2) {
      throw new Error(
        `The mutant '${mutant.name}' no longer fits ${file}: its text stands there ${pieces.length - 1} times.`,
      )
    }
    await writeFile(path, pieces.join(replace))
  }
  const remove = () => rm(folder, { recursive: true, force: true })
  return { src, [Symbol.asyncDispose]: remove }
}
