import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { SlowAnswer } from './slow-answer.ts'
import { XML_DECLARATION } from './xml.ts'

const servers: http.Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** A server whose only answer is what `work` comes to, and a client that is connected to it. */
async function serving(work: (incoming: IncomingMessage, response: ServerResponse) => Promise<void>) {
  const server = http.createServer((incoming, response) => void work(incoming, response))
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  let heard = ''
  socket.on('data', (bytes) => {
    heard += bytes.toString()
  })
  return { socket, heard: () => heard }
}

const ask = (socket: Socket, body = '') =>
  socket.write(`PUT / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 4\r\n\r\n${body}`)

test('what is soon done has a status of its own', async () => {
  const { socket, heard } = await serving(async (incoming, response) => {
    const slow = new SlowAnswer(incoming, response, {}, 60_000)
    expect(slow.stop()).toBe(false)
    response.writeHead(412).end()
  })
  ask(socket, 'body')
  await expect.poll(heard).toMatch(/^HTTP\/1.1 412 /)
})

test('blanks keep the connection, and an error comes where the answer would have', async () => {
  const done = Promise.withResolvers<string>()
  const { socket, heard } = await serving(async (incoming, response) => {
    incoming.resume()
    const slow = new SlowAnswer(incoming, response, { 'x-amz-request-id': '1' }, 1)
    const xml = await done.promise
    expect(slow.stop()).toBe(true)
    slow.end(xml)
  })
  ask(socket, 'body')
  await expect.poll(heard).toMatch(/^HTTP\/1.1 200 [\s\S]*x-amz-request-id: 1[\s\S]*<\?xml [^>]*>\n\r\n(1\r\n \r\n){3}/)
  done.resolve(`${XML_DECLARATION}<Error><Code>BadDigest</Code></Error>`)
  await expect.poll(heard).toMatch(/ \r\n[0-9a-f]+\r\n<Error><Code>BadDigest<\/Code><\/Error>\r\n0\r\n\r\n$/)
})

test('nothing is answered before the request has come to its end', async () => {
  let ticks = 0
  const done = Promise.withResolvers<void>()
  const { socket, heard } = await serving(async (incoming, response) => {
    incoming.resume()
    const slow = new SlowAnswer(incoming, response, {}, 1)
    const ticking = setInterval(() => {
      ticks += 1
    }, 1)
    await done.promise
    clearInterval(ticking)
    slow.stop()
    slow.end('<Done/>')
  })
  ask(socket, 'bo')
  await expect.poll(() => ticks).toBeGreaterThan(20)
  expect(heard()).toBe('')
  socket.write('dy')
  await expect.poll(heard).toMatch(/^HTTP\/1.1 200 /)
  done.resolve()
})
