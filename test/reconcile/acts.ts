import fc from 'fast-check'

/** What happens side by side with others. Small numbers pick an owner, an asset, an object, a manifest. */
export type Act =
  | { readonly do: 'import'; readonly owner: number }
  | { readonly do: 'delete'; readonly pick: number }
  | { readonly do: 'sweep' }
  /** Somebody who knows nothing of the catalogue puts an object of ours: a restored copy, a late write. */
  | { readonly do: 'plant'; readonly owner: number }
  /** The catalogue loses a row, as by an older backup, and does not know that it did. */
  | { readonly do: 'lose'; readonly pick: number }
  /** A rebuild, or a newer backup, makes a row for an object without one. */
  | { readonly do: 'adopt'; readonly pick: number }
  | { readonly do: 'scan'; readonly prefix: boolean; readonly shards: number }
  | { readonly do: 'apply'; readonly pick: number }
  | { readonly do: 'restore' }

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
const adopt = fc.record({ do: fc.constant('adopt' as const), pick: fc.nat(3) })
const beside: fc.Arbitrary<Act> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('import' as const), owner }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), pick }) },
  { weight: 3, arbitrary: adopt },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), pick }) },
  { weight: 1, arbitrary: plant },
  { weight: 1, arbitrary: fc.constant({ do: 'sweep' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restore' as const }) },
  { weight: 1, arbitrary: scan },
  { weight: 1, arbitrary: apply },
)

const day = 86_400
const pause = fc.constantFrom(0, 0, 60, 3700, day + 60)

/** A round with one act that it is about, and others side by side with it. */
const round = (about: fc.Arbitrary<Act[]>, then: fc.Arbitrary<number>) =>
  fc
    .record({ about, others: fc.array(beside, { maxLength: 3 }), then })
    .map(({ about, others, then }) => ({ acts: [...about, ...others], then }))

/** Two scans a day or so apart, and applies, with everything else going on: by chance alone that would hardly come. */
export const interleaving: fc.Arbitrary<Interleaving> = fc
  .record({
    seed: fc.nat(),
    faults: fc.constantFrom(0, 0, 0.02, 0.08),
    first: round(
      fc.array(fc.oneof(plant, fc.record({ do: fc.constant('import' as const), owner })), {
        minLength: 2,
        maxLength: 3,
      }),
      pause,
    ),
    // With what the order of the two reads decides about.
    scanned: round(fc.tuple(scan, imported), fc.constantFrom(2 * day + 60, 2 * day + 60, day + 60, 3600)),
    again: round(fc.tuple(scan, imported), fc.constantFrom(0, 0, day + 60)),
    // With the row that the second look is for.
    applied: round(fc.tuple(apply, adopt), pause),
    after: fc.array(round(fc.tuple(fc.oneof(apply, scan, fc.constant({ do: 'restore' as const }))), pause), {
      maxLength: 2,
    }),
  })
  .map(({ seed, faults, first, scanned, again, applied, after }) => ({
    seed,
    faults,
    rounds: [first, scanned, again, applied, ...after],
  }))
