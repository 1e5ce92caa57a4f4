import fc from 'fast-check'

/** What happens side by side with others. Small numbers pick an owner, an asset, an object, a manifest. */
export type Act =
  | { readonly do: 'import'; readonly owner: number }
  | { readonly do: 'delete'; readonly pick: number }
  | { readonly do: 'sweep' }
  /** Somebody who knows nothing of the catalogue puts an object of ours: a restored copy, a late write. */
  | { readonly do: 'plant'; readonly owner: number }
  /** The put of an import, or of an upload, lands after its asset was deleted: perhaps long after. */
  | { readonly do: 'late'; readonly pick: number; readonly wait: number }
  /** The catalogue loses a row, as by an older backup, and does not know that it did. */
  | { readonly do: 'lose'; readonly pick: number }
  /** A rebuild, or a newer backup, makes a stored row for an object without one, at once. */
  | { readonly do: 'adopt'; readonly pick: number; readonly wait: Wait }
  /** A migration that keeps keys: a pending row takes the key of an object, and is stored when that is there. */
  | { readonly do: 'take'; readonly pick: number; readonly wait: Wait }
  /** Something else lies where the copy of an orphan would go. */
  | { readonly do: 'block'; readonly pick: number }
  | { readonly do: 'scan'; readonly prefix: boolean; readonly shards: number }
  | { readonly do: 'apply'; readonly pick: number }
  | { readonly do: 'restore' }

/** Calls of reconcile's that go first; or a step of a move, and then the key is the one that is moved. */
export type Wait = number | 'claimMove' | 'copy' | 'beginRemoval'

export type Interleaving = {
  readonly seed: number
  /** How likely a call of reconcile's meets a fault. */
  readonly faults: number
  readonly rounds: readonly { readonly acts: readonly Act[]; readonly then: number }[]
}

export const owners = ['a', 'ab'] as const

const pick = fc.nat(9)
const owner = fc.nat(owners.length - 1)
const scan = fc.record({
  do: fc.constant('scan' as const),
  prefix: fc.boolean(),
  shards: fc.integer({ min: 1, max: 2 }),
})
const apply = fc.record({ do: fc.constant('apply' as const), pick: fc.constantFrom(0, 0, 0, 1) })
const plant = fc.record({ do: fc.constant('plant' as const), owner })
const imported = fc.record({ do: fc.constant('import' as const), owner })
const deleted = fc.record({ do: fc.constant('delete' as const), pick })
const sweep = fc.constant({ do: 'sweep' as const })
const restore = fc.constant({ do: 'restore' as const })
/** Calls of reconcile's that go first: an apply of a few orphans makes some forty. */
const wait = fc.nat(40)
const late = fc.record({ do: fc.constant('late' as const), pick, wait })
/** A row for the key of an object that has none, at any moment. */
const claim = fc.record({
  do: fc.constantFrom('adopt' as const, 'take' as const),
  pick,
  wait: fc.oneof(wait, fc.constantFrom<Wait>('claimMove', 'copy', 'beginRemoval')),
})
const beside: fc.Arbitrary<Act> = fc.oneof(
  { weight: 4, arbitrary: imported },
  { weight: 3, arbitrary: deleted },
  { weight: 2, arbitrary: claim },
  { weight: 2, arbitrary: late },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), pick }) },
  { weight: 1, arbitrary: plant },
  { weight: 1, arbitrary: sweep },
  { weight: 1, arbitrary: restore },
  { weight: 1, arbitrary: scan },
  { weight: 1, arbitrary: apply },
)

const hour = 3600
const day = 24 * hour
const pause = fc.constantFrom(0, 0, 60, hour + 100, day + 60)

type Round = Interleaving['rounds'][number]

/** A round with acts that it is about, and others side by side with them. */
const round = (about: fc.Arbitrary<Act[]>, then: fc.Arbitrary<number>, maxLength = 3): fc.Arbitrary<Round> =>
  fc
    .record({ about, others: fc.array(beside, { maxLength }), then })
    .map(({ about, others, then }) => ({ acts: [...about, ...others], then }))

const some = (act: fc.Arbitrary<Act>, minLength: number, maxLength: number) => fc.array(act, { minLength, maxLength })

/** Assets come, go, and are forgotten; what lands under their keys after that is nobody's. */
const forgotten: fc.Arbitrary<Round[]> = fc.tuple(
  round(some(deleted, 1, 2), fc.constantFrom(60, 7 * hour), 1),
  round(fc.tuple(sweep), fc.constant(0), 0),
  round(some(late, 1, 2), pause, 0),
)

/**
 * Two scans a day or so apart, and then an apply while rows take the keys of the very objects that it moves: by chance
 * alone that would hardly come. Each step that keeps a live object safe is the last one in some of these.
 */
export const interleaving: fc.Arbitrary<Interleaving> = fc
  .record({
    seed: fc.nat(),
    faults: fc.constantFrom(0, 0, 0.02, 0.08),
    first: round(
      fc.tuple(some(plant, 2, 4), some(imported, 1, 2)).map((acts) => acts.flat()),
      pause,
    ),
    forgotten: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: forgotten }),
    // With what the order of the two reads decides about.
    scanned: round(fc.tuple(scan, imported), fc.constantFrom(2 * day + 60, 2 * day + 60, day + 60, hour), 2),
    again: round(fc.tuple(scan, imported), fc.constantFrom(0, 0, day + 60), 2),
    // With the rows that the looks are for.
    applied: round(
      fc
        .tuple(
          apply,
          some(claim, 1, 4),
          fc.array(fc.record({ do: fc.constant('block' as const), pick }), { maxLength: 1 }),
        )
        .map(([first, claims, blocks]) => [first, ...claims, ...blocks]),
      pause,
      2,
    ),
    after: fc.array(round(some(fc.oneof(apply, scan, restore, claim), 1, 2), pause, 1), { maxLength: 2 }),
  })
  .map(({ seed, faults, first, forgotten, scanned, again, applied, after }) => ({
    seed,
    faults,
    rounds: [first, ...forgotten, scanned, again, applied, ...after],
  }))
