import { type Client, urlsSchema, withClient } from '../client.ts'
import { CliFailure, type ExitCode, exitCodes } from '../failure.ts'
import { failureOf } from '../failure-of.ts'
import type { Io } from '../io.ts'
import { type CommonOptions, jsonDocument, queryOf } from './options.ts'

export type UrlOptions = CommonOptions & { readonly expires?: string; readonly download?: boolean }

type Link = { readonly id: string; readonly url: string } | { readonly id: string; readonly code: string }

/** As many as the contract takes at once. */
const batch = 1000

export async function urlVerb(ids: readonly string[], options: UrlOptions, io: Io): Promise<ExitCode> {
  const expiresIn = options.expires === undefined ? undefined : secondsOf(options.expires)
  const links = await withClient(options, io, (client) =>
    options.download ? downloadLinks(client, ids, expiresIn) : plainLinks(client, ids, expiresIn),
  )
  const missing = links.filter((link) => 'code' in link)
  if (options.json) {
    io.stdout.write(jsonDocument({ urls: links }))
  } else {
    for (const link of links) if ('url' in link) io.stdout.write(`${link.url}\n`)
    for (const { id, code } of missing) io.stderr.write(`keepsake: no link for ${id} [${code}]\n`)
  }
  if (missing.length === 0) return exitCodes.ok
  return missing.every(({ code }) => code === 'asset_not_found') ? exitCodes.notFound : exitCodes.refused
}

function secondsOf(text: string): number {
  const seconds = Number(text)
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= 3600) return seconds
  throw CliFailure.usage(`--expires is '${text}'. Allowed is an integer from 1 to 3600 (seconds).`)
}

async function plainLinks(client: Client, ids: readonly string[], expiresIn: number | undefined): Promise<Link[]> {
  const links: Link[] = []
  for (let at = 0; at < ids.length; at += batch) {
    const { urls } = await client.json(urlsSchema, '/v1/urls', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ assets: ids.slice(at, at + batch).map((id) => ({ id })), expiresIn }),
    })
    links.push(...urls)
  }
  return links
}

/** A link that opens as a download only comes from the content address. */
async function downloadLinks(client: Client, ids: readonly string[], expiresIn: number | undefined): Promise<Link[]> {
  const links: Link[] = []
  for (const id of ids) {
    const query = queryOf({ download: 'true', expiresIn: expiresIn?.toString() })
    try {
      const answer = await client.call(`/v1/assets/${encodeURIComponent(id)}/content${query}`)
      links.push({ id, url: answer.headers.get('location') ?? '' })
    } catch (error) {
      const { problem } = failureOf(error)
      if (problem.code !== 'asset_not_found' && problem.code !== 'asset_not_stored') throw error
      links.push({ id, code: problem.code })
    }
  }
  return links
}
