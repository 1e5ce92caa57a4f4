import { describe, expect, it } from 'vitest'
import { bucketAddress, keyPath } from './address.ts'

const at = (options: object) => {
  const address = bucketAddress({ bucket: 'media', region: 'eu-west-1', ...options })
  return address.origin + keyPath(address, 'a/b c.png')
}

describe('where a bucket is', () => {
  it.each([
    [{}, 'https://media.s3.eu-west-1.amazonaws.com/a/b%20c.png'],
    [{ region: 'cn-north-1' }, 'https://media.s3.cn-north-1.amazonaws.com.cn/a/b%20c.png'],
    [{ dualStack: true }, 'https://media.s3.dualstack.eu-west-1.amazonaws.com/a/b%20c.png'],
    [{ dualStack: true, forcePathStyle: true }, 'https://s3.dualstack.eu-west-1.amazonaws.com/media/a/b%20c.png'],
    [{ bucket: 'my.media' }, 'https://s3.eu-west-1.amazonaws.com/my.media/a/b%20c.png'],
    [{ forcePathStyle: true }, 'https://s3.eu-west-1.amazonaws.com/media/a/b%20c.png'],
    [{ endpoint: 'http://127.0.0.1:9000/' }, 'http://127.0.0.1:9000/media/a/b%20c.png'],
    [{ endpoint: 'https://r2.example.com', forcePathStyle: false }, 'https://media.r2.example.com/a/b%20c.png'],
    [{ endpoint: 'https://x.example.co/storage/v1/s3' }, 'https://x.example.co/storage/v1/s3/media/a/b%20c.png'],
    [{ endpoint: 'https://s3.example.com:443' }, 'https://s3.example.com/media/a/b%20c.png'],
  ])('%j is %s', (options, expected) => {
    expect(at(options)).toBe(expected)
  })

  it.each([
    { bucket: '' },
    { bucket: 'a/b' },
    { bucket: '..' },
    { region: '' },
    { region: 'us east' },
    { endpoint: 'localhost:9000' },
    { endpoint: 'ftp://host' },
    { endpoint: 'https://user:password@host' },
    { endpoint: 'http://127.0.0.1:9000', forcePathStyle: false },
    { endpoint: 'https://s3.example.com', dualStack: true },
  ])('%j is refused', (options) => {
    expect(() => at(options)).toThrow(expect.objectContaining({ code: 'invalid_setting' }))
  })
})
