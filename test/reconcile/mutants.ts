// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the source that is edited has templates in it.
import type { Mutant } from '../model/mutants.ts'

const queries = 'catalogue/reconcile.ts'
const range = 'upkeep/reconcile/scan-range.ts'
const scan = 'upkeep/reconcile/scan.ts'
const quarantine = 'upkeep/reconcile/quarantine.ts'

function mutant(name: string, file: string, find: string, replace: string): Mutant {
  return { name, edits: [{ file, find, replace }] }
}

/** The defects by which others lost what people kept, and those that this design could have. */
export const mutants: readonly Mutant[] = [
  mutant(
    'no second look before the move',
    queries,
    'const unclaimed = `not exists (select from keepsake.assets a where a.key = $1)',
    'const unclaimed = `not exists (select from keepsake.assets a where a.key = $1 and false)',
  ),
  mutant(
    'no look under the lock',
    queries,
    "and q.state = 'copying' and ${unclaimed}\nreturning q.key",
    "and q.state = 'copying'\nreturning q.key",
  ),
  mutant(
    'a row may take a key that is being moved',
    'catalogue/migrations/0003-reconcile.ts',
    "q.key = new.key and q.state <> 'copying'",
    "q.key = new.key and q.state = 'nothing'",
  ),
  {
    name: 'catalogue read before LIST',
    edits: [
      {
        file: range,
        find: '  for await (const page of pagesOf(listed, range.until)) {',
        replace:
          '  const early = await catalogue.keyedRows({ after: position, until: range.until, listedAt }, 1e6)\n  for await (const page of pagesOf(listed, range.until)) {',
      },
      {
        file: range,
        find: 'const rows = await catalogue.keyedRows({ after: position, until: through, listedAt }, rowsAtOnce)',
        replace:
          'const there = [...early.keys.keys()].filter((at) => compareObjectKeys(early.keys[at] ?? "", position) > 0 && compareObjectKeys(early.keys[at] ?? "", through) <= 0)\nconst rows = { keys: there.map((at) => early.keys[at] ?? ""), sizes: there.map((at) => early.sizes[at] ?? null), flags: there.map((at) => early.flags[at] ?? 0) }',
      },
    ],
  },
  mutant(
    'retired keys not asked',
    'upkeep/reconcile/judge.ts',
    'const left = keys.filter((key) => !retired.has(key))',
    'const left = keys.filter((key) => !retired.has(`${key}?`))',
  ),
  mutant(
    'age ignored',
    quarantine,
    'if (storeTime.getTime() - head.lastModified.getTime() < minAge * 1000)',
    'if (storeTime.getTime() < minAge)',
  ),
  mutant(
    'one sighting is enough',
    queries,
    's.last_seen_at - s.first_seen_at >= make_interval(secs => $8::float8)',
    's.last_seen_at - s.first_seen_at >= make_interval(secs => 0 * $8::float8)',
  ),
  {
    name: 'prefix without slash',
    edits: [
      {
        file: scan,
        find: 'this.#end = lastKeyUnder(scan.prefix)',
        replace: 'this.#end = lastKeyUnder(scan.prefix.slice(0, -1))',
      },
      {
        file: range,
        find: "(prefix === '' ? {} : { prefix })",
        replace: "(prefix === '' ? {} : { prefix: prefix.slice(0, -1) })",
      },
    ],
  },
  mutant(
    'copy not verified',
    quarantine,
    'if (!(await copied(store, key, quarantineKey(key), head, signal)))',
    'if ((await copied(store, key, quarantineKey(key), head, signal)) === null)',
  ),
  // Either of the two is harmless without the other: a row that is younger than the listing is looked at in vain.
  {
    name: 'missing by an old listing alone',
    edits: [
      { file: range, find: 'if ((flags & lacking) === lacking)', replace: 'if ((flags & rowFlags.stored) !== 0)' },
      {
        file: 'upkeep/reconcile/judge.ts',
        find: 'const heads = await inParallel(rows, headsAtOnce, (row) => parts.store.head(row.key, callOptions(signal)))',
        replace: 'const heads: undefined[] = []',
      },
    ],
  },
]
