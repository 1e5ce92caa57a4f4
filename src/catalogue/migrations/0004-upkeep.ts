/**
 * Retention by asset, when an asset was last looked at, and the outbox of webhooks.
 *
 * The outbox is filled by a trigger on the audit: every transition has its audit row in its own statement, so no
 * transition can be forgotten and none is announced that did not happen. The trigger runs as the service, because a
 * user's delete writes its audit row as the user.
 *
 * What an endpoint's URL and secret are stands in the configuration only: both are secrets.
 */
export const sql = /* sql */ `
alter table keepsake.assets
  -- Never removed by retention or by a clean-up.
  add column pinned boolean not null default false,
  -- Seconds to keep it once it is stored; 0 for ever; null as its collection says.
  add column keep bigint constraint keep_fits check (keep >= 0),
  -- The last look at its object, at any level; and the last time that its bytes were read and hashed.
  add column checked_at timestamptz(3),
  add column read_at timestamptz(3);
grant insert (keep) on keepsake.assets to keepsake_user;

-- Being stored was a look: the store checked the hash of what it got.
create index assets_by_check on keepsake.assets ((coalesce(checked_at, stored_at)), id) where state = 'stored';
create index assets_by_read on keepsake.assets ((coalesce(read_at, stored_at)), id) where state = 'stored';
create index assets_unwell on keepsake.assets (health, id) where state = 'stored' and health <> 'ok';

-- The last run of each kind of upkeep, for people and metrics.
create table keepsake.upkeep_runs (
  name text collate "C" primary key,
  started_at timestamptz(3) not null,
  ended_at timestamptz(3) not null,
  detail jsonb not null
);

create table keepsake.webhook_endpoints (
  id text collate "C" primary key,
  events text[] not null,
  -- When a process that has it in its configuration last said so.
  seen_at timestamptz(3) not null default keepsake.now(),
  -- It answered 410 Gone.
  disabled_at timestamptz(3)
);

create table keepsake.webhook_deliveries (
  id bigint generated always as identity primary key,
  -- The same for all endpoints and all attempts.
  event uuid not null,
  endpoint text collate "C" not null,
  type text collate "C" not null,
  asset uuid,
  payload json not null,
  state text collate "C" not null default 'pending',
  attempts integer not null default 0,
  -- The next attempt; while one is under way, when it is taken for dead.
  due_at timestamptz(3) not null default keepsake.now(),
  created_at timestamptz(3) not null default keepsake.now(),
  ended_at timestamptz(3),
  -- What the last attempt was answered with, and why it failed.
  status integer,
  problem text,

  constraint delivery_state_known check (state in ('pending', 'delivered', 'dead')),
  constraint ended_once_not_pending check ((state = 'pending') = (ended_at is null))
);
create index webhook_deliveries_due on keepsake.webhook_deliveries (endpoint, due_at) where state = 'pending';
create index webhook_deliveries_by_state on keepsake.webhook_deliveries (state, id);
create index webhook_deliveries_by_age on keepsake.webhook_deliveries (created_at);

-- An endpoint that no process has in its configuration any more gets nothing after a day, so that nothing piles up.
create function keepsake.announce() returns trigger language plpgsql security definer set search_path = '' as $$
declare
  happened text := case new.action when 'asset.deleting' then 'asset.deleted' else new.action end;
  event uuid;
begin
  -- Most installations have none, and then a change pays for this look alone.
  if not exists (select from keepsake.webhook_endpoints) then
    return null;
  end if;
  event := gen_random_uuid();
  insert into keepsake.webhook_deliveries (event, endpoint, type, asset, payload)
  select event, endpoint.id, happened, new.asset, json_build_object(
    'type', happened,
    'timestamp', to_char(new.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'data', json_build_object('asset', json_strip_nulls(json_build_object(
      'id', new.asset,
      'collection', new.collection,
      'owner', new.owner,
      'state', a.state,
      'health', a.health,
      'kind', a.kind,
      'key', a.key,
      'contentType', a.content_type,
      'size', a.size,
      'sha256', a.sha256,
      'width', a.width,
      'height', a.height,
      'duration', a.duration,
      'attributes', a.attributes,
      'filename', a.filename,
      'createdAt', to_char(a.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'storedAt', to_char(a.stored_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'expiresAt', to_char(a.expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'problem', case when new.action = 'asset.failed'
        then json_build_object('code', a.problem_code, 'message', a.problem_message) end
    ))))
  from keepsake.webhook_endpoints as endpoint
  left join keepsake.assets as a on a.id = new.asset
  where endpoint.disabled_at is null and endpoint.seen_at > keepsake.now() - interval '1 day'
    and happened = any (endpoint.events);
  return null;
end
$$;
revoke execute on function keepsake.announce() from public;
grant create on schema keepsake to keepsake_service;
alter function keepsake.announce() owner to keepsake_service;
revoke create on schema keepsake from keepsake_service;

create trigger announce after insert on keepsake.audit for each row when (new.action in (
  'asset.stored', 'asset.failed', 'asset.deleting', 'asset.missing', 'asset.corrupt', 'asset.recovered'
)) execute function keepsake.announce();

alter table keepsake.upkeep_runs enable row level security, force row level security;
alter table keepsake.webhook_endpoints enable row level security, force row level security;
alter table keepsake.webhook_deliveries enable row level security, force row level security;
create policy service on keepsake.upkeep_runs to keepsake_service using (true) with check (true);
create policy service on keepsake.webhook_endpoints to keepsake_service using (true) with check (true);
create policy service on keepsake.webhook_deliveries to keepsake_service using (true) with check (true);
grant select, insert, update, delete on keepsake.upkeep_runs, keepsake.webhook_endpoints, keepsake.webhook_deliveries
  to keepsake_service;
`
