import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { loadSubject as loadModel } from '../model/subject.ts'

/** The code under test, loaded from a folder: the project's own `src`, or a copy with one defect sown into it. */
export async function loadSubject(src: string) {
  const upkeep: typeof import('../../src/upkeep/index.ts') = await import(
    pathToFileURL(resolve(src, 'upkeep/index.ts')).href
  )
  return { ...(await loadModel(src)), createReconcile: upkeep.createReconcile }
}

export type Subject = Awaited<ReturnType<typeof loadSubject>>
