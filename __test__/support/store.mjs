/** A closed store, edited by Python's own SQLite: what no client of the package would write. */

import { execFileSync, spawnSync } from 'node:child_process'

const program = `
import json, sqlite3, sys
path, statements = sys.argv[1], json.load(sys.stdin)
db = sqlite3.connect(path)
for sql, values in statements:
    values = [bytes.fromhex(v['hex']) if isinstance(v, dict) else v for v in values]
    cursor = db.execute(sql, values)
    if sql.lstrip().upper().startswith('SELECT'):
        rows = [[v.hex() if isinstance(v, bytes) else v for v in row] for row in cursor.fetchall()]
        print(json.dumps(rows))
    elif sql.lstrip().upper().startswith(('UPDATE', 'INSERT')) and cursor.rowcount < 1:
        sys.exit('changed no row: ' + sql)
db.commit()
db.close()
`

const probe = spawnSync('python3', [
  '-c',
  'import sqlite3; assert sqlite3.sqlite_version_info >= (3, 37)',
])

/** False, or why stores cannot be edited here. */
export const skipEdits =
  probe.status === 0 ? false : 'python3 with SQLite 3.37 or newer is not installed'

/**
 * Runs statements on a closed store; gives the rows of the last SELECT, BLOBs as hexadecimal text.
 *
 * @param {[sql: string, values?: unknown[]][]} statements a Buffer among the values is a BLOB
 */
export function editStore(store, ...statements) {
  const plain = statements.map(([sql, values = []]) => [
    sql,
    values.map((value) => (Buffer.isBuffer(value) ? { hex: value.toString('hex') } : value)),
  ])
  const path = store.replace(/^sqlite:/, '')
  const output = execFileSync('python3', ['-c', program, path], {
    input: JSON.stringify(plain),
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
  })
  const lines = output.trim().split('\n')
  return lines.at(-1) === '' ? [] : JSON.parse(lines.at(-1))
}
