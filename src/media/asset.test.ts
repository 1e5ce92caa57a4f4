import { describe, expect, test } from 'vitest'
import { type AssetState, assetStates, canTransition } from './index.ts'

describe('the state machine', () => {
  const allowed: Record<AssetState, string[]> = {
    pending: ['stored', 'failed', 'deleting'],
    stored: ['deleting'],
    failed: ['deleting'],
    deleting: ['purged'],
  }
  const all = assetStates.flatMap((from) => [...assetStates, 'purged' as const].map((to) => ({ from, to })))

  test.each(all)('$from -> $to', ({ from, to }) => {
    expect(canTransition(from, to)).toBe(allowed[from].includes(to))
  })

  test('leads from every state to the row being gone, and never back', () => {
    const reach = (from: AssetState | 'purged'): Set<string> =>
      new Set([
        from,
        ...all
          .filter((edge) => edge.from === from && canTransition(edge.from, edge.to))
          .flatMap((edge) => [...reach(edge.to)]),
      ])
    for (const state of assetStates) {
      expect(reach(state)).toContain('purged')
      const successors = all.filter((edge) => edge.from === state && canTransition(edge.from, edge.to))
      for (const { to } of successors) expect(reach(to)).not.toContain(state)
    }
  })
})
