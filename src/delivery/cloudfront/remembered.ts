/** What was made for a name, for the names that were asked for last: two halves, the older of which is dropped as a whole. */
export class Remembered<Value> {
  readonly #half: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  /** `most`: entries that are held at a time. */
  constructor(most: number) {
    this.#half = Math.max(1, Math.floor(most / 2))
  }

  get(name: string, make: () => Value): Value {
    const young = this.#young.get(name)
    if (young !== undefined) return young
    const value = this.#old.get(name) ?? make()
    if (this.#young.size >= this.#half) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(name, value)
    return value
  }
}
