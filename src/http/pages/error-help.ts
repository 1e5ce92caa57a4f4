import { type ErrorCode, errorTable } from '../../media/index.ts'

type Help = { readonly meaning: string; readonly action: string }

/**
 * What every code means and what to do about it. The one source of /docs/errors and of docs/errors.md; the type makes
 * a code without help impossible.
 */
const help: Readonly<Record<ErrorCode, Help>> = {
  invalid_request: {
    meaning: 'A field, a parameter or a header is missing, unknown, or not within its limits. `errors` names each one.',
    action: 'Change the request as `detail` says. The same request will be refused again.',
  },
  invalid_source: {
    meaning: 'The source of an import cannot be read as what it claims to be: a malformed URL, data URI or base64.',
    action: 'Check how the client encodes it. Base64 may be standard or URL-safe, padded or not.',
  },
  collection_not_found: {
    meaning: 'No collection of that name is declared.',
    action: '`GET /v1/collections` lists them. Declare new ones in `keepsake.config.ts` and restart.',
  },
  asset_not_found: {
    meaning: 'There is no such asset, or it belongs to another owner: the two cannot be told apart, on purpose.',
    action: 'Check the id, and whose token asks.',
  },
  route_not_found: {
    meaning: 'The server has nothing at this path.',
    action: 'See `/docs` for the calls. Paths have no slash at the end.',
  },
  method_not_allowed: {
    meaning: 'The path is right, the method is not.',
    action: 'Use one of the methods in the `Allow` header.',
  },
  unsupported_media_type: {
    meaning: 'The request body is not JSON.',
    action: 'Send `Content-Type: application/json`. Media goes inside, as `url`, `dataUri` or `base64`.',
  },
  request_too_large: {
    meaning: 'The request body is larger than the largest asset could be in base64, or than 256 MiB.',
    action: 'Import large media by URL.',
  },
  unauthenticated: {
    meaning: 'The Authorization header is missing, or its API key or token is unknown, expired or not valid.',
    action: 'Send `Authorization: Bearer <API key or JWT>`. Get a new token where the old one has expired.',
  },
  identity_unavailable: {
    meaning: 'The token may be right, but the keys to verify it cannot be fetched from `KEEPSAKE_JWKS_URL`.',
    action: 'Try again after `Retry-After`. Where it lasts, check that the server can reach that address.',
  },
  forbidden: {
    meaning:
      'The credentials are valid but do not allow this: a user named another owner, or asked for what is the service’s.',
    action: 'Leave `owner` out with a JWT, or use an API key from a server.',
  },
  content_type_refused: {
    meaning:
      'The bytes are not of a type that the collection accepts. What counts is what they are, not what a header or a file name says.',
    action: 'Check what the source really sends (an error page, often). Else widen `accept` in the collection.',
  },
  content_too_large: {
    meaning: 'More bytes came than the collection allows.',
    action: 'Make the media smaller, or raise `maxSize` in the collection.',
  },
  content_empty: {
    meaning: 'The source gave no bytes.',
    action: 'Check the source; the media may not be made yet.',
  },
  content_truncated: {
    meaning: 'The source ended before all announced bytes had come. What was cut is never stored.',
    action: 'Import again; where it happens always, the source is broken.',
  },
  content_mismatch: {
    meaning: 'The bytes are not those that were announced: another size, hash or type.',
    action: 'Import again. Where it happens always, something between changes the bytes.',
  },
  quota_exceeded: {
    meaning: 'With this asset the owner would have more bytes than its quota allows.',
    action: 'Delete assets of this owner, or raise `quota` in the collection.',
  },
  source_forbidden: {
    meaning:
      'The URL, or an address that it leads to, is one that the server must not fetch: private, local, or plain http.',
    action: 'Use a public https URL. The operator may allow a host by `KEEPSAKE_IMPORT_ALLOW_HOSTS`.',
  },
  source_gone: {
    meaning: 'The source answered that it does not have the media, or no longer: expired, deleted, forbidden.',
    action: 'Get a fresh URL from the provider and import that. Import sooner after making the media.',
  },
  source_unavailable: {
    meaning: 'The source cannot be reached, or fails.',
    action: 'Import again later.',
  },
  asset_not_stored: {
    meaning: 'The asset is pending, failed or being deleted, so there is no object to link to.',
    action: 'Look at the asset’s `state` and `problem`. A pending one may be stored soon.',
  },
  asset_gone: {
    meaning: 'The asset that this idempotency key made was deleted since.',
    action: 'Use a new key to import again.',
  },
  upload_incomplete: {
    meaning:
      'Bytes of a direct upload are missing in the bucket: the whole (`missing` is `object`), or parts (`missingParts` has ' +
      'their numbers). As the problem of a failed asset: they never came.',
    action: 'Send what is missing by the links of the ticket, then complete again.',
  },
  upload_closed: {
    meaning: 'The upload is over: its asset is stored, or was never a direct upload. Nothing was changed.',
    action: 'Look at the asset. To remove a stored one, delete it; to upload again, take a new ticket.',
  },
  idempotency_conflict: {
    meaning: 'The same owner used this idempotency key for a different request.',
    action: 'Use one key for one request, a new one for another.',
  },
  attempt_superseded: {
    meaning: 'While this attempt was at work, a newer one took the asset over.',
    action: 'Look at the asset again; the newer attempt decides.',
  },
  object_exists: {
    meaning: 'The bucket has an object under this key already. Keepsake never writes over one.',
    action: 'Import again: a new attempt has a new key. Where it lasts, something else writes to the bucket.',
  },
  object_missing: {
    meaning: 'The catalogue knows the object, the bucket does not have it.',
    action: 'Something else removed it. Restore it from a backup or a former version, or delete the asset.',
  },
  store_denied: {
    meaning: 'The object store refuses the server’s credentials or what it wants to do.',
    action: 'Check the bucket’s name, region, credentials and policy. A retry does not help.',
  },
  store_unavailable: {
    meaning: 'The object store cannot be reached, or fails.',
    action: 'Try again after a while. Imports are kept `pending` meanwhile.',
  },
  catalogue_unavailable: {
    meaning: 'The database cannot be reached, or fails. Whether a change happened may not be known.',
    action: 'Try again, an import with the same `Idempotency-Key`.',
  },
  stopping: {
    meaning: 'The server finishes what it began and takes nothing new.',
    action: 'Send the request again: to another instance, or to this one once it is back.',
  },
  timeout: {
    meaning: 'The work did not end within its deadline. Whether it still takes effect may not be known.',
    action: 'Try again, an import with the same `Idempotency-Key`.',
  },
  upkeep_refused: {
    meaning:
      'A brake stopped a clean-up, a verification or a reconciliation before anything was changed: more would be removed than was confirmed, so much is missing that the bucket looks like another one, it is another catalogue’s bucket, the catalogue is empty, or the manifest is too old.',
    action:
      'Read in `detail` what was found. Where it is what you want, send the same request with the number that it names.',
  },
  delivery_not_found: {
    meaning:
      'There is no webhook delivery of that id. Delivered ones are forgotten after three days, others after thirty.',
    action: '`GET /v1/webhooks/deliveries` lists them.',
  },
  invalid_setting: {
    meaning:
      'A setting is missing or not valid, and the server does not start with it; or a handler is mounted where it cannot work.',
    action: 'Change the setting that the message names to what it allows.',
  },
  data_folder_locked: {
    meaning: 'Another process holds the data folder; two would corrupt it.',
    action: 'Stop that process, or choose another `KEEPSAKE_DATA_DIR`. The CLI’s other verbs work beside a server.',
  },
  internal: {
    meaning: 'A defect in Keepsake, or in what it runs on.',
    action: 'Look for `requestId` in the server’s log, and report it with what stands there.',
  },
}

export type ErrorHelp = Help & { readonly code: ErrorCode; readonly status: number; readonly title: string }

/** Every code with its status, title and help. */
export function errorHelp(): readonly ErrorHelp[] {
  return errorCodes().map((code) => ({ code, ...errorTable[code], ...help[code] }))
}

function errorCodes(): readonly ErrorCode[] {
  return Object.keys(errorTable).filter((code): code is ErrorCode => code in errorTable)
}
