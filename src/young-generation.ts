import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/**
 * Holds the space for new objects to so many bytes. On 64-bit machines V8 lets it grow to 128 MiB, and fills that before it
 * looks for what is garbage: a process that moves files all day shows 100 MiB more than it needs. Node takes the limit
 * (`--max-semi-space-size`) on its own command line only, which a program does not write; how fast the space grows is
 * read each time that it would.
 *
 * For a process of our own only: a program that uses the library has its memory as it likes.
 */
export function boundYoungGeneration(bytes = 24 * 1024 * 1024): void {
  // While modules load nobody listens, and what they leave behind is there to stay: no growth until then.
  let grows = false
  setFlagsFromString('--semi-space-growth-factor=1')
  const observer = new PerformanceObserver(() => {
    const size = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0
    // V8 also shrinks it, when there is little to do.
    if (size < bytes === grows) return
    grows = size < bytes
    setFlagsFromString(`--semi-space-growth-factor=${grows ? 2 : 1}`)
  })
  observer.observe({ entryTypes: ['gc'] })
}
