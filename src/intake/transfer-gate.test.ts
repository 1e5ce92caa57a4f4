import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { TransferGate } from './transfer-gate.ts'

const never = new AbortController().signal

async function isOpen(entering: Promise<Disposable>): Promise<boolean> {
  const waiting = Symbol('waiting')
  return (await Promise.race([entering, delay(20, waiting)])) !== waiting
}

describe('the transfer gate', () => {
  it('lets so many in, and the next ones in their order as places come free', async () => {
    const gate = new TransferGate({ atOnce: 2, most: 10, longAfter: 600 })
    const first = await gate.enter(never)
    await gate.enter(never)
    const third = gate.enter(never)
    const fourth = gate.enter(never)
    expect(await isOpen(third)).toBe(false)
    first[Symbol.dispose]()
    first[Symbol.dispose]()
    expect(await isOpen(third)).toBe(true)
    expect(await isOpen(fourth)).toBe(false)
  })

  it('does not let long transfers keep others out, up to the most at all', async () => {
    const gate = new TransferGate({ atOnce: 1, most: 3, longAfter: 0.01 })
    const slow = await gate.enter(never)
    await gate.enter(never)
    await gate.enter(never)
    const fourth = gate.enter(never)
    expect(await isOpen(fourth)).toBe(false)
    slow[Symbol.dispose]()
    expect(await isOpen(fourth)).toBe(true)
  })

  it('lets those who gave up go, and keeps their place for others', async () => {
    const gate = new TransferGate({ atOnce: 1, most: 10, longAfter: 600 })
    const first = await gate.enter(never)
    const giver = new AbortController()
    const second = gate.enter(giver.signal)
    const third = gate.enter(never)
    giver.abort(new Error('given up'))
    await expect(second).rejects.toThrow('given up')
    first[Symbol.dispose]()
    expect(await isOpen(third)).toBe(true)
    await expect(gate.enter(giver.signal)).rejects.toThrow('given up')
  })
})
