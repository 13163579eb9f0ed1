/** Real HTTP servers for tests, on a port of their own, closed after the test. */

import { createServer } from 'node:http'

/**
 * Starts a server.
 *
 * @param {(request: object, response: import('node:http').ServerResponse) => void} answer gets the
 * request as it was received: `{ method, url, headers, rawHeaders, body }`
 * @param {string} host the address to listen on
 */
export async function serve(t, answer, host = '127.0.0.1') {
  const requests = []
  const server = createServer(async (incoming, response) => {
    let body = ''
    for await (const chunk of incoming.setEncoding('utf8')) body += chunk
    const { method, url, headers, rawHeaders } = incoming
    const request = { method, url, headers, rawHeaders, body }
    requests.push(request)
    answer(request, response)
  })
  await new Promise((resolve) => server.listen(0, host, resolve))
  t.after(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address()
  const name = host.includes(':') ? `[${host}]` : host
  return { url: `http://${name}:${port}`, port, requests }
}

/** Answers with a status, headers and a body. */
export function reply(response, status, headers = {}, body = '') {
  response.writeHead(status, headers).end(body)
}
