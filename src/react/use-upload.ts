import { useEffect, useState, useSyncExternalStore } from 'react'
import { useKeepsake } from './provider.ts'
import { type QueueOptions, type UploadItem, UploadQueue } from './upload-queue.ts'

export type UseUpload = Pick<UploadQueue, 'add' | 'pause' | 'resume' | 'retry' | 'cancel' | 'clear'> & {
  readonly items: readonly UploadItem[]
  /** Of all files that were not cancelled, in bytes. */
  readonly loaded: number
  readonly total: number
  /** Whether any file is under way or waits for its turn. */
  readonly busy: boolean
}

/**
 * A queue of uploads. Without a key the verbs mean every file, with one that file alone. What is under way when the
 * component goes goes on: put the hook into what outlives the page, where its progress should stay visible.
 *
 * @example
 * const { add, items, pause } = useUpload({ collection: 'avatars', concurrency: 3 })
 * <input type="file" multiple onChange={(event) => add(event.target.files ?? [])} />
 */
export function useUpload(options: QueueOptions): UseUpload {
  const client = useKeepsake()
  const [queue] = useState(() => new UploadQueue(client, options))
  useEffect(() => {
    queue.options = options
  })
  const items = useSyncExternalStore(queue.subscribe, queue.items, queue.items)
  const counted = items.filter(({ status }) => status !== 'cancelled')
  const { add, pause, resume, retry, cancel, clear } = queue
  return {
    ...{ add, pause, resume, retry, cancel, clear, items },
    loaded: counted.reduce((sum, { loaded }) => sum + loaded, 0),
    total: counted.reduce((sum, { total }) => sum + total, 0),
    busy: items.some(({ status }) => status === 'uploading' || status === 'queued'),
  }
}
