/** A proxy before a PostgreSQL server that loses answers to commits: those were made, and nobody hears of it. */

import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** The server's answer to a COMMIT that was carried out. */
const COMMITTED = Buffer.from('C\0\0\0\x0bCOMMIT\0', 'latin1')

/**
 * Cuts the connection in place of every so many-th answer to a commit.
 *
 * @param {string} url of the server
 * @returns `{ url, cuts() }`, the URL through the proxy and how often it has cut
 */
export async function losingAnswers(t, url, every) {
  const { hostname, port } = new URL(url)
  const sockets = new Set()
  let commits = 0
  let cuts = 0
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname)
    const ends = [client, server]
    const end = () => {
      for (const socket of ends) {
        socket.destroy()
        sockets.delete(socket)
      }
    }
    for (const socket of ends) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', end).on('close', end)
    }
    client.pipe(server)
    server.on('data', (bytes) => {
      commits += bytes.includes(COMMITTED) ? 1 : 0
      if (bytes.includes(COMMITTED) && commits % every === 0) {
        cuts += 1
        end()
      } else {
        client.write(bytes)
      }
    })
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.after(() => {
    proxy.close()
    for (const socket of sockets) socket.destroy()
  })
  const through = new URL(url)
  through.host = `127.0.0.1:${proxy.address().port}`
  return { url: through.href, cuts: () => cuts }
}
