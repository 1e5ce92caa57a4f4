/** Works on many things, so many at a time, in their order. The first error ends it, once what runs has ended. */
export async function eachOf<T>(things: Iterable<T>, atOnce: number, work: (thing: T) => Promise<void>): Promise<void> {
  const queue = things[Symbol.iterator]()
  let failed = false
  const worker = async () => {
    for (let next = queue.next(); !next.done && !failed; next = queue.next()) {
      try {
        await work(next.value)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: atOnce }, worker))
  const first = ends.find((end) => end.status === 'rejected')
  if (first) throw first.reason
}
