import { describe, expect, test } from 'vitest'
import { errorTable, isErrorCode, KeepsakeError } from './index.ts'

const codes = Object.keys(errorTable).filter(isErrorCode)

describe('the table of errors', () => {
  test.each(codes)('%s has a status, a title and a spelling that can be promised', (code) => {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect(errorTable[code].status).toBeGreaterThanOrEqual(400)
    expect(errorTable[code].status).toBeLessThan(600)
    expect(errorTable[code].title).toMatch(/^[A-Z].*[^.]$/)
  })
})

describe('isErrorCode', () => {
  test('knows the codes and nothing else', () => {
    expect(codes.length).toBe(Object.keys(errorTable).length)
    for (const text of ['', 'constructor', '__proto__', 'INTERNAL', 'internal ']) expect(isErrorCode(text)).toBe(false)
  })
})

describe('KeepsakeError', () => {
  test('carries its code, status, title, message, details and cause', () => {
    const cause = new Error('socket hang up')
    const error = new KeepsakeError('source_gone', 'The source answered 404.', { details: { status: 404 }, cause })
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({
      name: 'KeepsakeError',
      code: 'source_gone',
      status: 422,
      title: 'The source does not give the content',
      message: 'The source answered 404.',
      details: { status: 404 },
      cause,
    })
    expect('cause' in new KeepsakeError('internal', 'x')).toBe(false)
  })

  test('may be retried when a part behind is failing, unless it is said otherwise', () => {
    const retryable = codes.filter((code) => new KeepsakeError(code, 'x').retryable)
    expect(retryable).toEqual(codes.filter((code) => [502, 503, 504].includes(errorTable[code].status)))
    expect(new KeepsakeError('store_denied', 'x', { retryable: false }).retryable).toBe(false)
    expect(new KeepsakeError('content_truncated', 'x', { retryable: true, retryAfter: 5 })).toMatchObject({
      retryable: true,
      retryAfter: 5,
    })
  })

  test('is told from other errors, and by its code', () => {
    const error = new KeepsakeError('content_empty', 'x')
    expect(KeepsakeError.is(error)).toBe(true)
    expect(KeepsakeError.is(error, 'content_too_large', 'content_empty')).toBe(true)
    expect(KeepsakeError.is(error, 'content_too_large')).toBe(false)
    expect(KeepsakeError.is(new Error('x'))).toBe(false)
    expect(KeepsakeError.is(undefined)).toBe(false)
  })

  test('from leaves ours as it is and hides what others say', () => {
    const ours = new KeepsakeError('content_empty', 'x')
    expect(KeepsakeError.from(ours)).toBe(ours)
    const foreign = new TypeError('password=hunter2')
    const wrapped = KeepsakeError.from(foreign)
    expect(wrapped).toMatchObject({ code: 'internal', cause: foreign, retryable: false })
    expect(wrapped.message).not.toContain('hunter2')
    expect(KeepsakeError.from('a string').cause).toBe('a string')
  })
})
