/**
 * Many rows by one statement.
 *
 * - Usage is counted once a statement and owner, not once a row: within a statement each row's update of the same usage
 *   row left one more dead version for the next to walk past, so that a thousand rows cost a thousand times five hundred
 *   steps. Owners are taken in order, so two statements that have several in common do not wait for each other in a
 *   circle.
 * - A copied file of a move keeps the ETag that the store answered its put with, to find the same in the bucket's list.
 */
export const sql = /* sql */ `
create function keepsake.count_inserted() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into keepsake.usage as u (owner, bytes)
    select owner, sum(counted) from made where counted > 0 group by owner order by owner
    on conflict (owner) do update set bytes = u.bytes + excluded.bytes;
  if exists (
    select from made join keepsake.usage u on u.owner = made.owner where made.counted > 0 and u.bytes > made.quota
  ) then
    raise exception 'The quota is used up' using errcode = 'KS001';
  end if;
  return null;
end
$$;
revoke execute on function keepsake.count_inserted() from public;
-- A new owner must be allowed to create in the schema, for a moment.
grant create on schema keepsake to keepsake_service;
alter function keepsake.count_inserted() owner to keepsake_service;
revoke create on schema keepsake from keepsake_service;
drop trigger count_insert on keepsake.assets;
create trigger count_insert after insert on keepsake.assets
  referencing new table as made for each statement execute function keepsake.count_inserted();

alter table keepsake.move_files add column etag text;
`
