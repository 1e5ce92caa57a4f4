import type { Catalogue, DeliveryOutcome, TakenDelivery } from '../../catalogue/index.ts'
import type { Clock } from '../../clock.ts'
import type { GuardedPost, PostAnswer } from '../../intake/index.ts'
import type { Logger } from '../../logger.ts'
import { KeepsakeError } from '../../media/index.ts'
import type { WebhookEndpoint } from './endpoint.ts'
import { nextPause } from './retries.ts'
import { signedHeaders } from './signature.ts'

export type CourierParts = {
  readonly catalogue: Catalogue
  readonly endpoints: readonly WebhookEndpoint[]
  /** May be left out where there are no endpoints. */
  readonly post: GuardedPost | undefined
  readonly clock: Clock
  readonly logger: Logger
}

/** Milliseconds between looks for what is due. What happens in this process is looked for at once, see `wake`. */
const pollMilliseconds = 5000
/** Seconds that a delivery is this process's: longer than one may take. */
const lease = 60
/** Deliveries to one endpoint at the same time. */
const atOnce = 4
/** Milliseconds between two words of this process that it has these endpoints. */
const registerEvery = 600_000
/** What was taken once its receiver says that it is gone for good (RFC 9110, section 15.5.11). */
const gone = 410

/** An attempt's end, and why it may not be the last. */
type Attempt = { readonly answer: PostAnswer | undefined; readonly problem: string }

/**
 * Takes events from the outbox to their receivers. The outbox is rows, so nothing here has to be remembered: a process
 * that is killed leaves a row whose time runs out, and the next one sends it again under the same webhook-id. Any number
 * of processes may do this side by side.
 *
 * An endpoint that fails gets no more in this round: what waits behind is not hammered at it, and other endpoints do
 * not wait for it.
 */
export class Courier {
  readonly #parts: CourierParts
  readonly #stop = new AbortController()
  #round: Promise<void> | undefined
  #again = false
  #timer: NodeJS.Timeout | undefined
  #registered = Number.NEGATIVE_INFINITY

  constructor(parts: CourierParts) {
    this.#parts = parts
  }

  /** Makes the endpoints known, so that events are written for them from now on. */
  async start(): Promise<void> {
    if (this.#parts.endpoints.length === 0) return
    await this.#register()
    this.wake()
  }

  /** Something may be due: looks at once, or once more after the look that is under way. */
  wake(): void {
    if (this.#parts.endpoints.length === 0 || this.#stop.signal.aborted) return
    if (this.#round) {
      this.#again = true
      return
    }
    clearTimeout(this.#timer)
    this.#round = this.#rounds().finally(() => {
      this.#round = undefined
      if (this.#stop.signal.aborted) return
      this.#timer = setTimeout(() => this.wake(), pollMilliseconds * (0.9 + Math.random() * 0.2))
      this.#timer.unref()
    })
  }

  /** Waits so many milliseconds for what is being sent, then gives it back for the next process. */
  async stop(milliseconds: number): Promise<void> {
    clearTimeout(this.#timer)
    const round = this.#round
    const timer = setTimeout(() => this.#stop.abort(new KeepsakeError('stopping', 'Stopping.')), milliseconds)
    this.#again = false
    await round
    clearTimeout(timer)
    this.#stop.abort(new KeepsakeError('stopping', 'Stopping.'))
  }

  /** Sends everything that is due. Resolves once nothing of it is on its way. */
  async deliverDue(): Promise<void> {
    await Promise.all(this.#parts.endpoints.map((endpoint) => this.#serve(endpoint)))
  }

  /** Sends one message, now and once. @throws `stopping` */
  async sendOnce(endpoint: WebhookEndpoint, id: string, payload: object): Promise<Attempt> {
    return this.#attempt(endpoint, id, payload)
  }

  async #rounds(): Promise<void> {
    do {
      this.#again = false
      try {
        if (performance.now() - this.#registered > registerEvery) await this.#register()
        await this.deliverDue()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        this.#parts.logger.warn({ err: error }, 'webhooks could not be looked after; they wait')
        return
      }
    } while (this.#again && !this.#stop.signal.aborted)
  }

  async #register(): Promise<void> {
    await this.#parts.catalogue.registerEndpoints(this.#parts.endpoints.map(({ id, events }) => ({ id, events })))
    this.#registered = performance.now()
  }

  async #serve(endpoint: WebhookEndpoint): Promise<void> {
    let failing = false
    const worker = async () => {
      while (!failing && !this.#stop.signal.aborted) {
        const [taken] = await this.#parts.catalogue.takeDeliveries(endpoint.id, 1, lease)
        if (taken === undefined) return
        if (!(await this.#deliver(endpoint, taken))) failing = true
      }
    }
    const ends = await Promise.allSettled(Array.from({ length: atOnce }, worker))
    const failed = ends.find((end) => end.status === 'rejected')
    if (failed) throw failed.reason
  }

  /** @returns Whether the receiver took it. */
  async #deliver(endpoint: WebhookEndpoint, taken: TakenDelivery): Promise<boolean> {
    const { catalogue, logger } = this.#parts
    let attempt: Attempt
    try {
      attempt = await this.#attempt(endpoint, messageId(taken.event), taken.payload)
    } catch (error) {
      await catalogue.releaseDelivery(taken)
      throw error
    }
    const outcome = judge(attempt, taken.attempts)
    await catalogue.endDelivery(taken, outcome)
    if (outcome.state === 'delivered') return true
    const facts = { endpoint: endpoint.id, host: endpoint.host, event: taken.event, type: taken.type }
    logger.warn(
      { ...facts, attempts: taken.attempts, reason: outcome.problem },
      outcome.state === 'dead' ? 'a webhook was given up' : 'a webhook was not taken; it is sent again',
    )
    if (attempt.answer?.status === gone) await catalogue.disableEndpoint(endpoint.id)
    return false
  }

  /** @throws only where this process stops: nothing is known of the attempt then. */
  async #attempt(endpoint: WebhookEndpoint, id: string, payload: object): Promise<Attempt> {
    const { post, clock } = this.#parts
    if (post === undefined) throw new KeepsakeError('internal', 'There are webhooks, and no way to them.')
    const body = JSON.stringify(payload)
    const timestamp = Math.floor(clock.now().getTime() / 1000)
    const headers = { 'content-type': 'application/json', ...signedHeaders({ id, timestamp, body }, endpoint.keys) }
    try {
      const answer = await post.send(endpoint.url, { headers, body, signal: this.#stop.signal })
      return { answer, problem: `The endpoint answered ${answer.status}${answer.status === gone ? ' Gone' : ''}.` }
    } catch (error) {
      this.#stop.signal.throwIfAborted()
      return { answer: undefined, problem: KeepsakeError.from(error).message }
    }
  }
}

/** What a receiver drops repeats by. */
export function messageId(event: string): string {
  return `msg_${event.replaceAll('-', '')}`
}

/** Only a 2xx is a success; a redirect is none, since it is not followed. */
export function isTaken({ answer }: Attempt): boolean {
  return answer !== undefined && answer.status >= 200 && answer.status < 300
}

function judge(attempt: Attempt, attempts: number): DeliveryOutcome {
  const { answer, problem } = attempt
  if (answer !== undefined && isTaken(attempt)) return { state: 'delivered', status: answer.status }
  const status = answer?.status ?? null
  const retryIn = status === gone ? undefined : nextPause(attempts, answer?.retryAfter ?? null)
  if (retryIn === undefined) return { state: 'dead', status, problem, retryIn: 0 }
  return { state: 'pending', status, problem, retryIn }
}
