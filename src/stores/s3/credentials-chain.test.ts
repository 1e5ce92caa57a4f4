import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { awsCredentials } from './aws-credentials.ts'
import { openS3Store } from './s3-store.ts'
import { listen, stop } from './scripted-server.ts'

/*
 * Where the AWS SDK's default chain finds credentials, each place for real: a file, or a service on this machine that
 * answers as AWS's does.
 */

const expiration = new Date(Date.now() + 600_000)
const iso = `${expiration.toISOString().slice(0, 19)}Z`
let home: string
const servers: Server[] = []

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'keepsake-chain-'))
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined)
  vi.stubEnv('HOME', home)
  vi.stubEnv('AWS_CONFIG_FILE', join(home, 'config'))
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(home, 'credentials'))
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const server of servers.splice(0)) await stop(server)
  await rm(home, { recursive: true })
})

/** A service that gives these answers, by path. */
async function service(answers: Readonly<Record<string, string | object>>, status = 200): Promise<string> {
  const server = createServer((request, response) => {
    const answer = answers[(request.url ?? '').split('?', 1)[0] ?? '']
    response.writeHead(answer === undefined ? 404 : status)
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  })
  servers.push(server)
  return await listen(server)
}

/** Who signs, and when the URL ends at the latest. */
async function found(profile?: string) {
  const credentials = awsCredentials(profile === undefined ? {} : { profile })
  const store = await openS3Store({ bucket: 'media', region: 'us-east-1', credentials })
  const { url, expiresAt } = store.signGet('key', { expiresIn: 3600 })
  await store.close()
  const { searchParams } = new URL(url)
  return {
    id: searchParams.get('X-Amz-Credential')?.split('/')[0],
    token: searchParams.get('X-Amz-Security-Token'),
    isShortened: expiresAt.getTime() <= expiration.getTime(),
  }
}

const temporary = (AccessKeyId: string) => ({
  ...{ Code: 'Success', AccessKeyId, SecretAccessKey: 'secret', Token: 'token', Expiration: iso },
})

it('the environment', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'FROMENVIRONMENT')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret')
  expect(await found()).toEqual({ id: 'FROMENVIRONMENT', token: null, isShortened: false })
})

it('the profile that AWS_PROFILE names', async () => {
  await writeFile(
    join(home, 'credentials'),
    '[media]\naws_access_key_id = FROMPROFILE\naws_secret_access_key = secret\n',
  )
  vi.stubEnv('AWS_PROFILE', 'media')
  expect(await found()).toEqual({ id: 'FROMPROFILE', token: null, isShortened: false })
})

it('a profile that is not there, by its name', async () => {
  const refused = { code: 'store_denied', message: expect.stringContaining("profile 'media' gives no credentials") }
  await expect(found('media')).rejects.toMatchObject(refused)
  vi.stubEnv('AWS_PROFILE', 'media')
  await expect(found()).rejects.toMatchObject(refused)
})

it('single sign-on', async () => {
  const start = 'https://keepsake.awsapps.com/start'
  const profile = `[profile sso]\nsso_start_url = ${start}\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = media\nregion = us-east-1\n`
  await writeFile(join(home, 'config'), profile)
  await mkdir(join(home, '.aws', 'sso', 'cache'), { recursive: true })
  const token = { accessToken: 'signed-in', expiresAt: iso, region: 'us-east-1', startUrl: start }
  const cached = join(home, '.aws', 'sso', 'cache', `${createHash('sha1').update(start).digest('hex')}.json`)
  await writeFile(cached, JSON.stringify(token))
  const roleCredentials = {
    ...{ accessKeyId: 'FROMSSO', secretAccessKey: 'secret', sessionToken: 'token', expiration: expiration.getTime() },
  }
  vi.stubEnv('AWS_ENDPOINT_URL_SSO', await service({ '/federation/credentials': { roleCredentials } }))
  expect(await found('sso')).toEqual({ id: 'FROMSSO', token: 'token', isShortened: true })
})

it('a web identity, as of a pod on EKS', async () => {
  await writeFile(join(home, 'token'), 'a.jwt.token')
  vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', join(home, 'token'))
  vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::123456789012:role/media')
  vi.stubEnv('AWS_REGION', 'us-east-1')
  const credentials = `<AccessKeyId>FROMWEBIDENTITY</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>${iso}</Expiration>`
  const answer = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>${credentials}</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
  vi.stubEnv('AWS_ENDPOINT_URL_STS', await service({ '/': answer }))
  expect(await found()).toEqual({ id: 'FROMWEBIDENTITY', token: 'token', isShortened: true })
})

it('a container, as of ECS', async () => {
  const url = await service({ '/role': temporary('FROMCONTAINER') })
  vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${url}/role`)
  expect(await found()).toEqual({ id: 'FROMCONTAINER', token: 'token', isShortened: true })
})

it('an instance, as of EC2', async () => {
  const role = '/latest/meta-data/iam/security-credentials/'
  const url = await service({
    ...{ '/latest/api/token': 'session', [role]: 'media', [`${role}media`]: temporary('FROMINSTANCE') },
  })
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', undefined)
  vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', url)
  expect(await found()).toEqual({ id: 'FROMINSTANCE', token: 'token', isShortened: true })
})

it('a file that is written anew is read anew', async () => {
  const credentials = awsCredentials({ profile: 'media' })
  for (const id of ['BEFORE', 'AFTER']) {
    await writeFile(join(home, 'credentials'), `[media]\naws_access_key_id = ${id}\naws_secret_access_key = secret\n`)
    expect(await credentials()).toMatchObject({ accessKeyId: id })
  }
})

it('none anywhere', async () => {
  await expect(found()).rejects.toThrow(
    /^No credentials for the object store could be loaded\. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role\.$/,
  )
})

it('a profile that is not there is named', async () => {
  vi.stubEnv('AWS_PROFILE', 'nobody')
  await expect(found()).rejects.toThrow(
    /^The profile 'nobody' gives no credentials for the object store: Could not resolve .*\. Look at AWS_PROFILE and ~\/\.aws\/config\.$/,
  )
})

it('a single sign-on that is over says how to sign in', async () => {
  const start = 'https://keepsake.awsapps.com/start'
  const profile = `[profile sso]\nsso_start_url = ${start}\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = media\n`
  await writeFile(join(home, 'config'), profile)
  await mkdir(join(home, '.aws', 'sso', 'cache'), { recursive: true })
  const token = { accessToken: 'over', expiresAt: '2026-01-01T00:00:00Z', region: 'us-east-1', startUrl: start }
  const cached = join(home, '.aws', 'sso', 'cache', `${createHash('sha1').update(start).digest('hex')}.json`)
  await writeFile(cached, JSON.stringify(token))
  const told = expect(found('sso')).rejects
  await told.toMatchObject({
    code: 'store_denied',
    message: expect.stringMatching(/^The profile 'sso' gives no credentials .* has expired\. .*aws sso login/),
  })
})

it("a web identity's refusal is told as it is", async () => {
  await writeFile(join(home, 'token'), 'a.jwt.token')
  vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', join(home, 'token'))
  vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::123456789012:role/media')
  vi.stubEnv('AWS_REGION', 'us-east-1')
  const error = '<Type>Sender</Type><Code>ExpiredTokenException</Code><Message>Token expired: sign in.</Message>'
  const refusal = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>${error}</Error></ErrorResponse>`
  vi.stubEnv('AWS_ENDPOINT_URL_STS', await service({ '/': refusal }, 400))
  await expect(found()).rejects.toThrow(/^No credentials .* could be loaded: Token expired: sign in\. Set /)
})

it("a container's service that is away", async () => {
  const url = await service({})
  vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${url}/role`)
  await expect(found()).rejects.toThrow(/^The container's service gives no credentials for the object store: /)
})
