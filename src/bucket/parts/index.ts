import type { LiveParts } from '../live/live-bucket.ts'
import {
  decideEncryption,
  decideLogging,
  decideOwnership,
  decidePublicAccessBlock,
  decideVersioning,
} from './access.ts'
import { decideInventory, decideReplication } from './copies.ts'
import { decideCors } from './cors.ts'
import type { Decide, Decision, DecisionContext, PartName } from './decision.ts'
import { decideLifecycle } from './lifecycle.ts'
import { decidePolicy } from './policy.ts'

const deciders: { readonly [Name in PartName]: Decide<Name> } = {
  publicAccessBlock: decidePublicAccessBlock,
  ownership: decideOwnership,
  encryption: decideEncryption,
  versioning: decideVersioning,
  policy: decidePolicy,
  lifecycle: decideLifecycle,
  cors: decideCors,
  logging: decideLogging,
  inventory: decideInventory,
  replication: decideReplication,
}

/** What is to be done about one part of a bucket. */
export function decide<Name extends PartName>(
  name: Name,
  reading: LiveParts[Name],
  context: DecisionContext,
): Decision {
  return deciders[name](reading, context)
}
