import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { KeepsakeClientError } from './error.ts'
import { retry } from './retry.ts'

const failing = (retryAfter = 0, status = 503) =>
  new KeepsakeClientError('down', status, 'Down.', undefined, retryAfter)
const always = () => true

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('retry', () => {
  it('pauses longer and longer, at random, and gives up', async () => {
    const starts: number[] = []
    const begun = Date.now()
    vi.spyOn(Math, 'random').mockReturnValue(1)
    const outcome = retry(
      async () => {
        starts.push(Date.now() - begun)
        throw failing()
      },
      always,
      new AbortController().signal,
    ).catch((error: unknown) => error)
    await vi.runAllTimersAsync()
    expect(await outcome).toMatchObject({ code: 'down' })
    const pauses = starts.slice(1).map((start, index) => start - (starts[index] ?? 0))
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  })

  it('never asks before the server said', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0)
    const work = vi.fn<() => Promise<string>>().mockRejectedValueOnce(failing(7)).mockResolvedValue('done')
    const outcome = retry(work, always, new AbortController().signal)
    await vi.advanceTimersByTimeAsync(6_999)
    expect(work).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(await outcome).toBe('done')
  })

  it('does not wait for a server that wants more than five minutes', async () => {
    const error = failing(301)
    await expect(retry(() => Promise.reject(error), always, new AbortController().signal)).rejects.toBe(error)
  })

  it('stops at once when it is aborted, also in a pause', async () => {
    const controller = new AbortController()
    const outcome = retry(() => Promise.reject(failing(60)), always, controller.signal)
    const expected = expect(outcome).rejects.toThrow('Enough.')
    await vi.advanceTimersByTimeAsync(10)
    controller.abort(new Error('Enough.'))
    await expected
    expect(vi.getTimerCount()).toBe(0)
  })

  it('waits as long as the browser is offline, however long, and goes on when it is online', async () => {
    const page = new EventTarget()
    const browser = { onLine: false }
    vi.stubGlobal('navigator', browser)
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
    const work = vi.fn(async () => {
      if (!browser.onLine) throw failing(0, 0)
      return 'done'
    })
    const outcome = retry(work, always, new AbortController().signal)
    await vi.advanceTimersByTimeAsync(24 * 3_600_000)
    const before = work.mock.calls.length
    expect(before).toBeGreaterThan(100)
    browser.onLine = true
    page.dispatchEvent(new Event('online'))
    expect(await outcome).toBe('done')
    expect(work).toHaveBeenCalledTimes(before + 1)
  })
})
