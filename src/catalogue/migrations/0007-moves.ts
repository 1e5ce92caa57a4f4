/**
 * Moves: existing media, a folder or another bucket, on their way into a collection. What a move knows stands here, file
 * by file, so that it goes on where it was after whatever happened to its process.
 */
export const sql = /* sql */ `
create table keepsake.moves (
  id uuid primary key,
  -- A folder, or s3://bucket/prefix.
  source text not null,
  collection text collate "C" not null,
  options jsonb not null,
  stage text collate "C" not null default 'inventory',
  -- The process at work on it, and until when it is taken to be.
  runner uuid,
  until timestamptz(3),
  created_at timestamptz(3) not null default keepsake.now(),
  changed_at timestamptz(3) not null default keepsake.now(),

  constraint stage_known check (stage in ('inventory', 'copy', 'verify', 'cutover', 'done'))
);
-- One at a time: asking for the same again goes on with it.
create unique index moves_under_way on keepsake.moves (source, collection) where stage <> 'done';

create table keepsake.move_files (
  move uuid not null references keepsake.moves (id),
  -- Below the source.
  path text collate "C" not null,
  size bigint not null check (size >= 0),
  -- What changes when the file does: its time, or its ETag.
  version text not null,
  state text collate "C" not null default 'found',
  asset uuid,
  sha256 text collate "C",
  problem_code text,
  problem_message text,
  primary key (move, path),
  constraint state_known check (state in
    ('found', 'placed', 'copied', 'verified', 'done', 'failed', 'skipped', 'retired')),
  constraint failed_has_problem check (state <> 'failed' or problem_code is not null)
);
create index move_files_by_state on keepsake.move_files (move, state, path);

alter table keepsake.moves enable row level security, force row level security;
alter table keepsake.move_files enable row level security, force row level security;
create policy service on keepsake.moves to keepsake_service using (true) with check (true);
create policy service on keepsake.move_files to keepsake_service using (true) with check (true);
grant select, insert, update on keepsake.moves, keepsake.move_files to keepsake_service;
`
