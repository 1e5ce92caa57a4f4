export {
  createReplica,
  type Replica,
  type ReplicaStatus,
  type RestoreOptions as ReplicaRestoreOptions,
  type RestoreProgress as ReplicaRestoreProgress,
  type RestoreRequest as ReplicaRestoreRequest,
  type RestoreResult as ReplicaRestoreResult,
  replicaSource,
} from './replica.ts'
export { defaultReplication, type ReplicaSettings, Replicator } from './replicator.ts'
