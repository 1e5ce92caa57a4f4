/**
 * Falling back. A local store is the disk of one data folder, so a row names which: `local:` and the id that lies in that
 * folder. No other instance may judge, sweep or promote what lies there.
 *
 * A retired key is never used again in any store: a promotion takes an asset's key along from one to the other.
 */
export const sql = /* sql */ `
alter table keepsake.assets drop constraint store_known;
alter table keepsake.assets
  add constraint store_known check (store = 'primary' or store ~ '^local:[0-9a-f-]{36}$'),
  add constraint store_has_key check (store = 'primary' or key is not null);
create index assets_in_local on keepsake.assets (store, stored_at, id) where store <> 'primary';

-- In the place of refuse_retired_key, which looked at the same store alone.
create function keepsake.refuse_used_key() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if exists (select from keepsake.retired_keys r where r.key = new.key) then
    raise exception 'The key was used before' using errcode = 'KS003';
  end if;
  return new;
end
$$;
revoke execute on function keepsake.refuse_used_key() from public;
grant create on schema keepsake to keepsake_service;
alter function keepsake.refuse_used_key() owner to keepsake_service;
revoke create on schema keepsake from keepsake_service;
drop trigger refuse_retired_key on keepsake.assets;
create trigger refuse_used_key before insert on keepsake.assets
  for each row when (new.key is not null) execute function keepsake.refuse_used_key();

-- A ticket says from the start where its links point.
grant insert (store) on keepsake.assets to keepsake_user;
`
