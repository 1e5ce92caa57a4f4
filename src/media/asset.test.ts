import { describe, expect, test } from 'vitest'
import { type AssetState, assetStates, canTransition } from './index.ts'

describe('the state machine', () => {
  const allowed: Record<AssetState, string[]> = {
    pending: ['stored', 'failed', 'deleting'],
    stored: ['deleting'],
    failed: ['deleting', 'pending'],
    deleting: ['purged'],
  }
  const all = assetStates.flatMap((from) => [...assetStates, 'purged' as const].map((to) => ({ from, to })))

  test.each(all)('$from -> $to', ({ from, to }) => {
    expect(canTransition(from, to)).toBe(allowed[from].includes(to))
  })

  test('leads from every state to the row being gone, and back only from failed to pending', () => {
    const after = (from: AssetState | 'purged') =>
      all.filter((edge) => edge.from === from && canTransition(edge.from, edge.to)).map(({ to }) => to)
    const reach = (
      from: AssetState | 'purged',
      seen = new Set<AssetState | 'purged'>(),
    ): Set<AssetState | 'purged'> => {
      for (const to of after(from)) if (!seen.has(to)) reach(to, seen.add(to))
      return seen
    }
    for (const state of assetStates) {
      expect(reach(state)).toContain('purged')
      expect(reach(state).has(state)).toBe(state === 'pending' || state === 'failed')
    }
  })
})
