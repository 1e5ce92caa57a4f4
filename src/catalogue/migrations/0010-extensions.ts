/**
 * What stands on the catalogue.
 *
 * - `keepsake.extensions` remembers which schema of an extension was applied, so that a start that changes nothing
 *   costs one read.
 * - What came of an asset is found by an index over the parents that assets name. Most name none, and are not in it.
 * - Two functions are the way into an asset's life for the triggers of an extension: they keep the audit and the rules,
 *   and run with the rights of whoever calls, which have to be those of `keepsake_service`.
 */
export const sql = /* sql */ `
create table keepsake.extensions (
  name text collate "C" primary key,
  checksum text not null,
  applied_at timestamptz not null default now()
);
grant select on keepsake.extensions to keepsake_service;

create index assets_by_parent on keepsake.assets using gin ((provenance -> 'parents') jsonb_path_ops)
  where provenance ? 'parents';

-- As the delete of the API, but for the lease: the next sweep removes the object and the row.
create function keepsake.begin_delete(wanted uuid, acting text) returns boolean
language sql set search_path = '' as $$
  with old as (
    select id, state, size from keepsake.assets where id = wanted for update
  ), changed as (
    update keepsake.assets a
    set state = 'deleting', attempt = a.attempt + 1, until = keepsake.now(), source_url = null, reopenable = false
    from old where a.id = old.id and old.state <> 'deleting'
    returning a.id, a.owner, a.collection, a.attempt
  ), audited as (
    insert into keepsake.audit (action, asset, owner, collection, actor, detail)
    select 'asset.deleting', changed.id, changed.owner, changed.collection, acting,
      jsonb_strip_nulls(jsonb_build_object('attempt', changed.attempt, 'from', old.state,
        'size', case old.state when 'stored' then old.size end))
    from changed join old on old.id = changed.id
  )
  select exists (select from changed)
$$;

-- Prompt and settings of a stored asset, in place of those that it has. The limits are those of an import.
create function keepsake.describe(wanted uuid, new_prompt text, new_settings jsonb, acting text) returns boolean
language plpgsql set search_path = '' as $$
begin
  if jsonb_typeof(new_settings) <> 'object' then
    raise exception 'settings must be a JSON object' using errcode = 'invalid_parameter_value';
  end if;
  if length(new_prompt) > 32768 or octet_length(new_settings::text) > 65536 then
    raise exception 'A prompt has at most 32768 characters, settings have at most 65536 bytes'
      using errcode = 'invalid_parameter_value';
  end if;
  with changed as (
    update keepsake.assets
    set provenance = (provenance - 'prompt' - 'settings')
      || case when new_prompt is null then '{}' else jsonb_build_object('prompt', new_prompt) end
      || case when new_settings is null then '{}' else jsonb_build_object('settings', new_settings) end
    where id = wanted and state = 'stored'
      and (provenance ->> 'prompt' is distinct from new_prompt or provenance -> 'settings' is distinct from new_settings)
    returning id, owner, collection
  )
  insert into keepsake.audit (action, asset, owner, collection, actor)
  select 'asset.described', id, owner, collection, acting from changed;
  return found;
end
$$;

revoke execute on function keepsake.begin_delete(uuid, text), keepsake.describe(uuid, text, jsonb, text) from public;
grant execute on function keepsake.begin_delete(uuid, text), keepsake.describe(uuid, text, jsonb, text)
  to keepsake_service;
`
