/** A pooler before a PostgreSQL server that goes away for a while, and says so with whatever code it likes. */

import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** The first bytes of a client that asks for TLS. */
const TLS_REQUEST = 80_877_103

/** FATAL, with this code. */
function fatal(code) {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0Mno server is there for now\0\0`)
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}

/**
 * Between clients and the server. `down(code)` cuts all connections and answers new ones with FATAL and that
 * code, until `up()`.
 *
 * @param {string} url of the server
 * @returns `{ url, down(code), up(), refused() }`, the URL through it, and how often it has answered so
 */
export async function pooler(t, url) {
  const { hostname, port } = new URL(url)
  const sockets = new Set()
  let code = null
  let refused = 0
  const note = (socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    return socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket))
  }
  const serve = (client, first) => {
    if (code !== null) {
      refused += 1
      return client.end(fatal(code))
    }
    const server = note(connect(Number(port), hostname))
    server.write(first)
    client.pipe(server).pipe(client)
    client.on('close', () => server.destroy())
    server.on('close', () => client.destroy())
  }
  const proxy = createServer((client) => {
    note(client).once('data', (first) => {
      if (first.length !== 8 || first.readInt32BE(4) !== TLS_REQUEST) return serve(client, first)
      client.write('N')
      client.once('data', (second) => serve(client, second))
    })
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  t.after(() => {
    proxy.close()
    cut()
  })
  const through = new URL(url)
  through.host = `127.0.0.1:${proxy.address().port}`
  return {
    url: through.href,
    refused: () => refused,
    down(with_) {
      code = with_
      cut()
    },
    up() {
      code = null
    },
  }
}
