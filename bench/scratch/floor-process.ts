// bare node:http: reads the body, verifies SigV4, hashes md5, appends to one file with group fdatasync
import { hash } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bucket, credentials, region } from '../bucket.ts'
import { serveParent } from '../child.ts'
import { usage } from '../usage.ts'
import { Authenticator } from '../../src/embedded-s3/authentication.ts'
import { parseRequest } from '../../src/embedded-s3/request.ts'
const mode = new Set((process.env.MODE ?? 'sig,md5,write').split(','))
const dir = mkdtempSync(join(tmpdir(), 'floor-'))
const dsync = mode.has('dsync')
const fd = fs.openSync(join(dir, 'log'), fs.constants.O_CREAT | fs.constants.O_RDWR | (dsync ? fs.constants.O_DSYNC : 0))
const auth = new Authenticator(credentials, region, false)
let offset = 0
if (mode.has('prealloc')) { const z = Buffer.alloc(1 << 20); const f = fs.openSync(join(dir, 'log'), 'r+'); for (let i = 0; i < 320; i++) fs.writeSync(f, z, 0, z.length, i << 20); fs.fsyncSync(f); fs.closeSync(f) }
const index = new Map<string, [number, number]>()
let running = false, waiting: { chunks: Buffer[]; cb: () => void }[] = []
const PAD = Buffer.alloc(4096)
const append = (chunks: Buffer[], cb: () => void) => {
  waiting.push({ chunks, cb })
  if (!dsync) fs.writevSync(fd, chunks, offset), (offset += 24576)
  if (!running) go()
}
const go = () => {
  const batch = waiting; waiting = []; running = true
  const done = (e: unknown) => { if (e) throw e; running = false; for (const { cb } of batch) cb(); if (waiting.length) go() }
  if (!dsync) fs.fdatasync(fd, done)
  else { const all: Buffer[] = []; let n = 0; for (const { chunks } of batch) { for (const c of chunks) { all.push(c); n += c.length }; const pad = (4096 - n % 4096) % 4096; all.push(PAD.subarray(0, pad)); n += pad }; fs.writev(fd, all, offset, done); offset += n }
}
const server = http.createServer({ noDelay: true }, (req, res) => {
  const r = mode.has('sig') ? parseRequest(req) : { path: req.url!.split('?')[0]! }
  if (mode.has('sig')) auth.authenticate(r as never)
  if (req.method === 'PUT') {
    const chunks: Buffer[] = []
    req.on('data', (c) => chunks.push(c))
    req.on('end', () => {
      const n = chunks.reduce((s, c) => s + c.length, 0)
      const etag = mode.has('md5') ? hash('md5', chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)) : 'x'
      index.set(r.path, [offset, n])
      const answer = () => res.writeHead(200, { etag, 'content-length': '0' }).end()
      if (mode.has('write')) append(chunks, answer); else answer()
    })
  } else {
    const n = 20000
    const b = Buffer.allocUnsafe(n); if (mode.has('write')) fs.readSync(fd, b, 0, n, 0)
    res.writeHead(200, { 'content-length': String(n), 'content-type': 'image/png' }).end(b)
  }
})
await new Promise<void>((ok) => server.listen(0, '127.0.0.1', () => ok()))
const { port } = server.address() as { port: number }
serveParent(async () => ({ url: `http://127.0.0.1:${port}`, ...usage() }), async () => { server.close(); rmSync(dir, { recursive: true }) })
