import { uploadSweepQueries } from './abandoned-uploads.ts'
import { listAudit, recordIssuedUrls } from './audit.ts'
import type { Catalogue } from './catalogue.ts'
import { healthQueries } from './health.ts'
import { moveQueries } from './moves.ts'
import { promotionQueries } from './promotions.ts'
import { countByState, due, get, getByKey, getMany, list } from './read.ts'
import { rebuildQueries } from './rebuild.ts'
import { reconcileQueries } from './reconcile.ts'
import { replicaQueries } from './replicas.ts'
import { replaceQueries } from './replace.ts'
import { reportQueries } from './report.ts'
import { reserve } from './reserve.ts'
import { retentionQueries } from './retention.ts'
import { dueRetiredKeys, sweptRetiredKeys } from './retired-keys.ts'
import type { Database } from './sql.ts'
import { assignKey, beginDelete, claim, confirm, fail, postpone, purge, renew, reopen } from './transitions.ts'
import { uploadQueries } from './uploads.ts'
import { webhookQueries } from './webhooks.ts'

/** The catalogue over an open database, be it PostgreSQL or PGlite. It holds no state of its own. */
export function createCatalogue(database: Database): Catalogue {
  return {
    ...uploadQueries(database),
    ...reconcileQueries(database),
    reserve: (reservation, actor) => reserve(database, reservation, actor),
    assignKey: (id, attempt, content) => assignKey(database, id, attempt, content),
    confirm: (id, attempt, content, actor) => confirm(database, id, attempt, content, actor),
    fail: (id, attempt, problem, actor, options) => fail(database, id, attempt, problem, actor, options),
    reopen: (id, attempt, room, actor) => reopen(database, id, attempt, room, actor),
    postpone: (id, attempt, problem, retry, actor) => postpone(database, id, attempt, problem, retry, actor),
    renew: (attempts, lease) => renew(database, attempts, lease),
    claim: (id, attempt, lease, actor, options) => claim(database, id, attempt, lease, actor, options),
    due: (limit, except, places) => due(database, limit, except, places),
    beginDelete: (id, lease, actor) => beginDelete(database, id, lease, actor),
    purge: (id, attempt, actor) => purge(database, id, attempt, actor),
    dueRetiredKeys: (limit, places) => dueRetiredKeys(database, limit, places),
    sweptRetiredKeys: (keys, place) => sweptRetiredKeys(database, keys, place),
    get: (id, actor) => get(database, id, actor),
    getMany: (ids, actor) => getMany(database, ids, actor),
    getByKey: (key, actor) => getByKey(database, key, actor),
    list: (filter, actor) => list(database, filter, actor),
    recordIssuedUrls: (urls, actor) => recordIssuedUrls(database, urls, actor),
    listAudit: (filter, actor) => listAudit(database, filter, actor),
    countByState: () => countByState(database),
    ...uploadSweepQueries(database),
    ...replaceQueries(database),
    ...reportQueries(database),
    ...rebuildQueries(database),
    ...retentionQueries(database),
    ...healthQueries(database),
    ...webhookQueries(database),
    ...moveQueries(database),
    ...promotionQueries(database),
    ...replicaQueries(database),
  }
}
