/**
 * An import of bytes that died with its process, or with the store, says nothing about the request. Its row is failed,
 * so that nobody waits for it, and reopened by the same request when it comes again: one row for an idempotency key,
 * always. No other failure is reopened.
 */
export const sql = /* sql */ `
alter table keepsake.assets add column reopenable boolean not null default false;
alter table keepsake.assets add constraint failed_is_reopenable check (not reopenable or state = 'failed');

drop trigger refuse_update on keepsake.assets;
create trigger refuse_update before update on keepsake.assets for each row when (
  (new.state <> old.state and not (old.state, new.state) in (('pending', 'stored'), ('pending', 'failed'),
    ('pending', 'deleting'), ('stored', 'deleting'), ('failed', 'deleting'))
    and not (old.state = 'failed' and new.state = 'pending' and old.reopenable and new.attempt > old.attempt))
  or new.id <> old.id or new.owner <> old.owner or new.collection <> old.collection
  or new.created_at <> old.created_at or new.attempt < old.attempt
) execute function keepsake.refuse_change();

-- A user's delete of a failed asset takes the mark off with the state.
grant update (reopenable) on keepsake.assets to keepsake_user;
`
