import fc from 'fast-check'
import type { Fault, FaultRule } from './faults.ts'

/** What a client or the world does. Small numbers pick an owner, a content, a key, an earlier asset. */
export type Act =
  | {
      readonly do: 'import'
      readonly owner: number
      readonly content: number
      readonly idempotency: number | null
      readonly source: 'url' | 'bytes'
    }
  | {
      readonly do: 'ticket'
      readonly owner: number
      readonly content: number
      readonly idempotency: number | null
      /** The client says the hash of its content. */
      readonly hashed: boolean
    }
  /** A client uses a ticket: with what it announced, or with as many bytes of a web page. */
  | { readonly do: 'send'; readonly pick: number; readonly wrong: boolean }
  | { readonly do: 'complete'; readonly pick: number }
  | { readonly do: 'abort'; readonly pick: number }
  | { readonly do: 'delete'; readonly pick: number }
  | { readonly do: 'read'; readonly pick: number; readonly owner: number }
  | { readonly do: 'sweep' }
  /** What fell back is moved to the bucket. */
  | { readonly do: 'promote' }
  /** A client asks what became of its upload, and gets links to go on with. */
  | { readonly do: 'look'; readonly pick: number }
  /** Leases run out and the sweep takes over what others still work on. */
  | { readonly do: 'overtake'; readonly after: number }

/** One step of a sequence: acts side by side under faults, or something that befalls the world. */
export type Step =
  | { readonly at: 'acts'; readonly acts: readonly Act[]; readonly faults: readonly FaultRule[] }
  | { readonly at: 'restart' }
  /** The bucket is gone for everybody, or back. A sequence with one has a local store to fall back to. */
  | { readonly at: 'outage'; readonly down: boolean }
  | { readonly at: 'land' }
  | { readonly at: 'jump'; readonly seconds: number }
  | { readonly at: 'source'; readonly mood: 'well' | 'failing' | 'gone' | 'cut' | 'other' }

export const owners = ['ada', 'bob'] as const
export const contents = 5

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('import' as const),
      owner: fc.nat(owners.length - 1),
      content: fc.nat(contents - 1),
      idempotency: fc.option(fc.nat(2), { freq: 2 }),
      source: fc.constantFrom('url' as const, 'url' as const, 'bytes' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('ticket' as const),
      owner: fc.nat(owners.length - 1),
      content: fc.nat(contents - 1),
      idempotency: fc.option(fc.nat(2), { freq: 2 }),
      hashed: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      pick: fc.nat(5),
      wrong: fc.constantFrom(false, false, false, true),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('complete' as const), pick: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), pick: fc.nat(5) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), pick: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read' as const), pick: fc.nat(7), owner: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('promote' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('look' as const), pick: fc.nat(5) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('overtake' as const), after: fc.nat(80) }) },
)

const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 3, arbitrary: fc.constant('slow' as const) },
  { weight: 3, arbitrary: fc.constant('fail' as const) },
  { weight: 3, arbitrary: fc.constant('applied-but-errored' as const) },
  { weight: 2, arbitrary: fc.constant('lands-later' as const) },
  { weight: 1, arbitrary: fc.constant('killed-before' as const) },
  { weight: 1, arbitrary: fc.constant('killed-after' as const) },
)

/** Where an attempt can be hurt, the more often the more is at stake there. */
const method = fc.oneof(
  { weight: 5, arbitrary: fc.constant('put') },
  { weight: 5, arbitrary: fc.constant('confirm') },
  { weight: 3, arbitrary: fc.constantFrom('head', 'delete', 'assignKey') },
  { weight: 3, arbitrary: fc.constantFrom('reserve', 'claim', 'reopen', 'beginDelete', 'purge', 'open') },
  { weight: 3, arbitrary: fc.constantFrom('createMultipart', 'beginParts', 'completeMultipart', 'beginAbort') },
  { weight: 2, arbitrary: fc.constantFrom('fail', 'postpone', 'get', 'due', 'dueRetiredKeys', 'sweptRetiredKeys') },
  { weight: 1, arbitrary: fc.constantFrom('recordIssuedUrls', 'getMany', 'list') },
  { weight: 2, arbitrary: fc.constantFrom('beginPromotion', 'finishPromotion', 'moveUpload', 'copiesElsewhere') },
  { weight: 2, arbitrary: fc.constantFrom('local:put', 'local:head', 'local:delete', 'local:get') },
)

const rule: fc.Arbitrary<FaultRule> = fc.record({
  method,
  fault,
  // Intake tries an effect four times: a fault that lasts must last that long.
  times: fc.constantFrom(1, 1, 1, 2, 4, 5),
})

/** An upload from its ticket to its end, by a client that gets through or does not. */
const uploaded: fc.Arbitrary<Step[]> = fc
  .record({
    owner: fc.nat(owners.length - 1),
    content: fc.nat(contents - 1),
    hashed: fc.boolean(),
    wrong: fc.constantFrom(false, false, false, true),
    ends: fc.subarray(['complete', 'abort', 'complete'] as const),
  })
  .map(({ owner, content, hashed, wrong, ends }) => [
    { at: 'acts', acts: [{ do: 'ticket', owner, content, idempotency: null, hashed }], faults: [] },
    { at: 'acts', acts: [{ do: 'send', pick: 0, wrong }], faults: [] },
    { at: 'acts', acts: ends.map((end) => ({ do: end, pick: 0 })), faults: [] },
  ])

/** A slow import whose lease runs out under it: the two attempts meet. */
const overtaken: fc.Arbitrary<Act[]> = fc
  .record({ owner: fc.nat(owners.length - 1), content: fc.nat(contents - 1), after: fc.nat(80) })
  .map(({ owner, content, after }) => [
    { do: 'import', owner, content, idempotency: null, source: 'url' },
    { do: 'overtake', after },
  ])

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      at: fc.constant('acts' as const),
      acts: fc.oneof(
        { weight: 3, arbitrary: fc.array(act, { minLength: 1, maxLength: 3 }) },
        { weight: 1, arbitrary: overtaken },
      ),
      faults: fc.array(rule, { maxLength: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ at: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ at: fc.constant('land' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ at: fc.constant('jump' as const), seconds: fc.constantFrom(31, 31, 31, 400, 7200) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      at: fc.constant('source' as const),
      mood: fc.constantFrom('well' as const, 'failing' as const, 'gone' as const, 'cut' as const, 'other' as const),
    }),
  },
)

/**
 * A put whose every try is only heard of much later, after its attempt was given up or its asset deleted: what arrives
 * then is nobody's. Left to chance this takes five things in a row.
 */
const straggler: fc.Arbitrary<Step[]> = fc
  .record({
    owner: fc.nat(owners.length - 1),
    content: fc.nat(contents - 1),
    source: fc.constantFrom('url' as const, 'url' as const, 'bytes' as const),
    fate: fc.constantFrom('given up' as const, 'deleted' as const),
    mood: fc.constantFrom('well' as const, 'other' as const),
    landed: fc.boolean(),
  })
  .map(({ owner, content, source, fate, mood, landed }) => [
    {
      at: 'acts',
      acts: [{ do: 'import', owner, content, idempotency: null, source }],
      faults: [{ method: 'put', fault: 'lands-later', times: 5 }],
    },
    { at: 'source', mood },
    ...(fate === 'given up'
      ? [{ at: 'jump' as const, seconds: 400 }]
      : [{ at: 'acts' as const, acts: [{ do: 'delete' as const, pick: 7 }], faults: [] }]),
    { at: 'acts', acts: [{ do: 'sweep' }], faults: [] },
    ...(landed ? [{ at: 'land' as const }] : []),
  ])

/** The bucket is lost, media come in nevertheless, it is back: and what is moved to it is deleted and swept meanwhile. */
const outage: fc.Arbitrary<Step[]> = fc
  .record({
    owner: fc.nat(owners.length - 1),
    content: fc.nat(contents - 1),
    way: fc.constantFrom('bytes' as const, 'url' as const, 'upload' as const),
    beside: fc.array(
      fc.oneof(
        fc.record({ do: fc.constant('delete' as const), pick: fc.nat(7) }),
        fc.record({ do: fc.constant('sweep' as const) }),
        fc.record({ do: fc.constant('read' as const), pick: fc.nat(7), owner: fc.nat(1) }),
      ),
      { maxLength: 2 },
    ),
    faults: fc.oneof(
      {
        weight: 3,
        arbitrary: fc.array(
          fc.record({
            method: fc.constantFrom('put', 'beginPromotion', 'finishPromotion', 'head', 'local:get', 'delete', 'purge'),
            fault,
            times: fc.constantFrom(1, 1, 2),
          }),
          { maxLength: 2 },
        ),
      },
      // The copy is there, and the row does not say so yet: whatever happens now meets it.
      { weight: 2, arbitrary: fc.constant([{ method: 'finishPromotion', fault: 'slow' as const, times: 1 }]) },
    ),
    flaps: fc.boolean(),
    after: fc.nat(7),
  })
  .map(({ owner, content, way, beside, faults, flaps, after }): Step[] => [
    { at: 'outage', down: true },
    ...(way === 'upload'
      ? [
          {
            at: 'acts' as const,
            acts: [{ do: 'ticket' as const, owner, content, idempotency: null, hashed: true }],
            faults: [],
          },
          { at: 'acts' as const, acts: [{ do: 'look' as const, pick: 0 }], faults: [] },
          { at: 'acts' as const, acts: [{ do: 'send' as const, pick: 0, wrong: false }], faults: [] },
          { at: 'acts' as const, acts: [{ do: 'complete' as const, pick: 0 }], faults: [] },
        ]
      : [
          {
            at: 'acts' as const,
            acts: [{ do: 'import' as const, owner, content, idempotency: null, source: way }],
            faults: [],
          },
        ]),
    ...(flaps
      ? [
          { at: 'outage' as const, down: false },
          { at: 'outage' as const, down: true },
        ]
      : []),
    { at: 'outage', down: false },
    { at: 'acts', acts: [{ do: 'promote' }, ...beside], faults },
    { at: 'acts', acts: [{ do: 'delete', pick: after }], faults: [] },
  ])

const passage: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 16, arbitrary: step.map((one) => [one]) },
  { weight: 1, arbitrary: straggler },
  { weight: 2, arbitrary: uploaded },
  { weight: 2, arbitrary: outage },
)

/** A sequence of steps, mostly short: shrinking makes a found one shorter still. */
export const sequence: fc.Arbitrary<Step[]> = fc
  .array(passage, { minLength: 1, maxLength: 10, size: 'max' })
  .map((passages) => passages.flat())
