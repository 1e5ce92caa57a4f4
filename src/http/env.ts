import type { Context } from 'hono'
import type { Actor } from '../catalogue/index.ts'
import { type ErrorCode, KeepsakeError } from '../media/index.ts'
import type { Verbs } from '../verbs.ts'

const trusted: unique symbol = Symbol('keepsake.trusted')

/**
 * What a listener tells the app about a request, beside the request itself. A symbol, so that neither a header nor a
 * platform's environment variables can say it.
 */
export type HttpBindings = { readonly [trusted]?: true }

/** Goes with requests from a door that only the user of this machine can open: the unix socket, this very process. */
export const trustedCaller: HttpBindings = { [trusted]: true }

export function isTrustedCaller(bindings: unknown): boolean {
  return typeof bindings === 'object' && bindings !== null && trusted in bindings && bindings[trusted] === true
}

export type HttpEnv = {
  Bindings: HttpBindings
  Variables: {
    requestId: string
    actor: Actor
    /** Keepsake's verbs, as the actor. */
    verbs: Verbs
    /** The code of the problem that was answered, for the log. */
    problem: ErrorCode
  }
}

/** Of routes that answer whoever asks: nobody is known. */
export type PublicHttpEnv = { Bindings: HttpBindings; Variables: Pick<HttpEnv['Variables'], 'requestId'> }

export type HttpContext = Context<HttpEnv>

/** A user names nobody but itself; by id, another owner's asset is simply not there. */
export function refuseOtherOwner(actor: Actor, owner: string | undefined): void {
  if (actor.role !== 'user' || owner === undefined || owner === actor.owner) return
  throw new KeepsakeError('forbidden', 'This token may only name its own subject as the owner. Leave owner out.')
}

/** For what concerns the whole installation: an API key, or the user of this machine. */
export function requireService(actor: Actor, what: string): void {
  if (actor.role === 'service') return
  throw new KeepsakeError('forbidden', `${what} is for an API key: it concerns every owner's assets.`)
}
