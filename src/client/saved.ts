/** What a page that comes back must know to go on: the upload's id. The server knows the rest. */
type Entry = { readonly id: string; readonly at: number }

/** The part of IndexedDB that is used here; Node has none. */
type Request<Result> = { readonly result: Result; onsuccess: (() => void) | null; onerror: (() => void) | null }
type Store = {
  get(key: string): Request<Entry | undefined>
  put(entry: Entry, key: string): Request<unknown>
  delete(key: string): Request<unknown>
}
type Database = {
  createObjectStore(name: string): void
  transaction(store: string, mode: 'readwrite'): { objectStore(name: string): Store }
  close(): void
}
type Opening = Request<Database> & { onupgradeneeded: (() => void) | null }
declare const indexedDB: { open(name: string, version: number): Opening }

const name = 'keepsake'
/** Milliseconds: what S3's lifecycle rules usually leave to an upload that nobody finishes. */
const lifetime = 7 * 86_400_000

/** The upload that was begun for this file, if it may still be alive. */
export async function recall(key: string): Promise<string | undefined> {
  const entry = await withStore((store) => store.get(key))
  return entry && Date.now() - entry.at < lifetime ? entry.id : undefined
}

export async function remember(key: string, id: string): Promise<void> {
  await withStore((store) => store.put({ id, at: Date.now() }, key))
}

export async function forget(key: string): Promise<void> {
  await withStore((store) => store.delete(key))
}

/** Where there is no IndexedDB, or a private window forbids it, nothing is remembered, and nothing fails. */
async function withStore<T>(work: (store: Store) => Request<T>): Promise<T | undefined> {
  try {
    const opening = indexedDB.open(name, 1)
    opening.onupgradeneeded = () => opening.result.createObjectStore(name)
    const database = await settled(opening)
    try {
      return await settled(work(database.transaction(name, 'readwrite').objectStore(name)))
    } finally {
      database.close()
    }
  } catch {
    return undefined
  }
}

function settled<T>(request: Request<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request)
  })
}
