/**
 * Comparing bucket and catalogue. What the rules rest on:
 *
 * - A scan keeps its place and its findings here, so that it goes on after a crash and its manifest can be written
 *   again. Findings are few; the streams that are compared are not kept.
 * - An orphan is acted upon only after two sightings of the very same object, some time apart.
 * - `keepsake.quarantine` is a claim on a key. From `removing` on, no row can get that key: whoever writes a key to a row
 *   takes a shared lock on the key's hash and then looks here; the step to `removing` takes the same lock alone and then
 *   looks for a row. So of the two one always sees the other, whatever the isolation of their transactions hides.
 */
export const sql = /* sql */ `
create table keepsake.marked_buckets (
  bucket text collate "C" primary key,
  marked_at timestamptz(3) not null default keepsake.now()
);

create table keepsake.scans (
  id uuid primary key default gen_random_uuid(),
  bucket text collate "C" not null,
  prefix text collate "C" not null,
  source text collate "C" not null,
  hashes boolean not null,
  -- What was stored before this time had its object before the listing began.
  started_at timestamptz(3) not null default keepsake.now(),
  listed_at timestamptz(3) not null,
  finished_at timestamptz(3),
  constraint source_known check (source in ('list', 'inventory'))
);
create index scans_by_age on keepsake.scans (started_at);

create table keepsake.scan_ranges (
  scan uuid not null references keepsake.scans on delete cascade,
  -- Keys after this one, up to and with "until"; compared as far as "position".
  after text collate "C" not null,
  until text collate "C" not null,
  position text collate "C" not null,
  done boolean not null default false,
  objects bigint not null default 0,
  bytes bigint not null default 0,
  rows bigint not null default 0,
  reserved bigint not null default 0,
  primary key (scan, after)
);

create table keepsake.scan_findings (
  scan uuid not null references keepsake.scans on delete cascade,
  key text collate "C" not null,
  kind text collate "C" not null,
  upload text collate "C" not null default '',
  size bigint not null,
  ripe boolean not null,
  line text not null,
  primary key (scan, key, kind, upload)
);

create table keepsake.sightings (
  key text collate "C" primary key,
  etag text collate "C" not null,
  modified_at timestamptz(3) not null,
  first_seen_at timestamptz(3) not null default keepsake.now(),
  last_seen_at timestamptz(3) not null default keepsake.now()
);
create index sightings_by_age on keepsake.sightings (last_seen_at);

create table keepsake.quarantine (
  key text collate "C" primary key,
  state text collate "C" not null default 'copying',
  -- Fencing: whoever took the move over last.
  attempt integer not null default 1,
  -- Until when the mover is given time before another one may take over; null at rest.
  until timestamptz(3),
  -- A removal whose outcome is not known may take effect until then, so nothing may be put back before.
  unsure_until timestamptz(3),
  etag text collate "C" not null,
  size bigint not null,
  modified_at timestamptz(3) not null,
  asset uuid not null,
  owner text collate "C" not null,
  collection text collate "C" not null,
  created_at timestamptz(3) not null default keepsake.now(),
  moved_at timestamptz(3),
  constraint state_known check (state in ('copying', 'removing', 'quarantined', 'restoring')),
  constraint at_rest check ((state = 'quarantined') = (until is null))
);

create function keepsake.refuse_quarantined_key() returns trigger language plpgsql security definer
set search_path = '' as $$
begin
  perform pg_catalog.pg_advisory_xact_lock_shared(5240617, pg_catalog.hashtext(new.key));
  if exists (select from keepsake.quarantine q where q.key = new.key and q.state <> 'copying') then
    raise exception 'The key is that of an object in quarantine' using errcode = 'KS003';
  end if;
  return new;
end
$$;
revoke execute on function keepsake.refuse_quarantined_key() from public;
grant create on schema keepsake to keepsake_service;
alter function keepsake.refuse_quarantined_key() owner to keepsake_service;
revoke create on schema keepsake from keepsake_service;
create trigger refuse_quarantined_insert before insert on keepsake.assets
  for each row when (new.key is not null) execute function keepsake.refuse_quarantined_key();
create trigger refuse_quarantined_update before update of key on keepsake.assets
  for each row when (new.key is not null and new.key is distinct from old.key)
  execute function keepsake.refuse_quarantined_key();

alter table keepsake.marked_buckets enable row level security, force row level security;
alter table keepsake.scans enable row level security, force row level security;
alter table keepsake.scan_ranges enable row level security, force row level security;
alter table keepsake.scan_findings enable row level security, force row level security;
alter table keepsake.sightings enable row level security, force row level security;
alter table keepsake.quarantine enable row level security, force row level security;
create policy service on keepsake.marked_buckets to keepsake_service using (true) with check (true);
create policy service on keepsake.scans to keepsake_service using (true) with check (true);
create policy service on keepsake.scan_ranges to keepsake_service using (true) with check (true);
create policy service on keepsake.scan_findings to keepsake_service using (true) with check (true);
create policy service on keepsake.sightings to keepsake_service using (true) with check (true);
create policy service on keepsake.quarantine to keepsake_service using (true) with check (true);
grant select, insert, update, delete on keepsake.marked_buckets, keepsake.scans, keepsake.scan_ranges,
  keepsake.scan_findings, keepsake.sightings, keepsake.quarantine to keepsake_service;
`
