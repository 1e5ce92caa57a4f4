import { describe, expect, test } from 'vitest'
import { describeConfig, type KeepsakeConfig, resolveConfig } from './index.ts'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const newer = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'
const resolve = (config: KeepsakeConfig, env: Record<string, string> = {}) => resolveConfig({ config, env, cwd: '/' })

describe('webhooks', () => {
  test('come from the environment, with several secrets while one is exchanged', () => {
    const { webhooks } = resolve(
      {},
      {
        KEEPSAKE_WEBHOOK_URL: 'http://app.internal:8080/hook?token=t',
        KEEPSAKE_WEBHOOK_SECRET: `${newer}, ${secret}`,
        KEEPSAKE_WEBHOOK_ALLOW_HOSTS: 'App.internal:8080',
      },
    )
    const [endpoint] = webhooks.endpoints
    expect(endpoint?.url.reveal()).toBe('http://app.internal:8080/hook?token=t')
    expect(endpoint?.secrets.map((one) => one.reveal())).toEqual([newer, secret])
    expect(webhooks.allowHosts).toEqual(['app.internal:8080'])
  })

  test('of the configuration go before those of the environment, and none of their secrets is shown', () => {
    const config = resolve(
      {
        webhooks: [
          { name: 'app', url: 'https://app.example/secret-path', secret },
          { url: 'https://ops.example/x', secret: [newer, secret], events: ['asset.missing'] },
        ],
      },
      { KEEPSAKE_WEBHOOK_URL: 'https://env.example/', KEEPSAKE_WEBHOOK_SECRET: secret },
    )
    expect(config.webhooks.endpoints.map(({ name, events }) => [name, events])).toEqual([
      ['app', undefined],
      [undefined, ['asset.missing']],
    ])
    expect(describeConfig(config)).toMatchObject({ webhooks: 'app, ops.example' })
    expect(JSON.stringify([config, describeConfig(config)])).not.toMatch(/secret-path|whsec_/)
  })

  test.each([
    ['without its secret', { KEEPSAKE_WEBHOOK_URL: 'https://app.example/' }, 'KEEPSAKE_WEBHOOK_SECRET is not set'],
    ['a secret alone', { KEEPSAKE_WEBHOOK_SECRET: secret }, 'KEEPSAKE_WEBHOOK_URL is not set'],
    ['no URL', { KEEPSAKE_WEBHOOK_URL: 'app.example', KEEPSAKE_WEBHOOK_SECRET: secret }, 'KEEPSAKE_WEBHOOK_URL is'],
    [
      'no secret',
      { KEEPSAKE_WEBHOOK_URL: 'https://a.example', KEEPSAKE_WEBHOOK_SECRET: 'hunter2' },
      'Allowed is whsec_',
    ],
  ])('are refused: %s', (_, env, words) => {
    expect(() => resolve({}, env)).toThrow(words)
    expect(() => resolve({}, env)).not.toThrow('hunter2')
  })

  test('that are wrong in the configuration are refused without being shown', () => {
    const wrong = { webhooks: [{ url: 'ftp://me:hunter2@host', secret: 'hunter2' }] }
    expect(() => resolve(wrong)).toThrow(/webhooks\.0\.url[\s\S]*webhooks\.0\.secret/)
    expect(() => resolve(wrong)).not.toThrow('hunter2')
  })
})

describe('upkeep', () => {
  test('runs nothing by itself, and what is declared by its expression', () => {
    expect(resolve({}).upkeep).toEqual({})
    expect(resolve({ upkeep: { verify: '0 3 * * *' } }).upkeep).toEqual({ verify: { cron: '0 3 * * *' } })
    const config = resolve({
      upkeep: {
        verify: { cron: '0 3 * * *', level: 'full', budget: '10m', bandwidth: '10 MB' },
        cleanup: { cron: '30 3 * * 0', olderThan: '90d', atMost: 100, owner: 'ada' },
        reconcile: { cron: '0 4 * * *', prefix: 'media/', apply: true, maxObjects: 50 },
      },
    })
    expect(resolve({ upkeep: { reconcile: '0 4 * * *' } }).upkeep).toEqual({ reconcile: { cron: '0 4 * * *' } })
    expect(config.upkeep).toEqual({
      verify: { cron: '0 3 * * *', level: 'full', budget: 600, bandwidth: 10_000_000 },
      cleanup: { cron: '30 3 * * 0', olderThan: 7_776_000, atMost: 100, owner: 'ada' },
      reconcile: { cron: '0 4 * * *', prefix: 'media/', apply: true, maxObjects: 50 },
    })
    expect(describeConfig(config)).toMatchObject({
      scheduled: 'verify (0 3 * * *), cleanup (30 3 * * 0), reconcile (0 4 * * *)',
    })
  })

  test.each<[string, KeepsakeConfig, string]>([
    ['an expression that is none', { upkeep: { verify: 'at noon' } }, "found 'at noon'. Allowed is a cron"],
    ['a prefix without a slash', { upkeep: { reconcile: { cron: '0 4 * * *', prefix: 'a' } } }, 'ends with a slash'],
    ['a budget that is none', { upkeep: { verify: { cron: '0 3 * * *', budget: 'long' } } }, "'10m'"],
  ])('refuses %s', (_, config, words) => {
    expect(() => resolve(config)).toThrow(words)
  })
})
