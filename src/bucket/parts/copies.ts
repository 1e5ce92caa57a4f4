import type { InventoryConfiguration, ReplicationRule } from '@aws-sdk/client-s3'
import { canonicalJson } from '../canonical.ts'
import { ownRule } from '../desired/bucket-spec.ts'
import { asIs, type Decide, notAsked, whenRead } from './decision.ts'

/** Inventories stand beside each other under their ids, so others' are never touched. */
export const decideInventory: Decide<'inventory'> = (reading, { spec, missing }) => {
  const { inventory } = spec
  if (inventory === null) return notAsked
  if (missing.inventory !== undefined) return { status: 'not offered', why: missing.inventory }
  return whenRead(reading, (live) => {
    const own = live?.find(({ Id }) => Id === inventory.Id)
    if (own && inventoryKey(own) === inventoryKey(inventory)) return asIs
    return {
      status: 'change',
      before: own ?? null,
      after: inventory,
      notes: [],
      write: ({ s3, sdk }) =>
        s3.send(
          new sdk.PutBucketInventoryConfigurationCommand({
            Bucket: spec.name,
            Id: inventory.Id,
            InventoryConfiguration: inventory,
          }),
        ),
    }
  })
}

function inventoryKey({ OptionalFields, ...configuration }: InventoryConfiguration): string {
  return canonicalJson({ ...configuration, OptionalFields: [...(OptionalFields ?? [])].sort() })
}

/** One role for all rules of a bucket; the rules of others stay. */
export const decideReplication: Decide<'replication'> = (reading, { spec, missing, adopt }) => {
  const { replication } = spec
  if (replication === null) return notAsked
  if (missing.replication !== undefined) return { status: 'not offered', why: missing.replication }
  return whenRead(reading, (live) => {
    const found = live?.Rules ?? []
    const own = found.find(({ ID }) => ID === replication.rule.ID)
    const foreign = found.filter(({ ID }) => !ID?.startsWith(ownRule))
    const role = replication.role ?? live?.Role
    if (!role) {
      return {
        status: 'blocked',
        why: 'S3 copies as an IAM role. Give bucket.replication.role; `keepsake bucket export cloudformation`, terraform and aws-cli make one.',
      }
    }
    if (foreign.length > 0 && live?.Role !== role && !adopt) {
      const note = `Somebody replicates as ${live?.Role}, and all rules share one role. Name that one, or --adopt to change it.`
      return { status: 'kept', because: 'in the way', before: live, notes: [note] }
    }
    const taken = foreign.map(({ Priority }) => Priority ?? 0)
    const free = Math.max(replication.rule.Priority ?? 1, ...taken.map((priority) => priority + 1))
    const rule: ReplicationRule = { ...replication.rule, Priority: own?.Priority ?? free }
    if (live?.Role === role && own && ruleKey(own) === ruleKey(rule)) return asIs
    const rules = [...foreign, rule]
    return {
      status: 'change',
      before: live ?? null,
      after: { Role: role, Rules: rules },
      notes: ['It holds for what is written from now on.'],
      write: ({ s3, sdk }) =>
        s3.send(
          new sdk.PutBucketReplicationCommand({
            Bucket: spec.name,
            ReplicationConfiguration: { Role: role, Rules: rules },
          }),
        ),
    }
  })
}

/** S3 gives an empty filter back as it likes. */
function ruleKey({ Filter, Prefix, ...rule }: ReplicationRule): string {
  return canonicalJson({ ...rule, prefix: Filter?.Prefix ?? Filter?.And?.Prefix ?? Prefix ?? '' })
}
