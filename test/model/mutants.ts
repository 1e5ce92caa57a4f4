import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** One defect, as an edit of the real source. `find` must stand there exactly once, so that a mutant cannot rot unseen. */
export type Mutant = {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
}

export const mutants: readonly Mutant[] = [
  {
    name: 'row stored before the put',
    file: 'intake/keep.ts',
    find: '  await put(parts, keyed, key, content, signal)\n  return confirm(parts, keyed, content, collection.keep, actor)',
    replace:
      '  const row = await confirm(parts, keyed, content, collection.keep, actor)\n  await put(parts, keyed, key, content, signal)\n  return row',
  },
  {
    name: 'object deleted before the row',
    file: 'bound-verbs.ts',
    find: '    const record = isAssetId(id) ? await catalogue.beginDelete(id, deleteLease, this.#actor) : undefined',
    replace:
      '    const seen = await catalogue.get(id, this.#actor)\n    if (seen?.key) await this.#parts.store.delete([seen.key])\n    const record = isAssetId(id) ? await catalogue.beginDelete(id, deleteLease, this.#actor) : undefined',
  },
  {
    name: 'row purged before the object',
    file: 'upkeep/settle.ts',
    find: '  if (record.key !== null) {\n    const { failed }',
    replace:
      '  await parts.catalogue.purge(record.id, record.attempt, actor)\n  if (record.key !== null) {\n    const { failed }',
  },
  {
    name: 'object deleted after an error on commit',
    file: 'intake/keep.ts',
    find: "      if (failures + 1 >= tries || !KeepsakeError.is(error, 'catalogue_unavailable', 'timeout')) throw error",
    replace:
      "      if (record.key) await parts.store.delete([record.key])\n      if (failures + 1 >= tries || !KeepsakeError.is(error, 'catalogue_unavailable', 'timeout')) throw error",
  },
  {
    name: 'acknowledged without a row',
    file: 'intake/keep.ts',
    find: "      return stored ?? (await catalogue.get(record.id, { role: 'system' }))",
    replace: "      return stored ?? { ...record, ...facts, state: 'stored' }",
  },
  {
    name: 'a taken key is believed to be ours',
    file: 'intake/keep.ts',
    find: '        if (factsFromObject(record, head)?.sha256 === content.sha256) return',
    replace: '        return',
  },
  {
    name: 'a later attempt reuses the key, and overwrites',
    file: 'intake/keep.ts',
    find: '    attempt: record.attempt,\n    owner',
    replace: '    attempt: 1,\n    owner',
  },
  {
    name: 'the reaper believes any object',
    file: 'intake/object-metadata.ts',
    find: 'parsed.data.asset !== record.id || head.key !== record.key',
    replace: 'head.key === ""',
  },
  {
    name: 'the reaper gives up without asking the object, and confirms',
    file: 'upkeep/settle.ts',
    find: '    if (facts) {',
    replace: '    if (facts || record.attempt > 1) {',
  },
]

/** A copy of the source with the defect in it, inside the repository so that node_modules resolves. */
export async function sow(root: string, mutant: Mutant): Promise<{ src: string } & AsyncDisposable> {
  const folder = join(root, '.mutants', `${mutant.name.replaceAll(/\W+/g, '-')}-${process.pid}`)
  const src = join(folder, 'src')
  await mkdir(folder, { recursive: true })
  await cp(join(root, 'src'), src, { recursive: true })
  const file = join(src, mutant.file)
  const before = await readFile(file, 'utf8')
  const pieces = before.split(mutant.find)
  if (pieces.length !== 2) {
    throw new Error(
      `The mutant '${mutant.name}' no longer fits ${mutant.file}: its text stands there ${pieces.length - 1} times.`,
    )
  }
  await writeFile(file, pieces.join(mutant.replace))
  const remove = () => rm(folder, { recursive: true, force: true })
  return { src, [Symbol.asyncDispose]: remove }
}
