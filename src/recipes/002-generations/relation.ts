/** How the relation is made: where, for which assets, and what its `s3_url` says. */
export type Relation = {
  /** The database schema that has it. A name in lower case. */
  readonly schema: string
  /** Whose assets are shown. */
  readonly collection: string
  /** What the address of an asset begins with: what this server is reached by, or nothing. */
  readonly address: string
  /** Where a public collection is read from; null where links are signed. */
  readonly publicBase: string | null
}

const uuid = "'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'"

/**
 * The document's table, kept by triggers, as SQL that is harmless when repeated. What its rules rest on:
 *
 * - A stored asset of the collection has a row, in the same transaction; one that is being deleted has none. An owner
 *   that is no UUID fits no `user_id`, and on Supabase one that is no user has nothing to refer to: no row, and the asset
 *   is stored all the same. Nothing that somebody does to the table keeps files from being stored and deleted.
 * - The functions run as `keepsake_service`. `current_user` in a trigger's condition is then that role where Keepsake
 *   itself keeps the table, and somebody else's where a person or an app writes to it.
 * - Whoever deletes a row deletes the asset. Whoever inserts one names the key of a stored asset of the user's, and may
 *   give prompt and settings; everything else is the asset's.
 * - The policies are the document's. Elsewhere than on Supabase the user is the `sub` of the claims that PostgREST sets, or
 *   the owner that Keepsake sets for its own role.
 */
export function relationSql({ schema, collection, address, publicBase }: Relation): string {
  const table = `${schema}.generations`
  const asset = literal(collection)
  const url =
    publicBase === null
      ? `${literal(`${address}/v1/assets/`)} || asset || '/content'`
      : `${literal(`${publicBase}/`)} || key`
  return /* sql */ `
do $keepsake$
declare
  relation regclass := to_regclass(${literal(table)});
  -- Supabase: users are known by auth.uid().
  supabase boolean := exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'auth' and p.proname = 'uid' and p.pronargs = 0 and p.prorettype = 'uuid'::regtype
      and has_schema_privilege(n.oid, 'usage'));
  users boolean := exists (select from pg_catalog.pg_attribute a
    join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'auth' and c.relname = 'users' and a.attname = 'id' and a.atttypid = 'uuid'::regtype);
  me text;
  somebody text;
begin
  if relation is not null and not exists (select from pg_catalog.pg_trigger
    where tgrelid = relation and tgname = 'keepsake_generation_deleted')
  then
    raise warning '% is there and not Keepsake''s, so it stays as it is, and /api/generations works without it. To have Keepsake keep it, move yours (alter table % set schema …), delete the row ''generations'' of keepsake.extensions, and restart.',
      relation, relation;
    return;
  end if;

  ${schema === 'public' ? '' : `create schema if not exists ${schema};`}
  if relation is null then
    create table ${table} (
      id uuid primary key default gen_random_uuid(),
      user_id uuid not null,
      generation_type varchar(50) not null,
      s3_key varchar(1024) not null,
      s3_url text not null,
      prompt text,
      settings jsonb,
      file_size bigint,
      content_type varchar(255),
      created_at timestamp with time zone default now(),
      updated_at timestamp with time zone default now()
    );
    create index idx_generations_user_id on ${table} (user_id);
    create index idx_generations_created_at on ${table} (created_at desc);
    create index idx_generations_type on ${table} (generation_type);
    create index idx_generations_user_type on ${table} (user_id, generation_type, created_at desc);
    if supabase and users then
      begin
        alter table ${table} add constraint generations_user_id_fkey
          foreign key (user_id) references auth.users (id) on delete cascade;
      exception when insufficient_privilege then
        raise warning '${table} does not refer to auth.users: this login may not. A user that goes leaves generations behind.';
      end;
    end if;
  end if;

  grant select, insert, update, delete on ${table} to keepsake_service;
  grant select, insert, delete on ${table} to keepsake_user;
  foreach somebody in array array['keepsake_service', 'keepsake_user'] loop
    if not has_schema_privilege(somebody, ${literal(schema)}, 'usage') then
      execute format('grant usage on schema ${schema} to %I', somebody);
    end if;
  end loop;
  if supabase then
    for somebody in select rolname from pg_catalog.pg_roles where rolname in ('authenticated', 'service_role') loop
      execute format('grant select, insert, delete on ${table} to %I', somebody);
      if somebody = 'service_role' then
        grant update on ${table} to service_role;
      end if;
    end loop;
  end if;

  -- As its owner from the start: changing the owner later, and replacing, would ask for more rights.
  grant create on schema keepsake to keepsake_service;
  set local role keepsake_service;

  create or replace function keepsake.requesting_user() returns uuid language sql stable set search_path = '' as $f$
    select case when claimed.id ~* ${uuid} then claimed.id::uuid end from (select coalesce(
      nullif(current_setting('keepsake.owner', true), ''),
      nullif(current_setting('request.jwt.claim.sub', true), ''),
      nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') as id) as claimed
  $f$;

  -- Who stands in the audit: the user for what is its own, else the service.
  create or replace function keepsake.generation_actor(user_id uuid) returns text language sql stable
  set search_path = '' as $f$
    select case when user_id = keepsake.requesting_user() then 'user:' || user_id else 'service' end
  $f$;

  create or replace function keepsake.generation_url(asset uuid, key text) returns text language sql immutable
  set search_path = '' as $f$ select ${url} $f$;

  create or replace function keepsake.write_generation(a keepsake.assets) returns void language plpgsql
  set search_path = '' as $f$
  begin
    -- Only as it is written in lower case, the owner and the user id are the same text.
    if a.owner !~ ${uuid} then
      return;
    end if;
    insert into ${table} (id, user_id, generation_type, s3_key, s3_url, prompt, settings, file_size, content_type,
      created_at, updated_at)
    values (a.id, a.owner::uuid, left(coalesce(a.attributes ->> 'generation_type', ''), 50), a.key,
      keepsake.generation_url(a.id, a.key), a.provenance ->> 'prompt', a.provenance -> 'settings', a.size,
      left(a.content_type, 255), a.created_at, a.stored_at)
    on conflict (id) do nothing;
  exception
    when foreign_key_violation then
      -- Nobody that Supabase knows.
      null;
    when others then
      raise warning 'The generation % has no row in ${table}: %', a.id, sqlerrm;
  end
  $f$;

  create or replace function keepsake.fill_generations() returns void language plpgsql set search_path = '' as $f$
  declare
    a keepsake.assets;
  begin
    for a in select * from keepsake.assets where collection = ${asset} and state = 'stored'
      and not exists (select from ${table} g where g.id = assets.id)
    loop
      perform keepsake.write_generation(a);
    end loop;
    update ${table} set s3_url = '' where s3_url <> keepsake.generation_url(id, s3_key);
  end
  $f$;

  create or replace function keepsake.keep_generation() returns trigger language plpgsql security definer
  set search_path = '' as $f$
  begin
    if new.state = 'stored' then
      perform keepsake.write_generation(new);
    else
      delete from ${table} where id = new.id;
    end if;
    return null;
  exception when others then
    raise warning 'The generation % keeps its row in ${table}: %', new.id, sqlerrm;
    return null;
  end
  $f$;

  create or replace function keepsake.insert_generation() returns trigger language plpgsql security definer
  set search_path = '' as $f$
  declare
    a keepsake.assets;
  begin
    select * into a from keepsake.assets
    where key = new.s3_key and owner = new.user_id::text and collection = ${asset} and state = 'stored' for update;
    if not found then
      raise exception 'The user has no stored generation with the key %', new.s3_key using
        errcode = 'foreign_key_violation',
        hint = 'Keep the file with Keepsake first, by POST /api/generations: its row is here by itself then.';
    end if;
    if new.generation_type is distinct from a.attributes ->> 'generation_type' then
      raise exception 'The generation was kept with the generation_type %, not %', a.attributes ->> 'generation_type',
        new.generation_type using errcode = 'invalid_parameter_value';
    end if;
    new.id := a.id;
    new.s3_url := keepsake.generation_url(a.id, a.key);
    new.prompt := coalesce(new.prompt, a.provenance ->> 'prompt');
    new.settings := coalesce(new.settings, a.provenance -> 'settings');
    new.file_size := a.size;
    new.content_type := left(a.content_type, 255);
    new.created_at := a.created_at;
    new.updated_at := now();
    perform keepsake.describe(a.id, new.prompt, new.settings, keepsake.generation_actor(new.user_id));
    -- In the place of the row that storing made.
    delete from ${table} where id = a.id;
    return new;
  end
  $f$;

  create or replace function keepsake.update_generation() returns trigger language plpgsql security definer
  set search_path = '' as $f$
  begin
    if (new.id, new.user_id, new.generation_type, new.s3_key, new.file_size, new.content_type, new.created_at)
      is distinct from
      (old.id, old.user_id, old.generation_type, old.s3_key, old.file_size, old.content_type, old.created_at)
    then
      raise exception 'Of a generation, prompt and settings can be changed; the rest is the stored file''s' using
        errcode = 'check_violation';
    end if;
    new.s3_url := keepsake.generation_url(old.id, old.s3_key);
    new.updated_at := now();
    if (new.prompt, new.settings) is distinct from (old.prompt, old.settings) then
      perform keepsake.describe(old.id, new.prompt, new.settings, keepsake.generation_actor(old.user_id));
    end if;
    return new;
  end
  $f$;

  create or replace function keepsake.delete_generation() returns trigger language plpgsql security definer
  set search_path = '' as $f$
  begin
    perform keepsake.begin_delete(old.id, keepsake.generation_actor(old.user_id));
    return null;
  end
  $f$;

  -- Also of the triggers: whoever may execute one can hang it on a table of their own, and it acts with the service's rights.
  revoke execute on function keepsake.write_generation(keepsake.assets), keepsake.fill_generations(),
    keepsake.keep_generation(), keepsake.insert_generation(), keepsake.update_generation(),
    keepsake.delete_generation() from public;
  reset role;
  revoke create on schema keepsake from keepsake_service;

  create or replace trigger keepsake_generation_inserted before insert on ${table}
    for each row when (current_user <> 'keepsake_service') execute function keepsake.insert_generation();
  create or replace trigger update_generations_updated_at before update on ${table}
    for each row execute function keepsake.update_generation();
  create or replace trigger keepsake_generation_deleted after delete on ${table}
    for each row when (current_user <> 'keepsake_service') execute function keepsake.delete_generation();
  create or replace trigger keep_generation_inserted after insert on keepsake.assets
    for each row when (new.collection = ${asset} and new.state = 'stored') execute function keepsake.keep_generation();
  create or replace trigger keep_generation_changed after update of state on keepsake.assets
    for each row when (new.collection = ${asset} and new.state <> old.state and new.state in ('stored', 'deleting'))
    execute function keepsake.keep_generation();

  alter table ${table} enable row level security;
  drop policy if exists "Users can view own generations" on ${table};
  drop policy if exists "Users can insert own generations" on ${table};
  drop policy if exists "Users can delete own generations" on ${table};
  drop policy if exists "Keepsake keeps generations" on ${table};
  drop policy if exists "Keepsake acts for one user" on ${table};
  me := case when supabase then 'auth.uid()' else 'keepsake.requesting_user()' end;
  execute format('create policy "Users can view own generations" on ${table} for select using (%s = user_id)', me);
  execute format('create policy "Users can insert own generations" on ${table} for insert with check (%s = user_id)', me);
  execute format('create policy "Users can delete own generations" on ${table} for delete using (%s = user_id)', me);
  create policy "Keepsake keeps generations" on ${table} to keepsake_service using (true) with check (true);
  create policy "Keepsake acts for one user" on ${table} to keepsake_user
    using (keepsake.requesting_user() = user_id) with check (keepsake.requesting_user() = user_id);

  set local role keepsake_service;
  perform keepsake.fill_generations();
  reset role;
end
$keepsake$;
`
}

/** PostgreSQL, section 4.1.2.1, with standard_conforming_strings. */
function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
