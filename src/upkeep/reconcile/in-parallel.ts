import { eachOf } from '../each-of.ts'

/** Work on each item, so many at a time; the results are in the order of the items. The first error ends it. */
export async function inParallel<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length)
  await eachOf(items.entries(), Math.min(atOnce, items.length), async ([index, item]) => {
    results[index] = await work(item)
  })
  return results
}
