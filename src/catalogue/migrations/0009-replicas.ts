/**
 * What lies in a replica, a copy of the bucket elsewhere. A row is there before a byte is: so a copy is always known, and
 * what is deleted is followed there whatever became of its asset's row.
 */
export const sql = /* sql */ `
create table keepsake.replicas (
  key text collate "C" not null,
  -- Which replica, by its name: another one begins anew.
  replica text collate "C" not null,
  asset uuid not null,
  size bigint not null,
  stored_at timestamptz(3) not null,
  -- When a copy was begun last: until some hours later it may still land.
  began_at timestamptz(3),
  copied_at timestamptz(3),
  -- Not to be tried before.
  due_at timestamptz(3) not null default keepsake.now(),
  failures integer not null default 0,
  problem_code text,
  problem_message text,
  -- When the asset was deleted; the copy follows later.
  deleted_at timestamptz(3),
  -- When the copy was removed last.
  removed_at timestamptz(3),
  primary key (key, replica)
);
create index replicas_waiting on keepsake.replicas (replica, due_at, key)
  where copied_at is null and deleted_at is null;
create index replicas_leaving on keepsake.replicas (replica, deleted_at, key) where deleted_at is not null;

-- How far stored assets have been looked through for each replica.
create table keepsake.replica_progress (
  replica text collate "C" primary key,
  stored_at timestamptz(3) not null default 'epoch',
  asset uuid not null default '00000000-0000-0000-0000-000000000000',
  round_at timestamptz(3) not null default keepsake.now()
);
create index assets_by_stored on keepsake.assets (stored_at, id) where state = 'stored';

create function keepsake.mark_replicas() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  update keepsake.replicas set deleted_at = keepsake.now()
  where key = old.key and asset = old.id and deleted_at is null;
  return null;
end
$$;
revoke execute on function keepsake.mark_replicas() from public;
grant create on schema keepsake to keepsake_service;
alter function keepsake.mark_replicas() owner to keepsake_service;
revoke create on schema keepsake from keepsake_service;
create trigger mark_replicas after update of state on keepsake.assets
  for each row when (old.state = 'stored' and new.state <> 'stored') execute function keepsake.mark_replicas();
create trigger mark_replicas_of_gone after delete on keepsake.assets
  for each row when (old.key is not null) execute function keepsake.mark_replicas();

alter table keepsake.replicas enable row level security, force row level security;
alter table keepsake.replica_progress enable row level security, force row level security;
create policy service on keepsake.replicas to keepsake_service using (true) with check (true);
create policy service on keepsake.replica_progress to keepsake_service using (true) with check (true);
grant select, insert, update, delete on keepsake.replicas to keepsake_service;
grant select, insert, update on keepsake.replica_progress to keepsake_service;
`
