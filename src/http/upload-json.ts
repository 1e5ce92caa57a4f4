import type { z } from '@hono/zod-openapi'
import type { UploadPart, UploadTicket } from '../verbs.ts'
import type { uploadOutput, uploadPartsOutput } from './schema.ts'

type TicketJson = NonNullable<z.infer<typeof uploadOutput>['upload']>
type PartJson = z.infer<typeof uploadPartsOutput>['parts'][number]

/** A ticket as it goes over the wire. */
export function ticketJson(ticket: UploadTicket): TicketJson {
  const expiresAt = ticket.expiresAt.toISOString()
  if (ticket.strategy === 'multipart') return { ...ticket, parts: ticket.parts.map(partJson), expiresAt }
  return { ...ticket, headers: { ...ticket.headers }, expiresAt }
}

export function partJson({ headers, expiresAt, ...part }: UploadPart): PartJson {
  const some = Object.keys(headers).length > 0
  return { ...part, ...(some ? { headers: { ...headers } } : {}), expiresAt: expiresAt.toISOString() }
}
