import type { Catalogue } from '../catalogue/index.ts'
import { KeepsakeError } from '../media/index.ts'

/**
 * Runs work and writes down how it ended, for people and metrics: its result, or the code of what ended it.
 *
 * @param soFar What is known where it did not come to its end.
 */
export async function recorded<T extends object>(
  catalogue: Pick<Catalogue, 'now' | 'recordRun'>,
  name: string,
  work: (startedAt: Date) => Promise<T>,
  soFar: () => object = () => ({}),
): Promise<T> {
  const startedAt = await catalogue.now()
  const end = async (detail: object) =>
    catalogue.recordRun({ name, startedAt, endedAt: await catalogue.now(), detail: { ...detail } })
  try {
    const result = await work(startedAt)
    await end(result)
    return result
  } catch (error) {
    await end({ ...soFar(), problem: KeepsakeError.from(error).code }).catch(() => {})
    throw error
  }
}
