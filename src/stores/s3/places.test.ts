import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { isStoreFailure } from '../circuit.ts'
import { withCode } from '../conformance.ts'
import { inLine, Places } from './places.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** All places taken, and these in line. */
function line(names: readonly string[]) {
  const places = new Places('s3://media', 1, 300_000)
  expect([places.take(), places.take()]).toEqual([true, false])
  const entered: string[] = []
  const stops = names.map(() => new AbortController())
  const waits = names.map((name, index) => places.wait(stops[index]?.signal).then(() => void entered.push(name)))
  return { places, entered, stops, waits }
}

it('whoever came first goes first, and a place that nobody waits for is free', async () => {
  const { places, entered, waits } = line(['a', 'b'])
  places.leave()
  await waits[0]
  expect([entered, places.take()]).toEqual([['a'], false])
  places.leave()
  await waits[1]
  places.leave()
  expect([entered, places.take()]).toEqual([['a', 'b'], true])
})

it('whoever is stopped leaves the line to the next', async () => {
  const { places, entered, stops, waits } = line(['a', 'b'])
  stops[0]?.abort()
  await expect(waits[0]).rejects.toEqual(withCode('timeout'))
  places.leave()
  await waits[1]
  expect(entered).toEqual(['b'])
  await expect(places.wait(AbortSignal.abort())).rejects.toEqual(withCode('timeout'))
})

it('nobody waits for ever, and it is not the store that is told to fail', async () => {
  const { waits } = line(['a'])
  const told = expect(waits[0]).rejects.toMatchObject({
    code: 'timeout',
    message: 'All 1 connections to s3://media were in use for 300 seconds. Do less at a time, or try again later.',
    details: { reason: inLine },
  })
  const error = waits[0]?.catch((error: unknown) => error)
  await vi.advanceTimersByTimeAsync(300_000)
  await told
  expect(isStoreFailure(await error)).toBe(false)
})
