/**
 * Direct uploads. A reservation of one has its key from the start, and what was promised of its content stands in
 * `upload` until the content is verified or given up; while it is being deleted, so that the parts can be let go of.
 *
 * A reservation that brings its key is refused where that key is still watched (see 0001, retired_keys): as the
 * service, since a user may not read that table.
 */
export const sql = /* sql */ `
alter table keepsake.assets add column upload jsonb;
alter table keepsake.assets
  add constraint upload_while_open check (upload is null or (state in ('pending', 'deleting') and key is not null));

create function keepsake.refuse_retired_key() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if exists (select from keepsake.retired_keys r where r.key = new.key and r.store = new.store) then
    raise exception 'The key was used before' using errcode = 'KS003';
  end if;
  return new;
end
$$;
revoke execute on function keepsake.refuse_retired_key() from public;
grant create on schema keepsake to keepsake_service;
alter function keepsake.refuse_retired_key() owner to keepsake_service;
revoke create on schema keepsake from keepsake_service;
create trigger refuse_retired_key before insert on keepsake.assets
  for each row when (new.key is not null) execute function keepsake.refuse_retired_key();

grant insert (key, kind, content_type, upload) on keepsake.assets to keepsake_user;
`
