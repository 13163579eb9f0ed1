/**
 * Worker processes that share a hub on PostgreSQL, and an audit of the tables that knows nothing of how the
 * product works: a trigger notes who takes a partition, and whether the writer of a row of history had its
 * partition at that moment.
 */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as df from 'durafn'
import pg from 'pg'
import { startChild } from './child.mjs'
import { postgresStore, tempDir, until } from './hub.mjs'

const app = new URL('./cluster-app.mjs', import.meta.url).href

/** The commit under way is that of the worker whose row it has written. */
const AUDIT = `
CREATE TABLE hub.takes (part int, loser bigint, taker bigint, alive boolean,
  at timestamptz DEFAULT clock_timestamp());
CREATE TABLE hub.firsts (part int, epoch bigint, at timestamptz DEFAULT clock_timestamp(), PRIMARY KEY (part, epoch));
CREATE TABLE hub.strangers (iid bigint, writer bigint, owner bigint);
CREATE TABLE hub.joins (epoch bigint, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION hub.note_take() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.epoch IS NOT NULL AND NEW.epoch IS DISTINCT FROM OLD.epoch THEN
    INSERT INTO hub.takes VALUES (NEW.part, OLD.epoch, NEW.epoch,
      EXISTS (SELECT FROM hub.workers WHERE epoch = OLD.epoch));
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION hub.note_commit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE writer bigint; owner bigint; now xid = pg_current_xact_id()::xid; given boolean; BEGIN
  SELECT epoch INTO writer FROM hub.workers WHERE xmin = now;
  SELECT epoch, xmin = now INTO owner, given FROM hub.parts WHERE part = NEW.iid & 255;
  IF writer = owner THEN
    INSERT INTO hub.firsts VALUES (NEW.iid & 255, writer) ON CONFLICT DO NOTHING;
  ELSIF TG_TABLE_NAME = 'history' AND NOT coalesce(owner IS NULL AND given, false) THEN
    INSERT INTO hub.strangers VALUES (NEW.iid, writer, owner);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION hub.note_join() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO hub.joins VALUES (NEW.epoch);
  RETURN NULL;
END $$;
CREATE TRIGGER note_take BEFORE UPDATE ON hub.parts FOR EACH ROW EXECUTE FUNCTION hub.note_take();
CREATE TRIGGER note_commit AFTER INSERT ON hub.history FOR EACH ROW EXECUTE FUNCTION hub.note_commit();
CREATE TRIGGER note_change AFTER UPDATE ON hub.instances FOR EACH ROW EXECUTE FUNCTION hub.note_commit();
CREATE TRIGGER note_join AFTER INSERT ON hub.workers FOR EACH ROW EXECUTE FUNCTION hub.note_join();
`

/**
 * A hub of its own that anybody may join.
 *
 * @param {string} url of the server
 */
export async function openCluster(t, url) {
  const place = postgresStore(url)
  const client = await df.connect({ ...place, logger: false })
  t.after(() => client.close())
  const db = new pg.Pool({ connectionString: url, max: 2 })
  db.on('error', () => {}) // a server that goes down ends connections that rest
  t.after(() => db.end())
  const cluster = new Cluster(t, place, client, db)
  await db.query(cluster.qualified(AUDIT))
  return cluster
}

class Cluster {
  #t
  #db
  #ledger
  place
  client

  constructor(t, place, client, db) {
    this.#t = t
    this.#db = db
    this.#ledger = join(tempDir(t), 'ledger')
    writeFileSync(this.#ledger, '')
    this.place = place
    this.client = client
  }

  qualified(text) {
    return text.replaceAll('hub.', `"durafn_${this.place.hubName}".`)
  }

  /** The rows of a statement in which `hub.` stands for the schema. */
  async rows(text, values = []) {
    return (await this.#db.query(this.qualified(text), values)).rows
  }

  /** A new worker process, once its hub is open. What it logs it says. */
  async worker(options = {}, { place = this.place, wrapper, env } = {}) {
    const args = { place, app, ledger: this.#ledger, options: { leaseMs: 1_000, ...options } }
    const child = startChild(this.#t, worker, args, { wrapper, env })
    let [word, at] = await child.next()
    // That the tests' server does not sync, perhaps.
    while (word === 'log') [word, at] = await child.next()
    assert.equal(word, 'open', JSON.stringify([word, at]))
    child.openedAt = at
    return child
  }

  workers(count, options) {
    return Promise.all(Array.from({ length: count }, () => this.worker(options)))
  }

  /** The partitions that a process has, or had until others took them. */
  async parts(child) {
    const text = `SELECT part FROM hub.parts JOIN hub.workers USING (epoch) WHERE owner = $1`
    return (await this.rows(text, [`process ${child.pid}`])).map(({ part }) => part)
  }

  /** Waits until so many workers have about the same. */
  async balanced(count) {
    const text = `SELECT count(*)::int AS parts FROM hub.parts JOIN hub.workers USING (epoch)
      GROUP BY epoch`
    await until('all have their share', async () => {
      const shares = (await this.rows(text)).map(({ parts }) => parts)
      const fair = shares.every((parts) => Math.abs(parts - 256 / count) <= 1)
      return shares.length === count && fair
    })
  }

  /** Who has these instances. */
  ownersOf(ids) {
    const text = `SELECT id, epoch FROM hub.instances JOIN hub.parts ON part = iid & 255
      WHERE id = ANY($1)`
    return this.rows(text, [ids])
  }

  /** How many workers have a place. */
  async members() {
    return (await this.rows('SELECT count(*)::int AS workers FROM hub.workers'))[0].workers
  }

  /** How many milliseconds after that time the last partition was taken, of all that were since then. */
  async lastTake(sinceMs) {
    const text = `SELECT (extract(epoch FROM max(at)) * 1000)::float8 - $1::float8 AS ms FROM hub.takes
      WHERE at > to_timestamp($1::float8 / 1000)`
    return Math.round((await this.rows(text, [sinceMs]))[0].ms)
  }

  /** Whether each partition has an owner that is there. */
  async isOwned() {
    const text = `SELECT count(*)::int AS parts FROM hub.parts JOIN hub.workers USING (epoch)`
    return (await this.rows(text))[0].parts === 256
  }

  /** When somebody first committed something in each of these partitions after that time: the earliest. */
  async firstCommit(parts, afterMs) {
    const text = `SELECT (extract(epoch FROM min(at)) * 1000)::float8 AS at FROM hub.firsts
      WHERE part = ANY($1) AND at > to_timestamp($2::float8 / 1000)`
    return (await this.rows(text, [parts, afterMs]))[0].at
  }

  /**
   * Nothing was taken from a worker that was there, nobody wrote what was another's, and no history has a task
   * twice or lacks a turn. Gives how many turns there are.
   */
  async audit() {
    const [{ stolen, strangers, commits }] = await this.rows(
      `SELECT (SELECT count(*) FROM hub.takes WHERE alive)::int AS stolen,
        (SELECT count(*) FROM hub.strangers)::int AS strangers,
        (SELECT count(*) FROM hub.history)::int AS commits`,
    )
    const doubled = await this.rows(
      `SELECT h.iid, h.exec, x.v->'TaskScheduled'->>'k' AS task, array_agg(h.number ORDER BY h.number) AS turns
        FROM hub.history AS h, jsonb_array_elements(convert_from(h.body, 'utf8')::jsonb->'e') AS x(v)
        WHERE x.v ? 'TaskScheduled' GROUP BY 1, 2, 3 HAVING count(*) > 1`,
    )
    const lacking = await this.rows(
      `SELECT iid, exec FROM hub.history WHERE number > 0
        GROUP BY iid, exec HAVING count(*) <> max(number)`,
    )
    assert.deepEqual(
      { stolen, strangers, doubled, lacking },
      { stolen: 0, strangers: 0, doubled: [], lacking: [] },
    )
    return commits
  }

  /** Waits until as many instances have completed, and none has ended otherwise. */
  async completed(count, timeoutMs = 60_000) {
    const text = `SELECT count(*)::int AS all, count(*) FILTER (WHERE status = 1)::int AS done
      FROM hub.instances WHERE completed_ms IS NOT NULL`
    const end = performance.now() + timeoutMs
    let seen
    while (performance.now() < end) {
      seen = await this.rows(text).catch(() => [{ all: 0, done: 0 }])
      assert.equal(seen[0].all, seen[0].done, 'all that ended completed')
      if (seen[0].done === count) return
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    assert.fail(
      `${count} should complete, ${JSON.stringify(seen)} did; open: ${await this.#open()}`,
    )
  }

  async #open() {
    const text = `SELECT i.id, i.iid & 255 AS part, i.status, i.ready, i.crashes, p.epoch,
      convert_from(i.problem, 'utf8') AS problem
      FROM hub.instances AS i JOIN hub.parts AS p ON p.part = i.iid & 255
      WHERE completed_ms IS NULL LIMIT 5`
    return JSON.stringify(await this.rows(text))
  }

  /**
   * Checks that each of these instances returned one result a step, which an activity of that instance and
   * step gave, and no other observed. Gives how many activities ran.
   */
  async checkSteps(ids, steps) {
    const gave = new Map(this.lines().map(({ nonce, id, step }) => [nonce, `${id} ${step}`]))
    const outputs = new Map()
    let cursor = null
    do {
      const page = await this.client.list({ top: 1_000, cursor })
      for (const { instanceId, output } of page.instances) outputs.set(instanceId, output)
      cursor = page.cursor
    } while (cursor)
    for (const id of ids) {
      const seen = outputs.get(id)
      assert.equal(seen?.length, steps, id)
      seen.forEach((nonce, step) => {
        assert.equal(gave.get(nonce), `${id} ${step}`)
      })
    }
    return gave.size
  }

  /** What the activities wrote. */
  lines() {
    const lines = readFileSync(this.#ledger, 'utf8').split('\n').filter(Boolean)
    return lines.map((line) => {
      const [at, pid, id, step, nonce] = line.split(' ')
      return { at: Number(at), pid: Number(pid), id, step: Number(step), nonce }
    })
  }
}

/** The program of a worker process. SIGTERM drains it. */
async function worker({ df, args, say }) {
  const { register } = await import(args.app)
  const app = new df.App()
  register(app, args.ledger)
  const log = (message) => say(['log', message])
  const logger = { debug() {}, info() {}, warn: log, error: log }
  const hub = await df.open({ ...args.place, app, logger, ...args.options })
  process.once('SIGTERM', async () => {
    say(['draining', Date.now()])
    await hub.close({ drainTimeoutMs: 10_000 })
    say(['closed', Date.now()])
  })
  say(['open', Date.now()])
}
