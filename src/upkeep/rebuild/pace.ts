/** How fast work goes, and how long it takes yet: by all that was done so far. */
export class Pace {
  readonly #of: number
  readonly #start = performance.now()
  #done = 0

  constructor(of: number) {
    this.#of = of
  }

  add(count: number): { done: number; of: number; rate: number; secondsLeft: number | null } {
    this.#done += count
    const seconds = (performance.now() - this.#start) / 1000
    const rate = seconds > 0 ? this.#done / seconds : 0
    const left = Math.max(0, this.#of - this.#done)
    return {
      done: this.#done,
      of: Math.max(this.#of, this.#done),
      rate: Math.round(rate),
      secondsLeft: rate > 0 ? Math.ceil(left / rate) : null,
    }
  }
}
