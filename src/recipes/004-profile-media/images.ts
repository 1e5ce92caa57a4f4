import { type Asset, KeepsakeError, type Verbs } from '../../index.ts'
import { filenameOf, nobody, type Place } from './places.ts'

export type Bytes = Uint8Array | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>

/** Images by the place that they stand in, for one actor. */
export class Images {
  readonly #verbs: Verbs

  constructor(verbs: Verbs) {
    this.#verbs = verbs
  }

  /** What stands there is replaced once this one is stored, and stays where this one fails. */
  async put(place: Place, bytes: Bytes): Promise<{ readonly filename: string; readonly asset: Asset }> {
    const { collection, attributes, owner = nobody } = place
    const source = { bytes: bytes instanceof Blob ? bytes.stream() : bytes }
    const asset = await this.#verbs.import(collection, { source, owner, attributes })
    return { filename: filenameOf(place, asset.key?.split('.').at(-1) ?? 'bin'), asset }
  }

  /** What stands there now, with a link. */
  async current({ collection, attributes, owner = nobody }: Place): Promise<Asset | undefined> {
    // Of what came in beside each other, by a migration, the newest counts.
    const { assets } = await this.#verbs.list(collection, { owner, attributes, state: 'stored', limit: 1 })
    return assets[0]
  }

  /** Whether there was one. */
  async remove(place: Place): Promise<boolean> {
    let removed = false
    for (let asset = await this.current(place); asset !== undefined; asset = await this.current(place)) {
      try {
        await this.#verbs.delete(asset.id)
      } catch (error) {
        // Somebody else did.
        if (!KeepsakeError.is(error, 'asset_not_found')) throw error
      }
      removed = true
    }
    return removed
  }
}
