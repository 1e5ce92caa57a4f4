/**
 * What a report and a rebuild need.
 *
 * - Growth is read from the audit; this index leaves out the issued links, which are most of it.
 * - A rebuild notes what it finds in the bucket in `rebuild_objects` before any asset is made: conflicts are then
 *   settled with all claims known, a broken run goes on where it was, and nothing is hashed twice. It is a scratch
 *   table; nothing but a rebuild reads it.
 * - A rebuilt catalogue takes over the id that the bucket carries.
 */
export const sql = /* sql */ `
create index audit_of_growth on keepsake.audit (at) where action in ('asset.stored', 'asset.deleting');

-- Without these the planner takes every moment for a group of its own, and sorts a million rows on disk.
create statistics keepsake.assets_by_month on (date_trunc('month', created_at at time zone 'UTC')) from keepsake.assets;
create statistics keepsake.assets_by_day on (date_trunc('day', created_at at time zone 'UTC')) from keepsake.assets;
create statistics keepsake.audit_by_month on (date_trunc('month', at at time zone 'UTC')) from keepsake.audit;
create statistics keepsake.audit_by_day on (date_trunc('day', at at time zone 'UTC')) from keepsake.audit;

create table keepsake.rebuild_objects (
  key text collate "C" primary key,
  etag text not null,
  size bigint not null,
  last_modified timestamptz(3) not null,
  seen_at timestamptz(3) not null,
  -- What became of looking at it; null: not looked at yet. Only 'claim' has the columns below.
  found text collate "C",
  asset uuid,
  attempt integer,
  owner text collate "C",
  collection text collate "C",
  kind text collate "C",
  content_type text collate "C",
  sha256 text collate "C",
  width integer,
  height integer,
  duration double precision,
  attributes jsonb,
  created_at timestamptz(3),
  constraint found_known check (found in ('claim', 'foreign', 'unhashed', 'invalid')),
  constraint claim_is_whole check (found <> 'claim' or (asset is not null and attempt is not null
    and owner is not null and collection is not null and kind is not null and content_type is not null
    and sha256 is not null and attributes is not null and created_at is not null))
);
create index rebuild_objects_by_asset on keepsake.rebuild_objects (asset) where asset is not null;

alter table keepsake.rebuild_objects enable row level security, force row level security;
create policy service on keepsake.rebuild_objects to keepsake_service using (true) with check (true);
grant select, insert, update, delete on keepsake.rebuild_objects to keepsake_service;
grant update (id) on keepsake.installation to keepsake_service;
`
