/** A way to a PostgreSQL server on which is seen what goes to it. */

import { connect, createServer } from 'node:net'

/** Resolves to `{ url, asked, sent, stop }`. What is sent at once is one question. */
export async function startWiretap(url) {
  const there = new URL(url)
  const sockets = new Set()
  const chunks = []
  const proxy = createServer((client) => {
    const upstream = connect(Number(there.port), there.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket.setNoDelay().on('error', () => {}))
    }
    client.on('data', (chunk) => chunks.push(chunk))
    client.pipe(upstream).pipe(client)
  })
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const here = new URL(url)
  here.host = `127.0.0.1:${proxy.address().port}`
  return {
    url: here.href,
    asked: () => chunks.length,
    sent: () => Buffer.concat(chunks).toString('latin1'),
    stop() {
      proxy.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
