import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { readSigningKey } from './signing-key.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const spki = { type: 'spki', format: 'pem' } as const
const pkcs8 = { type: 'pkcs8', format: 'pem' } as const

describe('keys that CloudFront takes', () => {
  it.each([
    ['RSA, PKCS #8', rsa.privateKey.export(pkcs8)],
    ['RSA, PKCS #1', rsa.privateKey.export({ type: 'pkcs1', format: 'pem' })],
    ['ECDSA, PKCS #8', ec.privateKey.export(pkcs8)],
    ['ECDSA, SEC 1', ec.privateKey.export({ type: 'sec1', format: 'pem' })],
    [
      'with line breaks as an environment file has them',
      ec.privateKey.export(pkcs8).toString().replaceAll('\n', '\\n'),
    ],
  ])('%s', (_, pem) => {
    expect(readSigningKey(pem.toString()).type).toBe('private')
  })
})

describe('keys that are refused, and not shown', () => {
  it.each([
    ['the public half', rsa.publicKey.export(spki), 'public half'],
    ['a short RSA key', generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export(pkcs8), 'rsa 1024'],
    ['another curve', generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export(pkcs8), 'ec secp384r1'],
    ['another kind', generateKeyPairSync('ed25519').privateKey.export(pkcs8), 'ed25519'],
    ['an encrypted key', ec.privateKey.export({ ...pkcs8, cipher: 'aes-256-cbc', passphrase: 'x' }), 'is encrypted'],
    ['a cut key', rsa.privateKey.export(pkcs8).slice(0, 400), 'no private key in PEM'],
    ['something else', 'hunter2', 'no private key in PEM'],
  ])('%s', (_, given, why) => {
    const pem = given.toString()
    const refused = () => readSigningKey(pem)
    expect(refused).toThrow(expect.objectContaining({ code: 'invalid_setting', message: expect.stringContaining(why) }))
    try {
      refused()
    } catch (error) {
      expect(String(error)).not.toContain(pem.slice(30, 60) || pem)
      expect(Object(error).cause).toBeUndefined()
    }
  })
})
