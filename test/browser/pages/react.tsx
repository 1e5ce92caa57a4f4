/** A small gallery, as an app would have it: what the hooks and components of keepsake/react say is shown as text. */
import { StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { type Asset, type Client, createClient } from '../../../src/client/index.ts'
import { KeepsakeProvider, MediaAudio, MediaImage, MediaVideo, useAssets, useUpload } from '../../../src/react/index.ts'
import type { Gallery } from '../gallery.ts'

const collection = 'gallery'

function Uploads({ onStored }: { onStored: () => void }) {
  const queue = useUpload({ collection, concurrency: 1, parallel: 2, onStored })
  return (
    <section aria-label="uploads">
      <input
        type="file"
        multiple
        data-testid="files"
        onChange={(event) => queue.add(event.currentTarget.files ?? [])}
      />
      <progress value={queue.loaded} max={queue.total} />
      <output>{queue.busy ? 'busy' : 'idle'}</output>
      <button type="button" onClick={() => queue.clear()}>
        clear
      </button>
      {queue.items.map(({ key, file, status, loaded, total, error }) => (
        <p key={key} data-file={file.name} data-status={status}>
          {file.name}: {status}, {Math.floor((loaded / total) * 100)} % {error instanceof Error ? error.message : ''}
          <button type="button" onClick={() => queue.pause(key)}>
            pause
          </button>
          <button type="button" onClick={() => queue.resume(key)}>
            resume
          </button>
          <button type="button" onClick={() => queue.retry(key)}>
            retry
          </button>
          <button type="button" onClick={() => queue.cancel(key)}>
            cancel
          </button>
        </p>
      ))}
    </section>
  )
}

/** An app that controls the film keeps hold of it, in its state. */
function Film({ asset }: { asset: Asset }) {
  const [film, setFilm] = useState<HTMLVideoElement | null>(null)
  return (
    <>
      <MediaVideo ref={setFilm} asset={asset} muted controls />
      <button type="button" onClick={() => void film?.play()}>
        play the film
      </button>
    </>
  )
}

function Media({ asset }: { asset: Asset }) {
  if (asset.kind === 'video') return <Film asset={asset} />
  if (asset.kind === 'audio') return <MediaAudio asset={asset.id} controls />
  return <MediaImage asset={asset.id} alt={asset.filename ?? ''} />
}

function Assets({ query }: { query: { limit: number } }) {
  const { assets, loading, error, hasMore, loadMore, reload, remove } = useAssets(collection, query)
  const [shown, show] = useState(true)
  return (
    <section aria-label="assets">
      <output>{loading ? 'loading' : 'loaded'}</output>
      <em>{error instanceof Error ? error.message : ''}</em>
      <button type="button" onClick={reload}>
        reload
      </button>
      <button type="button" onClick={() => show(!shown)}>
        toggle
      </button>
      {hasMore && (
        <button type="button" onClick={loadMore}>
          more
        </button>
      )}
      {assets.map((asset) => (
        <figure key={asset.id} data-asset={asset.id}>
          {shown && <Media asset={asset} />}
          <figcaption>{asset.filename}</figcaption>
          <button type="button" onClick={() => void remove(asset.id)}>
            remove
          </button>
        </figure>
      ))}
    </section>
  )
}

function App({ client, limit }: { client: Client; limit: number }) {
  const [version, setVersion] = useState(0)
  return (
    <StrictMode>
      <KeepsakeProvider client={client}>
        <Uploads onStored={() => setVersion((before) => before + 1)} />
        <Assets key={version} query={{ limit }} />
      </KeepsakeProvider>
    </StrictMode>
  )
}

const gallery: Gallery = {
  show({ limit = 50, ...options }) {
    const root = document.getElementById('root')
    if (root) createRoot(root).render(<App client={createClient(options)} limit={limit} />)
  },
}

Object.assign(globalThis, { gallery })
