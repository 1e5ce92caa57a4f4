/**
 * The schema. What the rules rest on:
 *
 * - Every table with owner data has FORCE ROW LEVEL SECURITY, so not even its owner reads past the policies.
 * - `keepsake_service` sees all. `keepsake_user` is held to one owner by RESTRICTIVE policies on the claim
 *   `keepsake.owner`; a missing or an empty claim is NULL, which is never equal to anything: closed.
 * - The user role writes what a reservation and the begin of a delete need, column by column, and nothing else; the
 *   state, the attempt and the clock columns of a new row are the defaults.
 * - Times have milliseconds, as a JavaScript Date has, so that what was read can be compared with what is stored.
 */
export const sql = /* sql */ `
grant usage on schema keepsake to keepsake_service, keepsake_user;
grant select on keepsake.migrations to keepsake_service;

-- The clock. keepsake.clock_offset is only set by tests, which move the database's time with it.
create function keepsake.now() returns timestamptz language sql stable parallel safe
return date_trunc('milliseconds', statement_timestamp())
  + coalesce(nullif(current_setting('keepsake.clock_offset', true), ''), '0')::interval;

create function keepsake.claimed_owner() returns text language sql stable parallel safe
return nullif(current_setting('keepsake.owner', true), '');

create table keepsake.installation (
  one boolean primary key default true check (one),
  id uuid not null default gen_random_uuid(),
  created_at timestamptz(3) not null default keepsake.now()
);
insert into keepsake.installation default values;
grant select on keepsake.installation to keepsake_service;

create table keepsake.assets (
  id uuid primary key,
  collection text collate "C" not null,
  owner text collate "C" not null,
  state text collate "C" not null default 'pending',
  health text collate "C" not null default 'ok',
  kind text collate "C",
  key text collate "C",
  store text collate "C" not null default 'primary',
  content_type text collate "C",
  size bigint,
  sha256 text collate "C",
  width integer,
  height integer,
  duration double precision,
  attributes jsonb not null default '{}',
  provenance jsonb not null default '{}',
  filename text,
  source_url text,
  source_expires_at timestamptz(3),
  attempt integer not null default 1,
  failures integer not null default 0,
  until timestamptz(3),
  problem_code text,
  problem_message text,
  created_at timestamptz(3) not null default keepsake.now(),
  stored_at timestamptz(3),
  expires_at timestamptz(3),
  -- Bytes that this row counts in keepsake.usage: reserved while pending, true once stored.
  counted bigint not null default 0,
  -- The owner's limit that counted when this row last took room; checked where counted grows.
  quota bigint,

  constraint owner_fits check (octet_length(owner) between 1 and 1024),
  constraint collection_fits check (octet_length(collection) between 1 and 255),
  constraint key_fits check (octet_length(key) between 1 and 1024),
  constraint state_known check (state in ('pending', 'stored', 'failed', 'deleting')),
  constraint health_known check (health in ('ok', 'missing', 'corrupt')),
  constraint kind_known check (kind in ('image', 'video', 'audio', 'other')),
  constraint store_known check (store in ('primary', 'local')),
  constraint sha256_is_hex check (sha256 ~ '^[0-9a-f]{64}$'),
  constraint numbers_fit check (attempt >= 1 and failures >= 0 and size >= 0 and counted >= 0 and quota >= 0
    and width >= 0 and height >= 0 and duration >= 0),
  constraint stored_is_complete check (state <> 'stored' or (key is not null and kind is not null
    and content_type is not null and size is not null and sha256 is not null and stored_at is not null)),
  constraint failed_has_problem check (state <> 'failed' or (problem_code is not null and key is null)),
  constraint problem_is_whole check ((problem_code is null) = (problem_message is null)),
  constraint open_is_due check ((state in ('pending', 'deleting')) = (until is not null)),
  constraint source_while_pending check (state = 'pending' or source_url is null)
);
create unique index assets_key on keepsake.assets (key) where key is not null;
create index assets_of_collection on keepsake.assets (collection, created_at desc, id desc);
create index assets_of_owner on keepsake.assets (owner, created_at desc, id desc);
create index assets_by_attributes on keepsake.assets using gin (attributes jsonb_path_ops);
create index assets_due on keepsake.assets (until) where state in ('pending', 'deleting');
create index assets_expiring on keepsake.assets (expires_at) where state = 'stored' and expires_at is not null;

create table keepsake.audit (
  id bigint generated always as identity primary key,
  at timestamptz(3) not null default keepsake.now(),
  action text collate "C" not null,
  asset uuid not null,
  owner text collate "C" not null,
  collection text collate "C" not null,
  actor text collate "C" not null,
  request_id text,
  detail jsonb not null default '{}'
);
create index audit_of_asset on keepsake.audit (asset, id);
create index audit_of_owner on keepsake.audit (owner, id);
-- Time grows with the rows, so a block range index serves from and to at next to no cost for a write.
create index audit_at on keepsake.audit using brin (at);

create table keepsake.idempotency_keys (
  owner text collate "C" not null,
  key text collate "C" not null,
  fingerprint text collate "C" not null,
  asset uuid not null,
  created_at timestamptz(3) not null default keepsake.now(),
  primary key (owner, key),
  constraint idempotency_key_fits check (octet_length(key) between 1 and 1024)
);
create index idempotency_keys_by_age on keepsake.idempotency_keys (created_at);

create table keepsake.retired_keys (
  key text collate "C" not null,
  store text collate "C" not null,
  asset uuid not null,
  retired_at timestamptz(3) not null default keepsake.now(),
  look_at timestamptz(3) not null default keepsake.now(),
  primary key (key, store)
);
create index retired_keys_due on keepsake.retired_keys (look_at);

create table keepsake.usage (
  owner text collate "C" primary key,
  bytes bigint not null check (bytes >= 0)
);

-- usage is kept by a trigger, so that no statement can forget it, and as the service, so that no user can write it.
-- The row lock of the upsert makes the check against the quota exact under any number of parallel reservations.
create function keepsake.count_usage() returns trigger language plpgsql security definer set search_path = '' as $$
declare
  change bigint := case tg_op
    when 'INSERT' then new.counted when 'DELETE' then -old.counted else new.counted - old.counted end;
  total bigint;
begin
  if change < 0 then
    update keepsake.usage set bytes = bytes + change where owner = old.owner;
  else
    insert into keepsake.usage as u (owner, bytes) values (new.owner, change)
      on conflict (owner) do update set bytes = u.bytes + excluded.bytes returning u.bytes into total;
    if total > new.quota then
      raise exception 'The quota is used up' using errcode = 'KS001';
    end if;
  end if;
  return null;
end
$$;
revoke execute on function keepsake.count_usage() from public;
grant create on schema keepsake to keepsake_service;
alter function keepsake.count_usage() owner to keepsake_service;
revoke create on schema keepsake from keepsake_service;

create trigger count_insert after insert on keepsake.assets
  for each row when (new.counted > 0) execute function keepsake.count_usage();
create trigger count_update after update on keepsake.assets
  for each row when (new.counted <> old.counted) execute function keepsake.count_usage();
create trigger count_delete after delete on keepsake.assets
  for each row when (old.counted > 0) execute function keepsake.count_usage();

-- The life of an asset, once more where nobody gets around it. The function only runs for what is refused.
create function keepsake.refuse_change() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'The asset % may not be changed like that', old.id using errcode = 'KS002';
end
$$;
create trigger refuse_update before update on keepsake.assets for each row when (
  (new.state <> old.state and not (old.state, new.state) in (('pending', 'stored'), ('pending', 'failed'),
    ('pending', 'deleting'), ('stored', 'deleting'), ('failed', 'deleting')))
  or new.id <> old.id or new.owner <> old.owner or new.collection <> old.collection
  or new.created_at <> old.created_at or new.attempt < old.attempt
) execute function keepsake.refuse_change();

alter table keepsake.assets enable row level security, force row level security;
alter table keepsake.audit enable row level security, force row level security;
alter table keepsake.idempotency_keys enable row level security, force row level security;
alter table keepsake.retired_keys enable row level security, force row level security;
alter table keepsake.usage enable row level security, force row level security;

create policy service on keepsake.assets to keepsake_service using (true) with check (true);
create policy service on keepsake.audit to keepsake_service using (true) with check (true);
create policy service on keepsake.idempotency_keys to keepsake_service using (true) with check (true);
create policy service on keepsake.retired_keys to keepsake_service using (true) with check (true);
create policy service on keepsake.usage to keepsake_service using (true) with check (true);

-- What a user may do at all …
create policy user_reads on keepsake.assets for select to keepsake_user using (true);
create policy user_reserves on keepsake.assets for insert to keepsake_user with check (state = 'pending');
create policy user_deletes on keepsake.assets for update to keepsake_user using (true) with check (state = 'deleting');
create policy user_reads on keepsake.audit for select to keepsake_user using (true);
create policy user_acts on keepsake.audit for insert to keepsake_user
  with check (actor = 'user:' || keepsake.claimed_owner());
create policy user_reads on keepsake.idempotency_keys for select to keepsake_user using (true);
create policy user_reserves on keepsake.idempotency_keys for insert to keepsake_user with check (true);
create policy user_reads on keepsake.usage for select to keepsake_user using (true);

-- … and to whose rows: its own.
create policy own on keepsake.assets as restrictive to keepsake_user
  using (owner = keepsake.claimed_owner()) with check (owner = keepsake.claimed_owner());
create policy own on keepsake.audit as restrictive to keepsake_user
  using (owner = keepsake.claimed_owner()) with check (owner = keepsake.claimed_owner());
create policy own on keepsake.idempotency_keys as restrictive to keepsake_user
  using (owner = keepsake.claimed_owner()) with check (owner = keepsake.claimed_owner());
create policy own on keepsake.usage as restrictive to keepsake_user
  using (owner = keepsake.claimed_owner()) with check (owner = keepsake.claimed_owner());

grant select, insert, update, delete on keepsake.assets, keepsake.idempotency_keys, keepsake.retired_keys,
  keepsake.usage to keepsake_service;
-- What was done stays written: nobody changes or deletes an audit row.
grant select, insert on keepsake.audit to keepsake_service;

grant select, update (state, attempt, until, source_url),
  insert (id, collection, owner, attributes, provenance, filename, source_url, source_expires_at, until, counted, quota)
  on keepsake.assets to keepsake_user;
grant select, insert (action, asset, owner, collection, actor, request_id, detail) on keepsake.audit to keepsake_user;
grant select, insert (owner, key, fingerprint, asset) on keepsake.idempotency_keys to keepsake_user;
grant select on keepsake.usage to keepsake_user;
`
