import {
  type ComponentProps,
  createElement,
  type ForwardedRef,
  forwardRef,
  useCallback,
  useEffect,
  useRef,
} from 'react'
import { type MediaAsset, useLink } from './use-link.ts'

type Linked = {
  /** The asset, or its id. */
  readonly asset: MediaAsset
  /** The name of a derived image. */
  readonly variant?: string | undefined
  /** Why there is no link. `onError` means that several links did not open. */
  readonly onUnavailable?: ((error: unknown) => void) | undefined
}

/** Before React 19 a `ref` is no prop: it goes beside them. */
type Refless<Props> = Omit<Props, 'ref'>

export type MediaImageProps = Linked & Omit<ComponentProps<'img'>, 'src' | 'srcSet'>
export type MediaVideoProps = Linked & Omit<ComponentProps<'video'>, 'src'>
export type MediaAudioProps = Linked & Omit<ComponentProps<'audio'>, 'src'>

/**
 * An `img` whose link is renewed before it ends, and when it fails to load.
 *
 * @example
 * <MediaImage asset={asset} alt="A lighthouse at dusk" loading="lazy" />
 */
export const MediaImage = forwardRef<HTMLImageElement, Refless<MediaImageProps>>(function MediaImage(props, ref) {
  const { asset, variant, onUnavailable, onError, ...rest } = props
  const { url, attempt, fail } = useLink(asset, { variant, onUnavailable })
  // The same link again is not loaded again by itself: an element of its own for each try.
  return createElement('img', {
    ...rest,
    ...{ key: attempt, ref, src: url },
    onError: (event) => {
      if (!fail()) onError?.(event)
    },
  })
})

/** A `video` whose link is renewed before it ends, and when it fails; it goes on where it was. */
export const MediaVideo = forwardRef<HTMLVideoElement, Refless<MediaVideoProps>>(function MediaVideo(props, ref) {
  const { asset, variant, onUnavailable, onError, onLoadedMetadata, ...rest } = props
  const playback = usePlayback({ asset, variant, onUnavailable }, ref)
  return createElement('video', {
    ...rest,
    ...playback.given,
    onError: (event) => {
      if (!playback.fail()) onError?.(event)
    },
    onLoadedMetadata: (event) => {
      playback.goOn()
      onLoadedMetadata?.(event)
    },
  })
})

/** An `audio` whose link is renewed before it ends, and when it fails; it goes on where it was. */
export const MediaAudio = forwardRef<HTMLAudioElement, Refless<MediaAudioProps>>(function MediaAudio(props, ref) {
  const { asset, variant, onUnavailable, onError, onLoadedMetadata, ...rest } = props
  const playback = usePlayback({ asset, variant, onUnavailable }, ref)
  return createElement('audio', {
    ...rest,
    ...playback.given,
    onError: (event) => {
      if (!playback.fail()) onError?.(event)
    },
    onLoadedMetadata: (event) => {
      playback.goOn()
      onLoadedMetadata?.(event)
    },
  })
})

/** https://html.spec.whatwg.org/multipage/media.html#dom-mediaerror-media_err_decode: another link has the same bytes. */
const decodeError = 3

function usePlayback<Element extends HTMLMediaElement>(linked: Linked, ref: ForwardedRef<Element>) {
  const element = useRef<Element | null>(null)
  /** Where it was, in seconds, and whether it played, when its link was taken away. */
  const position = useRef<{ time: number; playing: boolean } | undefined>(undefined)
  const keep = () => {
    const { current } = element
    // Until the next link has loaded, what was kept first is right: the element itself then stands at zero.
    if (current && !position.current) position.current = { time: current.currentTime, playing: !current.paused }
  }
  const isInUse = () => {
    const { current } = element
    return current !== null && !current.paused && !current.ended
  }
  const { url, attempt, fail } = useLink(linked.asset, { ...linked, isInUse, onExchange: keep })
  useEffect(() => {
    if (attempt > 0) element.current?.load()
  }, [attempt])
  // The same from render to render: a new one would take the element away from an app's `ref`, and give it back, each time.
  const attach = useCallback(
    (node: Element | null) => {
      element.current = node
      if (typeof ref === 'function') return ref(node)
      if (ref) ref.current = node
      return undefined
    },
    [ref],
  )
  return {
    given: {
      src: url,
      ref: attach,
    },
    fail: () => {
      if (element.current?.error?.code === decodeError) return false
      keep()
      return fail()
    },
    goOn: () => {
      const { current } = element
      const before = position.current
      position.current = undefined
      if (!current || !before) return
      current.currentTime = before.time
      // A browser may refuse to play what no one has touched; then it stands where it was.
      if (before.playing) current.play().catch(() => {})
    },
  }
}
