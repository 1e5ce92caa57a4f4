import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { sow } from '../model/mutants.ts'
import { startPostgres } from '../support/postgres.ts'
import { mutants } from './mutants.ts'

/**
 * The interleavings as a command: `npm run test:reconcile -- --interleavings 10000`. Without `--no-mutants` it then
 * proves that it can fail: every sown defect must be caught.
 */
const { values } = parseArgs({
  options: {
    interleavings: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    path: { type: 'string' },
    workers: { type: 'string', default: String(availableParallelism()) },
    mutants: { type: 'boolean', default: true },
    mutant: { type: 'string' },
    'mutant-interleavings': { type: 'string', default: '300' },
  },
  allowNegative: true,
})

const explorationSchema = z.object({
  interleavings: z.number(),
  tally: z.object({ quarantined: z.number(), restored: z.number(), takenInTime: z.number(), refused: z.number() }),
  violation: z
    .object({ message: z.string(), counterexample: z.string(), seed: z.number(), path: z.string() })
    .nullable(),
})

const root = resolve(import.meta.dirname, '../..')
const workers = Number(values.workers)
const seed = Number(values.seed)
const server = await startPostgres()
let [passed, failed] = [0, 0]

function runWorker(task: object): Promise<z.output<typeof explorationSchema>> {
  const { promise, resolve: done, reject } = Promise.withResolvers<z.output<typeof explorationSchema>>()
  const child = fork(resolve(import.meta.dirname, 'worker.ts'), {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  child.once('message', (outcome) => done(explorationSchema.parse(outcome)))
  child.once('error', reject)
  child.once('exit', (code, signal) => code === 0 || reject(new Error(`the worker ended with ${code} ${signal}`)))
  child.send({ ...task, server: server.url })
  return promise
}

if (values.mutant === undefined) {
  const each = Math.ceil(Number(values.interleavings) / workers)
  const started = performance.now()
  const outcomes = await Promise.all(
    Array.from({ length: workers }, (_, index) =>
      runWorker({ src: resolve(root, 'src'), interleavings: each, seed: seed + index, path: values.path }),
    ),
  )
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  const violations = outcomes.flatMap(({ violation }) => (violation ? [violation] : []))
  const total = outcomes.reduce((sum, { interleavings }) => sum + interleavings, 0)
  console.log(`${total} interleavings, ${violations.length} violations, ${seconds} s, seed ${seed}`)
  const sum = (name: keyof (typeof outcomes)[number]['tally']) => outcomes.reduce((all, it) => all + it.tally[name], 0)
  console.log(
    `${sum('quarantined')} orphans moved, ${sum('restored')} put back; ${sum('takenInTime')} left to a row that came in time, ` +
      `${sum('refused')} rows refused the key of a move`,
  )
  for (const { message, counterexample, seed: found, path } of violations) {
    console.log(`${message}\n${counterexample}`)
    console.log(`again: npm run test:reconcile -- --workers 1 --no-mutants --seed ${found} --path ${path}`)
  }
  if (violations.length > 0) failed += 1
  else passed += 1
}

// A mutant that is caught by a test that fails anyway proves nothing.
if (failed === 0 && (values.mutants || values.mutant !== undefined)) {
  const queue = mutants.filter(({ name }) => values.mutant === undefined || name === values.mutant).values()
  const hunt = async () => {
    for (const mutant of queue) {
      await using sown = await sow(root, mutant)
      const interleavings = Number(values['mutant-interleavings'])
      const outcome = await runWorker({ src: sown.src, interleavings, seed, shrink: false })
      const first = outcome.violation?.message.split('\n')[0] ?? ''
      const caught = first.startsWith('Violation')
      if (caught) passed += 1
      else failed += 1
      console.log(
        `${caught ? 'caught' : 'MISSED'}  ${mutant.name} after ${outcome.interleavings} interleavings: ${first || 'no violation'}`,
      )
    }
  }
  await Promise.all(Array.from({ length: workers }, hunt))
}

await server.stop()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)
