/** The relation of the document's step 7, on both databases, and on each as Supabase lays one out. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshDatabase } from '../../../test/support/fresh-database.ts'
import { gif } from '../../../test/support/http.ts'
import { openTestParts, type TestKeepsakeOptions } from '../../../test/support/keepsake.ts'
import { until } from '../../../test/support/service.ts'
import type { Database, Sql } from '../../catalogue/index.ts'
import type { Extension } from '../../index.ts'
import { generations } from './index.ts'

/** What a Supabase project has before anything of the app's: users, auth.uid(), three roles, and grants by default. */
const supabase: Extension = {
  name: 'supabase',
  schema: `
    do $$ begin create role anon nologin; exception when duplicate_object or unique_violation then null; end $$;
    do $$ begin create role authenticated nologin; exception when duplicate_object or unique_violation then null; end $$;
    do $$ begin create role service_role nologin bypassrls; exception when duplicate_object or unique_violation then null; end $$;
    create schema if not exists auth;
    create table if not exists auth.users (id uuid primary key);
    create or replace function auth.uid() returns uuid language sql stable as $$
      select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
    grant usage on schema auth, public to anon, authenticated, service_role;
    alter default privileges in schema public grant all on tables to anon, authenticated, service_role;`,
}
/** What somebody has who puts PostgREST in front of a PostgreSQL of his own. */
const webUser: Extension = {
  name: 'web-user',
  schema: `
    do $$ begin create role web_user nologin; exception when duplicate_object or unique_violation then null; end $$;
    grant select, insert, update, delete on generations to web_user;`,
}

const places = [
  { name: 'PGlite', postgres: false, onSupabase: false },
  { name: 'PGlite, laid out as Supabase', postgres: false, onSupabase: true },
  { name: 'PostgreSQL', postgres: true, onSupabase: false },
  { name: 'PostgreSQL, laid out as Supabase', postgres: true, onSupabase: true },
] as const

type Opened = Awaited<ReturnType<typeof openTestParts>>

async function openOn(postgres: boolean, options: TestKeepsakeOptions) {
  if (!postgres) return { ...(await openTestParts(options)), drop: async () => {} }
  const fresh = await freshDatabase()
  return { ...(await openTestParts({ ...options, databaseUrl: fresh.url })), drop: () => fresh.drop() }
}

const service = (database: Database, text: string, values: readonly unknown[] = []) =>
  database.serviceTransaction((sql) => sql.query(text, values)).then(({ rows }) => rows)

describe.each(places)('the relation on $name', ({ postgres, onSupabase }) => {
  let parts: Opened & { drop(): Promise<void> }
  beforeAll(async () => {
    const extensions = onSupabase ? [supabase, generations()] : [generations(), webUser]
    parts = await openOn(postgres, { extensions, sweepEverySeconds: 1 })
  })
  afterAll(async () => {
    await parts?.keepsake.close()
    await parts?.drop()
  })

  /** Work as PostgREST does it for a request with a user's token. */
  const as = <T>(user: string, work: (sql: Sql) => Promise<T>, role = onSupabase ? 'authenticated' : 'web_user') =>
    parts.database.serviceTransaction(async (sql) => {
      await sql.query(`set local role ${role}`)
      await sql.query(`select set_config('request.jwt.claims', $1, true)`, [JSON.stringify({ sub: user, role })])
      return work(sql)
    })
  const rowsOf = (user: string, text = 'select * from generations order by created_at', values: unknown[] = []) =>
    as(user, (sql) => sql.query(text, values)).then(({ rows }) => rows)

  async function newUser(): Promise<string> {
    const user = randomUUID()
    if (onSupabase)
      await parts.database.serviceTransaction(async (sql) => {
        await sql.query('reset role')
        await sql.query(`insert into auth.users values ('${user}')`)
      })
    return user
  }
  const keep = (owner: string, provenance = {}) =>
    parts.keepsake.import('user-generations', {
      source: { bytes: gif },
      owner,
      attributes: { generation_type: 'image' },
      provenance,
    })

  it('has a row for what was stored, with the columns of the document', async () => {
    const user = await newUser()
    const asset = await keep(user, { prompt: 'a fox', settings: { steps: 28, nested: { none: null } } })
    const [row, ...others] = await rowsOf(user)
    expect(others).toEqual([])
    expect(row).toEqual({
      id: asset.id,
      user_id: user,
      generation_type: 'image',
      s3_key: asset.key,
      // Never a signed link: it would be a secret in a table, and dead in an hour.
      s3_url: `/v1/assets/${asset.id}/content`,
      prompt: 'a fox',
      settings: { steps: 28, nested: { none: null } },
      file_size: expect.toSatisfy((size) => Number(size) === gif.length),
      content_type: 'image/gif',
      created_at: asset.createdAt,
      updated_at: asset.storedAt,
    })
  })

  it('shows a user its own rows, to whatever door it comes by, and nobody those of others', async () => {
    const [ada, bob] = [await newUser(), await newUser()]
    const his = await keep(bob)
    await keep(ada)
    expect(await rowsOf(ada)).toHaveLength(1)
    expect(await rowsOf(ada, 'select * from generations where id = $1', [his.id])).toEqual([])
    const byKeepsake = await parts.database.ownerTransaction(ada, (sql) =>
      sql.query('select user_id from generations', []),
    )
    expect(byKeepsake.rows).toEqual([{ user_id: ada }])
    expect(await rowsOf(randomUUID())).toEqual([])
    const unclaimed = await as('', (sql) =>
      sql.query(`select set_config('request.jwt.claims', '', true)`).then(() => sql.query('select * from generations')),
    )
    expect(unclaimed.rows).toEqual([])
  })

  it('deletes the asset and its object with the row, for its user alone', async () => {
    const [ada, bob] = [await newUser(), await newUser()]
    const asset = await keep(ada)
    const remove = 'delete from generations where id = $1 returning id'
    expect(await rowsOf(bob, remove, [asset.id])).toEqual([])
    expect(await parts.keepsake.get(asset.id)).toMatchObject({ state: 'stored' })
    expect(await rowsOf(ada, remove, [asset.id])).toEqual([{ id: asset.id }])
    await expect(parts.keepsake.get(asset.id)).rejects.toMatchObject({ code: 'asset_not_found' })
    const { entries } = await parts.keepsake.audit({ asset: asset.id })
    expect(entries.filter(({ action }) => action === 'asset.deleting')).toMatchObject([
      { actor: `user:${ada}`, owner: ada, detail: { from: 'stored', size: gif.length, attempt: 2 } },
    ])
    const { key } = asset
    const keys = async () => {
      const found: (string | null)[] = []
      for await (const object of parts.bucket.list({})) found.push(object.key)
      return found
    }
    await until(keys, (found) => !found.includes(key))
  })

  it('lends its triggers to nobody for a table of their own', async () => {
    const [ada, bob] = [await newUser(), await newUser()]
    const { id } = await keep(ada)
    const borrowed = parts.database.ownerTransaction(bob, async (sql) => {
      await sql.query('create temp table borrowed (id uuid, user_id uuid)')
      await sql.query(
        'create trigger theirs after delete on borrowed for each row execute function keepsake.delete_generation()',
      )
      await sql.query('insert into borrowed values ($1, $2)', [id, ada])
      await sql.query('delete from borrowed')
    })
    await expect(borrowed).rejects.toThrow()
    expect(await parts.keepsake.get(id)).toMatchObject({ state: 'stored' })
  })

  it('loses the row with an asset that is deleted by the API', async () => {
    const user = await newUser()
    const asset = await keep(user)
    expect(await parts.keepsake.as({ role: 'user', owner: user }).delete(asset.id)).toEqual({ done: true })
    expect(await rowsOf(user)).toEqual([])
  })

  it('takes an insert for what the user has stored, in the place of the row that is there', async () => {
    const user = await newUser()
    const asset = await keep(user, { prompt: 'a fox', settings: { steps: 1 } })
    const insert = `insert into generations (user_id, generation_type, s3_key, s3_url, prompt, file_size, content_type)
      values ($1, $2, $3, 'https://example.com/?X-Amz-Signature=secret', $4, 7, 'text/html') returning *`
    expect(await rowsOf(user, insert, [user, 'image', asset.key, 'an owl'])).toMatchObject([
      {
        id: asset.id,
        prompt: 'an owl',
        settings: { steps: 1 },
        content_type: 'image/gif',
        created_at: asset.createdAt,
      },
    ])
    expect(await rowsOf(user)).toMatchObject([{ s3_url: `/v1/assets/${asset.id}/content` }])
    const { state, provenance } = await parts.keepsake.get(asset.id)
    expect({ state, provenance }).toEqual({ state: 'stored', provenance: { prompt: 'an owl', settings: { steps: 1 } } })
    const { entries } = await parts.keepsake.audit({ asset: asset.id })
    expect(entries.find(({ action }) => action === 'asset.described')).toMatchObject({ actor: `user:${user}` })

    const other = await newUser()
    const refusals = [
      [user, 'image', 'generations/nothing/here.png', /no stored generation with the key generations\/nothing/],
      [other, 'image', asset.key, /no stored generation|row-level security/],
      [user, 'video', asset.key, /kept with the generation_type image, not video/],
    ] as const
    for (const [userId, type, key, said] of refusals) {
      const refused = rowsOf(user, insert, [userId, type, key, 'x']).catch((error: Error) => String(error.cause))
      expect(await refused).toMatch(said)
    }
    // What is somebody else's cannot be claimed as one's own, and not given to him.
    const stolen = rowsOf(other, insert, [other, 'image', asset.key, 'x']).catch((error: Error) => String(error.cause))
    expect(await stolen).toMatch(/no stored generation/)
    const given = rowsOf(other, insert, [user, 'image', asset.key, 'x']).catch((error: Error) => String(error.cause))
    expect(await given).toMatch(/row-level security/)
    expect(await rowsOf(user)).toMatchObject([{ prompt: 'an owl' }])
  })

  it('takes new prompts and settings of the service, and no update of a user: it has no policy for that', async () => {
    const user = await newUser()
    const asset = await keep(user, { prompt: 'a fox' })
    const update = `update generations set prompt = 'mine' where id = '${asset.id}' returning id`
    expect(await rowsOf(user, update)).toEqual([])
    const [row] = await service(
      parts.database,
      `update generations set prompt = null, settings = '{"a": [1]}' where id = $1 returning *`,
      [asset.id],
    )
    expect(row).toMatchObject({ prompt: null, settings: { a: [1] } })
    expect(Number(row?.updated_at)).toBeGreaterThan(Number(asset.storedAt))
    expect((await parts.keepsake.get(asset.id)).provenance).toEqual({ settings: { a: [1] } })
    for (const change of [`s3_key = 'x'`, `user_id = '${randomUUID()}'`, 'file_size = 1', `generation_type = 'x'`]) {
      const refused = service(parts.database, `update generations set ${change} where id = $1`, [asset.id])
      await expect(refused, change).rejects.toThrow()
    }
    await expect(
      service(parts.database, `update generations set settings = '[]' where id = $1`, [asset.id]),
    ).rejects.toThrow()
    expect(await parts.keepsake.get(asset.id)).toMatchObject({ key: asset.key, owner: user })
  })

  it('has no row for an owner that is no user, and stores what is its all the same', async () => {
    const strangers = ['user_42', onSupabase ? randomUUID() : 'default']
    for (const owner of strangers) {
      const { id } = await keep(owner)
      expect(await parts.keepsake.get(id)).toMatchObject({ state: 'stored' })
      expect(await service(parts.database, 'select id from generations where id = $1', [id])).toEqual([])
    }
  })

  if (!onSupabase) return

  it('goes with its user, objects and all', async () => {
    const user = await newUser()
    const asset = await keep(user)
    await parts.database.serviceTransaction(async (sql) => {
      await sql.query('reset role')
      await sql.query(`delete from auth.users where id = '${user}'`)
    })
    await expect(parts.keepsake.get(asset.id)).rejects.toMatchObject({ code: 'asset_not_found' })
    expect(await service(parts.database, 'select id from generations where user_id = $1', [user])).toEqual([])
  })

  it('is nothing to anon, and everything to service_role', async () => {
    const user = await newUser()
    const asset = await keep(user)
    const anonymous = await as(
      user,
      (sql) =>
        sql
          .query(`select set_config('request.jwt.claims', '{"role":"anon"}', true)`)
          .then(() => sql.query('select id from generations')),
      'anon',
    )
    expect(anonymous.rows).toEqual([])
    const all = await parts.database.serviceTransaction(async (sql) => {
      await sql.query('set local role service_role')
      return sql.query('delete from generations where id = $1 returning id', [asset.id])
    })
    expect(all.rows).toEqual([{ id: asset.id }])
    const { entries } = await parts.keepsake.audit({ asset: asset.id })
    expect(entries.find(({ action }) => action === 'asset.deleting')).toMatchObject({ actor: 'service' })
  })
})

describe('the relation', () => {
  const cleanUps: (() => Promise<unknown>)[] = []
  afterAll(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
  })
  async function fresh() {
    const database = await freshDatabase()
    cleanUps.push(() => database.drop())
    return database
  }
  /** Opens, does the work, and closes again, as one run of an installation. */
  async function run<T>(options: TestKeepsakeOptions, work: (parts: Opened) => Promise<T>): Promise<T> {
    const parts = await openTestParts(options)
    try {
      return await work(parts)
    } finally {
      await parts.keepsake.close()
    }
  }
  const keep = ({ keepsake }: Opened, owner: string) =>
    keepsake.import('user-generations', { source: { bytes: gif }, owner, attributes: { generation_type: 'image' } })

  it('leaves a table of the user’s own alone, and says so', async () => {
    const { url, admin } = await fresh()
    await admin('create table generations (id uuid, mine text); insert into generations (mine) values ($$old$$)')
    const warnings: string[] = []
    const logger = { warn: (_: object, message: string) => warnings.push(message) }
    const asset = await run({ databaseUrl: url, extensions: [generations()], logger }, (parts) =>
      keep(parts, randomUUID()),
    )
    expect(asset.state).toBe('stored')
    expect(await admin('select mine from generations')).toEqual([{ mine: 'old' }])
    expect(warnings).toEqual([expect.stringMatching(/^generations is there and not Keepsake's.*set schema/)])

    // As the warning says: out of the way, and it is made, with what was stored before.
    await admin(`create schema old; alter table generations set schema old;
      delete from keepsake.extensions where name = 'generations'`)
    await run({ databaseUrl: url, extensions: [generations()], logger }, async () => {})
    expect(await admin('select id from generations')).toEqual([{ id: asset.id }])
  })

  it('is made in the database of DATABASE_URL only where somebody asks for it', async () => {
    const { url, admin } = await fresh()
    await run({ databaseUrl: url, extensions: [generations({ relation: 'embedded' })] }, async () => {})
    const found = `select to_regclass('public.generations') as public, to_regclass('app.generations') as app`
    expect(await admin(found)).toEqual([{ public: null, app: null }])
    await run({ databaseUrl: url, extensions: [generations({ relation: false })] }, async () => {})
    expect(await admin(found)).toEqual([{ public: null, app: null }])
    const extensions = [generations({ relationSchema: 'app' })]
    const { id } = await run({ databaseUrl: url, extensions }, (parts) => keep(parts, randomUUID()))
    expect(await admin(found)).toEqual([{ public: null, app: 'app.generations' }])
    expect(await admin('select id from app.generations')).toEqual([{ id }])
  })

  it('says the public address where the collection is public, and follows where that changes', async () => {
    const { url, admin } = await fresh()
    const open = (options: Parameters<typeof generations>[0], baseUrl?: string) => ({
      databaseUrl: url,
      extensions: [generations(options)],
      ...(baseUrl === undefined ? {} : { baseUrl }),
    })
    const access = 'public' as const
    const { id, key } = await run(open({ access }, 'https://cdn.example.com'), (parts) => keep(parts, randomUUID()))
    const urls = async () => (await admin('select s3_url from generations')).map(({ s3_url }) => s3_url)
    expect(await urls()).toEqual([`https://cdn.example.com/${key}`])
    await run(open({ address: 'https://media.example.com/' }), async () => {})
    expect(await urls()).toEqual([`https://media.example.com/v1/assets/${id}/content`])
  })

  it('is kept by a login that is no superuser', async () => {
    const database = await fresh()
    await run({ databaseUrl: (await fresh()).url }, async () => {})
    const name = `login_${new URL(database.url).pathname.slice(-12)}`
    await database.admin(`create role ${name} login password 'secret'; grant keepsake_service, keepsake_user to ${name};
      grant create on database ${new URL(database.url).pathname.slice(1)} to ${name};
      grant create on schema public to ${name}`)
    cleanUps.push(() => database.admin(`drop owned by ${name} cascade; drop role ${name}`))
    const owner = randomUUID()
    const options = { databaseUrl: database.as(name, 'secret'), extensions: [generations()] }
    await run(options, async (parts) => {
      const [asset, other] = [await keep(parts, owner), await keep(parts, owner)]
      const rows = () =>
        parts.database
          .ownerTransaction(owner, (sql) => sql.query('select id from generations', []))
          .then((it) => it.rows)
      expect(await rows()).toHaveLength(2)
      await parts.database.ownerTransaction(owner, (sql) =>
        sql.query('delete from generations where id = $1', [other.id]),
      )
      await expect(parts.keepsake.get(other.id)).rejects.toMatchObject({ code: 'asset_not_found' })
      expect(await rows()).toEqual([{ id: asset.id }])
    })
  })

  it('keeps nothing from being stored or deleted, whatever somebody does to the table', async () => {
    const { url, admin } = await fresh()
    await run({ databaseUrl: url, extensions: [generations()] }, async (parts) => {
      const liked = await keep(parts, randomUUID())
      await admin(
        `create table likes (generation uuid references generations); insert into likes values ('${liked.id}')`,
      )
      expect(await parts.keepsake.delete(liked.id)).toEqual({ done: true })
      expect(await admin('select id from generations')).toEqual([{ id: liked.id }])
      await admin('drop table generations cascade')
      const asset = await keep(parts, randomUUID())
      expect(asset.state).toBe('stored')
      expect(await parts.keepsake.delete(asset.id)).toEqual({ done: true })
    })
  })

  it('is refused a name or an address that is none', () => {
    expect(() => generations({ relationSchema: 'app; drop table x' })).toThrow(/relationSchema is 'app; drop/)
    expect(() => generations({ address: 'media.example.com' })).toThrow(/address is 'media.example.com'/)
  })
})
