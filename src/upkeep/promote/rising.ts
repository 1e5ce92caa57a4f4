/**
 * Works on a queue: a few things at a time to begin with, and one more for each that went well, up to `most`. The first
 * error ends it, once what is under way has ended.
 */
export async function rising<T>(
  queue: AsyncGenerator<T, void, undefined>,
  { start, most }: { readonly start: number; readonly most: number },
  work: (item: T) => Promise<void>,
): Promise<void> {
  const lanes: Promise<void>[] = []
  const begin = () => {
    const lane = run()
    // Looked at below, in its turn.
    lane.catch(() => {})
    lanes.push(lane)
  }
  const run = async () => {
    for await (const item of queue) {
      await work(item)
      if (lanes.length < most) begin()
    }
  }
  for (let n = 0; n < start; n += 1) begin()
  // Lanes that are begun meanwhile are waited for too.
  let failed: { readonly error: unknown } | undefined
  for (const lane of lanes) {
    await lane.catch((error: unknown) => {
      failed ??= { error }
    })
  }
  if (failed) throw failed.error
}
