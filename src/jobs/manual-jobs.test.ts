import { expect, test } from 'vitest'
import { createInlineJobs } from './index.ts'

test('nudges are worked when told, in order, each once it is due', async () => {
  const jobs = createInlineJobs()
  const settled: string[] = []
  let sweeps = 0
  await jobs.nudge('early')
  await jobs.start({
    settle: async (asset) => {
      settled.push(asset)
      if (asset === 'early') await jobs.nudge('more')
    },
    sweep: async () => {
      sweeps += 1
    },
  })
  expect(sweeps).toBe(1)
  await jobs.nudge('later', 60)
  expect(settled).toEqual([])
  expect(jobs.nudges).toEqual([
    { asset: 'early', due: 0 },
    { asset: 'later', due: 60 },
  ])
  expect(await jobs.runDue()).toBe(2)
  expect(settled).toEqual(['early', 'more'])
  expect(await jobs.runDue(59)).toBe(0)
  expect(await jobs.runDue(1)).toBe(1)
  expect(settled).toEqual(['early', 'more', 'later'])
  await jobs.sweep()
  expect(sweeps).toBe(2)
})

test('what a handler throws is written down; a lost queue forgets', async () => {
  const jobs = createInlineJobs()
  await jobs.start({
    settle: async (asset) => {
      throw new Error(asset)
    },
    sweep: async () => {},
  })
  await jobs.nudge('bad')
  await jobs.runDue()
  expect(jobs.errors).toEqual([new Error('bad')])
  await jobs.nudge('lost')
  jobs.lose()
  expect(await jobs.runDue()).toBe(0)
})

test('work that nudges itself for ever ends in an error', async () => {
  const jobs = createInlineJobs()
  await jobs.start({ settle: (asset) => jobs.nudge(asset), sweep: async () => {} })
  await jobs.nudge('restless')
  await expect(jobs.runDue()).rejects.toThrow('nudges itself')
})

test('scheduled work runs when told', async () => {
  const jobs = createInlineJobs()
  await jobs.start({ settle: async () => {}, sweep: async () => {} })
  let runs = 0
  await jobs.schedule('nightly', '0 3 * * *', async () => {
    runs += 1
    if (runs === 2) throw new Error('no luck')
  })
  expect(jobs.schedules).toEqual(new Map([['nightly', '0 3 * * *']]))
  await jobs.runScheduled('nightly')
  await jobs.runScheduled('nightly')
  expect(jobs.errors).toEqual([new Error('no luck')])
  await expect(jobs.runScheduled('weekly')).rejects.toThrow("'weekly'")
})
