//! A PostgreSQL server for the tests: `scripts/test.mjs` starts one and gives its URL in
//! `DURAFN_TEST_POSTGRES`. Each test has a hub, that is a schema, of its own.

use durafn::provider::postgres::PostgresOptions;
use tokio::runtime::Builder;
use tokio_postgres::NoTls;

/// A hub's schema, dropped at the end.
pub(crate) struct Schema {
    hub_name: String,
}

impl Schema {
    /// One that no other test has.
    pub(crate) fn fresh() -> Self {
        Self { hub_name: format!("test-{}", uuid::Uuid::now_v7().simple()) }
    }

    /// The same, whose name ends in this.
    pub(crate) fn named(end: &str) -> Self {
        let id = uuid::Uuid::now_v7().simple().to_string();
        Self { hub_name: format!("{}-{end}", &id[20..]) }
    }

    /// A database of its own, made so.
    pub(crate) fn database(&self, how: &str) -> Database {
        let name = format!("database-{}", self.hub_name);
        execute(&format!("CREATE DATABASE \"{name}\" {how} TEMPLATE template0"));
        Database { name }
    }

    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions {
            url: format!("{}?application_name={}", url(), self.hub_name),
            hub_name: Some(self.hub_name.clone()),
            relaxed: false,
            lease_ms: 10_000,
            listen_url: None,
            distributed: false,
        }
    }

    /// Runs statements beside the hub; `hub.` stands for its schema.
    pub(crate) fn run(&self, text: &str) {
        execute(&text.replace("hub.", &format!("\"durafn_{}\".", self.hub_name)));
    }

    /// A role without rights.
    pub(crate) fn role(&self) -> Role {
        let name = format!("role-{}", self.hub_name);
        execute(&format!("CREATE ROLE \"{name}\" LOGIN PASSWORD '{name}'"));
        Role { name, schema: format!("durafn_{}", self.hub_name) }
    }

    /// Options of a process for which the server looks for no deadlock: one of two that wait for each other
    /// is refused when it has waited for as long as it may.
    pub(crate) fn options_without_deadlocks(&self) -> PostgresOptions {
        let options = self.options();
        PostgresOptions {
            url: format!("{}&options=-c%20deadlock_timeout%3D1h", options.url),
            ..options
        }
    }

    /// Whether a process of this hub waits for a lock.
    pub(crate) fn has_waiting(&self) -> bool {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url(), NoTls).await.unwrap();
            tokio::spawn(connection);
            let text = "SELECT 1 FROM pg_stat_activity \
                WHERE wait_event_type = 'Lock' AND application_name = $1";
            !client.query(text, &[&self.hub_name]).await.unwrap().is_empty()
        })
    }

    /// Ends the connections to this hub, as a server that goes down does.
    pub(crate) fn cut(&self) {
        execute(&format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '{}'",
            self.hub_name
        ));
    }
}

/// A database, dropped at the end.
pub(crate) struct Database {
    name: String,
}

impl Database {
    /// The URL with this database in place of the other.
    pub(crate) fn url(&self, of: &str) -> String {
        let (server, rest) = of.rsplit_once('/').unwrap();
        let parameters = rest.split_once('?').map_or("", |(_, parameters)| parameters);
        format!("{server}/{}?{parameters}", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            execute(&format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name));
        }
    }
}

/// A role that may do nothing by itself.
pub(crate) struct Role {
    name: String,
    schema: String,
}

impl Role {
    /// The URL with this role in place of the other.
    pub(crate) fn url(&self, of: &str) -> String {
        let (_, place) = of.rsplit_once('@').unwrap();
        format!("postgres://{0}:{0}@{place}", self.name)
    }

    /// What a worker needs, and no more: see docs/scaling.md.
    pub(crate) fn grants(&self) -> String {
        let Self { name, schema } = self;
        format!(
            "GRANT USAGE ON SCHEMA \"{schema}\" TO \"{name}\"; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \"{schema}\" TO \"{name}\"; \
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA \"{schema}\" TO \"{name}\""
        )
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let Self { name, .. } = self;
            execute(&format!("DROP OWNED BY \"{name}\"; DROP ROLE \"{name}\""));
        }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            execute(&format!("DROP SCHEMA IF EXISTS \"durafn_{}\" CASCADE", self.hub_name));
        }
    }
}

fn execute(text: &str) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(text).await.unwrap();
    });
}

fn url() -> String {
    std::env::var("DURAFN_TEST_POSTGRES").expect(
        "DURAFN_TEST_POSTGRES must be the URL of a PostgreSQL server; `npm test -- --rust` starts one",
    )
}
