import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Exploration } from './explore.ts'
import { mutants, sow } from './mutants.ts'

/**
 * The model-based test as a command: `npm run test:model -- --sequences 20000`. Without `--no-mutants` it then proves
 * that it can fail: every sown defect must be caught.
 */
const { values } = parseArgs({
  options: {
    sequences: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    path: { type: 'string' },
    workers: { type: 'string', default: String(Math.min(4, availableParallelism())) },
    mutants: { type: 'boolean', default: true },
    mutant: { type: 'string' },
    'mutant-sequences': { type: 'string', default: '4000' },
  },
  allowNegative: true,
})

const root = resolve(import.meta.dirname, '../..')
const workers = Number(values.workers)
const seed = Number(values.seed)
let passed = 0
let failed = 0

function runWorker(task: object): Promise<Exploration> {
  return new Promise((done, fail) => {
    const child = fork(resolve(import.meta.dirname, 'worker.ts'), {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    child.once('message', (outcome) => done(outcome as Exploration))
    child.once('error', fail)
    child.once('exit', (code, signal) => code === 0 || fail(new Error(`the worker ended with ${code} ${signal}`)))
    child.send(task)
  })
}

if (values.mutant === undefined) {
  const each = Math.ceil(Number(values.sequences) / workers)
  const started = performance.now()
  const tasks = Array.from({ length: workers }, (_, index) =>
    runWorker({ src: resolve(root, 'src'), sequences: each, seed: seed + index, path: values.path }),
  )
  const outcomes = await Promise.all(tasks)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const violations = outcomes.flatMap(({ violation }) => (violation ? [violation] : []))
  const total = outcomes.reduce((sum, outcome) => sum + outcome.sequences, 0)
  console.log(`${total} sequences, ${violations.length} violations, ${seconds} s, seed ${seed}`)
  for (const { message, counterexample, seed: found, path } of violations) {
    console.log(
      `${message}\n${counterexample}\nagain: npm run test:model -- --workers 1 --no-mutants --seed ${found} --path ${path}`,
    )
  }
  if (violations.length > 0) failed += 1
  else passed += 1
}

// A mutant that is caught by a test that fails anyway proves nothing.
if (failed === 0 && (values.mutants || values.mutant !== undefined)) {
  const chosen = mutants.filter(({ name }) => values.mutant === undefined || name === values.mutant)
  const queue = chosen.values()
  const hunt = async () => {
    for (const mutant of queue) {
      await using sown = await sow(root, mutant)
      const task = { src: sown.src, sequences: Number(values['mutant-sequences']), seed, shrink: false }
      const { sequences, violation } = await runWorker(task)
      const first = violation?.message.split('\n')[0] ?? ''
      const caught = first.startsWith('Violation')
      if (caught) passed += 1
      else failed += 1
      console.log(
        `${caught ? 'caught' : 'MISSED'}  ${mutant.name} after ${sequences} sequences: ${first || 'no violation'}`,
      )
    }
  }
  await Promise.all(Array.from({ length: workers }, hunt))
}

console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)
