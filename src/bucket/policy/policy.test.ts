import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parsePolicy, parseStatement, statementKey } from './policy.ts'

const key = (raw: unknown) => statementKey(parseStatement(raw))
const deny = { Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: 'arn:aws:s3:::b/*' }

describe('a statement says the same', () => {
  it.each([
    ['whatever it is called', { ...deny, Sid: 'Other' }],
    ['with everybody spelled out', { ...deny, Principal: { AWS: '*' } }],
    ['with everybody in a list', { ...deny, Principal: { AWS: ['*'] } }],
    ['with a list of one', { ...deny, Action: ['s3:PutObject'], Resource: ['arn:aws:s3:::b/*'] }],
    ['with an action in other case', { ...deny, Action: 'S3:putobject' }],
    ['with one of them twice', { ...deny, Action: ['s3:PutObject', 's3:PutObject'] }],
  ])('%s', (_, other) => {
    expect(key(other)).toBe(key(deny))
  })

  it('with conditions in another spelling', () => {
    const when = (Condition: unknown) => key({ ...deny, Condition })
    expect(when({ Bool: { 'aws:SecureTransport': false } })).toBe(when({ Bool: { 'aws:securetransport': ['False'] } }))
    expect(when({ NumericLessThan: { 's3:TlsVersion': 1.2 } })).toBe(
      when({ NumericLessThan: { 's3:tlsversion': '1.20' } }),
    )
    expect(when({ StringEquals: { a: ['x', 'y'] } })).toBe(when({ StringEquals: { a: ['y', 'x'] } }))
  })

  it('in any order of its lists', () => {
    const list = fc.uniqueArray(fc.constantFrom('s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:ListBucket'), {
      minLength: 1,
    })
    fc.assert(
      fc.property(list, (actions) => {
        expect(key({ ...deny, Action: actions })).toBe(key({ ...deny, Action: actions.toReversed() }))
      }),
    )
  })
})

describe('a statement says something else', () => {
  it.each([
    ['Allow', { ...deny, Effect: 'Allow' }],
    ['another action', { ...deny, Action: 's3:GetObject' }],
    ['another resource, by case', { ...deny, Resource: 'arn:aws:s3:::B/*' }],
    ['NotAction', { Effect: 'Deny', Principal: '*', NotAction: 's3:PutObject', Resource: 'arn:aws:s3:::b/*' }],
    ['one principal', { ...deny, Principal: { AWS: 'arn:aws:iam::123456789012:root' } }],
    ['a condition', { ...deny, Condition: { Bool: { 'aws:SecureTransport': 'false' } } }],
    ['a text condition in other case', { ...deny, Condition: { StringEquals: { a: 'X' } } }],
  ])('with %s', (_, other) => {
    expect(key(other)).not.toBe(key(deny))
  })
})

describe('a document', () => {
  it('may hold one statement without a list', () => {
    expect(parsePolicy(JSON.stringify({ Version: '2012-10-17', Statement: deny })).statements).toHaveLength(1)
  })

  it('gives back what it was, word for word', () => {
    const raw = { ...deny, Sid: 'x', Condition: { Bool: { 'aws:SecureTransport': false } } }
    expect(parsePolicy(JSON.stringify({ Statement: [raw] }))).toMatchObject({
      version: null,
      id: null,
      statements: [{ raw }],
    })
  })

  it.each(['', '[]', '{}', '{"Statement":[{"Effect":"Maybe"}]}'])('%j is none', (text) => {
    expect(() => parsePolicy(text)).toThrow()
  })
})
