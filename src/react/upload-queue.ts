import type { Asset, Client, Upload, UploadOptions } from '../client/index.ts'

export type UploadStatus = 'queued' | 'uploading' | 'paused' | 'stored' | 'failed' | 'cancelled'

/** One file of a queue, as it is now. */
export type UploadItem = {
  /** The same as long as the item is listed. */
  readonly key: string
  readonly file: File
  readonly status: UploadStatus
  /** Bytes that have left this machine. */
  readonly loaded: number
  /** Bytes. */
  readonly total: number
  /** Once it is stored. */
  readonly asset?: Asset
  /** Why it failed; a KeepsakeClientError most of the time. */
  readonly error?: unknown
}

export type QueueOptions = Omit<UploadOptions, 'onProgress' | 'signal'> & {
  /** Files that are uploaded at the same time. Default: 2. */
  readonly concurrency?: number | undefined
  readonly onStored?: ((asset: Asset, item: UploadItem) => void) | undefined
  readonly onFailed?: ((error: unknown, item: UploadItem) => void) | undefined
}

const ended: readonly UploadStatus[] = ['stored', 'failed', 'cancelled']

/** Files on their way, some at a time, in the order they came. Knows nothing of React. */
export class UploadQueue {
  /** Read when a file's turn comes. */
  options: QueueOptions
  readonly #client: Client
  readonly #uploads = new Map<string, Upload>()
  readonly #listeners = new Set<() => void>()
  #items: readonly UploadItem[] = []
  #count = 0

  constructor(client: Client, options: QueueOptions) {
    this.#client = client
    this.options = options
  }

  /** A new array after every change, the same one otherwise. */
  readonly items = (): readonly UploadItem[] => this.#items

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  readonly add = (files: Iterable<File>): void => {
    const added = Array.from(files, (file): UploadItem => {
      this.#count += 1
      return { key: `${this.#count}`, file, status: 'queued', loaded: 0, total: file.size }
    })
    this.#set([...this.#items, ...added])
    this.#advance()
  }

  /** One item, or all that have not ended. */
  readonly pause = (key?: string): void => {
    for (const item of this.#meant(key)) {
      if (ended.includes(item.status)) continue
      this.#uploads.get(item.key)?.pause()
      this.#change(item.key, { status: 'paused' })
    }
  }

  readonly resume = (key?: string): void => {
    for (const item of this.#meant(key)) {
      if (item.status !== 'paused') continue
      const upload = this.#uploads.get(item.key)
      this.#change(item.key, { status: upload ? 'uploading' : 'queued' })
      upload?.resume()
    }
    this.#advance()
  }

  /** Tries again what failed or was cancelled: one item, or all that failed. */
  readonly retry = (key?: string): void => {
    for (const item of this.#meant(key)) {
      if (item.status !== 'failed' && (key === undefined || item.status !== 'cancelled')) continue
      this.#set(
        this.#items.map((other) =>
          other.key === item.key
            ? { key: other.key, file: other.file, status: 'queued', loaded: 0, total: other.total }
            : other,
        ),
      )
    }
    this.#advance()
  }

  /** Gives up one item, or all that have not ended, and removes what has arrived of them. */
  readonly cancel = (key?: string): void => {
    for (const item of this.#meant(key)) {
      if (ended.includes(item.status)) continue
      this.#change(item.key, { status: 'cancelled' })
      const upload = this.#uploads.get(item.key)
      this.#uploads.delete(item.key)
      upload?.abort()
    }
    this.#advance()
  }

  /** Takes what has ended off the list: one item, or all of them. */
  readonly clear = (key?: string): void => {
    const leaving = new Set(this.#meant(key).filter(({ status }) => ended.includes(status)))
    this.#set(this.#items.filter((item) => !leaving.has(item)))
  }

  #meant(key: string | undefined): readonly UploadItem[] {
    return key === undefined ? this.#items : this.#items.filter((item) => item.key === key)
  }

  #advance(): void {
    // One that was paused keeps its place.
    const free = (this.options.concurrency ?? 2) - this.#uploads.size
    const next = this.#items.filter(({ status }) => status === 'queued').slice(0, Math.max(0, free))
    for (const { key, file } of next) void this.#start(key, file)
  }

  async #start(key: string, file: File): Promise<void> {
    const { concurrency: _, onStored, onFailed, ...options } = this.options
    this.#change(key, { status: 'uploading' })
    const onProgress: UploadOptions['onProgress'] = ({ loaded, total }) => {
      if (this.#uploads.get(key) === upload) this.#change(key, { loaded, total })
    }
    const upload = this.#client.upload(file, { ...options, onProgress })
    this.#uploads.set(key, upload)
    const outcome = await upload.then(
      (asset) => ({ asset }),
      (error: unknown) => ({ error }),
    )
    // Cancelled: another one may have taken its place.
    if (this.#uploads.get(key) !== upload) return
    this.#uploads.delete(key)
    const item = this.#change(key, { status: 'asset' in outcome ? 'stored' : 'failed', ...outcome })
    this.#advance()
    if (!item) return
    if ('asset' in outcome) onStored?.(outcome.asset, item)
    else onFailed?.(outcome.error, item)
  }

  #change(key: string, change: Partial<UploadItem>): UploadItem | undefined {
    let changed: UploadItem | undefined
    this.#set(
      this.#items.map((item) => {
        if (item.key !== key) return item
        changed = { ...item, ...change }
        return changed
      }),
    )
    return changed
  }

  #set(items: readonly UploadItem[]): void {
    this.#items = items
    for (const listener of this.#listeners) listener()
  }
}
