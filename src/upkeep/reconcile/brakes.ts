import type { ScanTotals } from '../../catalogue/index.ts'
import { KeepsakeError } from '../../media/index.ts'
import type { ApplyOptions } from './apply.ts'
import type { Finding } from './finding.ts'
import { isOfItsScan, type SpooledManifest } from './manifest.ts'
import { day, type ReconcileParts } from './parts.ts'

/** Days after which a manifest says nothing any more. */
const maxManifestAge = 7
/** From so many missing on it counts what share of the rows they are: so does verify. */
const fewMissing = 20
const assetsAtOnce = 1000

/** What would make of one mistake a thousand lost objects is stopped here, before anything is done. */
export async function checkBrakes(
  { catalogue, store }: ReconcileParts,
  { header, findings }: Pick<SpooledManifest, 'header' | 'findings'>,
  catalogueId: string,
  { expect, expectMissing, maxObjects = 1000, maxShare = 0.05 }: ApplyOptions,
): Promise<void> {
  const refuse = (brake: string, message: string): never => {
    throw new KeepsakeError('upkeep_refused', `${message} Nothing was done.`, { details: { brake } })
  }
  if (header.catalogue !== catalogueId || header.bucket !== store.name) {
    refuse(
      'foreign',
      `The manifest is of ${header.bucket} and the catalogue ${header.catalogue}; this is ${store.name} with ${catalogueId}.`,
    )
  }
  const scan = await catalogue.getScan(header.scan)
  if (scan === undefined || scan.finishedAt === null)
    return refuse('unknown', 'The catalogue does not know the scan of this manifest (any more). Scan again.')
  if (await catalogue.isOlderThan(scan.id, maxManifestAge * day)) {
    refuse('age', `The manifest is more than ${maxManifestAge} days old, and says nothing of today. Scan again.`)
  }
  if (!(await isOfItsScan(catalogue, header))) {
    refuse(
      'changed',
      'The manifest is not what its scan found, so the counts that the brakes go by are not its own. Give the file as it was written, or scan again.',
    )
  }
  // What the catalogue counted, not what the file says.
  const totals: ScanTotals = await catalogue.scanTotals(scan.id)
  const missing = totals.findings.missing?.count ?? 0
  if (expectMissing !== undefined && expectMissing !== missing) {
    refuse('expect', `${expectMissing} missing objects were expected, and the manifest has ${missing}.`)
  }
  if (expectMissing === undefined && missing >= fewMissing && missing * 2 > totals.rows) {
    refuse(
      'missing',
      `${missing} of ${totals.rows} assets have no object in ${store.name}. That looks like another bucket, or like one that was ` +
        'emptied; each would be marked and told by webhook. Look at S3_BUCKET_NAME and S3_ENDPOINT; where it is true, repeat with ' +
        `the number: --expect-missing ${missing}.`,
    )
  }
  const orphans = totals.findings.orphan?.count ?? 0
  if (orphans === 0) return
  if (!(await catalogue.hasStored())) {
    refuse(
      'empty',
      `The catalogue has no stored asset, so all ${orphans} objects look like orphans. Where it was lost, 'keepsake rebuild' makes it anew.`,
    )
  }
  if (expect !== undefined) {
    if (expect === orphans) return
    refuse('expect', `${expect} orphans were expected, and the manifest has ${orphans}.`)
  }
  const share = orphans / Math.max(1, totals.objects)
  if (orphans > maxObjects || share > maxShare) {
    const percent = `${(share * 100).toFixed(1)} %`
    refuse(
      'count',
      `The manifest has ${orphans} orphans, ${percent} of ${totals.objects} objects; without being told more than ${maxObjects}, or ` +
        `${maxShare * 100} %, are not moved: a catalogue that lost rows looks just like that. Look at the manifest; if they truly are ` +
        `nobody's, repeat with the number: --expect ${orphans}.`,
    )
  }
  const unheardOf = await countUnheardOf(catalogue, findings())
  if (unheardOf > 0) {
    refuse(
      'unheard-of',
      `${unheardOf} of the ${orphans} orphans are of assets that this catalogue never had. So does a bucket in use look to a copy of ` +
        "its catalogue, or to an older backup. Where rows were lost, 'keepsake rebuild --into-existing' brings them back; if the " +
        `orphans truly are nobody's, repeat with the number: --expect ${orphans}.`,
    )
  }
}

async function countUnheardOf(
  catalogue: ReconcileParts['catalogue'],
  findings: AsyncIterable<Finding>,
): Promise<number> {
  let [count, assets]: [number, string[]] = [0, []]
  for await (const finding of findings) {
    if (finding.kind === 'orphan') assets.push(finding.asset)
    if (assets.length < assetsAtOnce) continue
    count += await catalogue.countUnheardOf(assets)
    assets = []
  }
  return count + (await catalogue.countUnheardOf(assets))
}
