/**
 * Where a stored asset was imported from, as long as that is a plain address: a lost object may be had from there again.
 * A URL with a query, a fragment or a name before the host is not kept: that is how signed links are made, and they are
 * secrets, and dead within hours.
 */
export const sql = /* sql */ `
alter table keepsake.assets add column origin_url text;
alter table keepsake.assets add constraint origin_is_plain check (origin_url ~ '^https?://[^/?#@]+(/[^?#]*)?$');
`
