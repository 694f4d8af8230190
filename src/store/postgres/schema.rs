//! Migrations: numbered files, applied once each. Replicas that start at once take turns.

use anyhow::{Context, bail};
use tokio_postgres::Client;

use super::fault::describe;

const MIGRATIONS: &[&str] = &[include_str!("../migrations/postgres/1.sql")];

/// The advisory lock under which one replica migrates: "sever" in hexadecimal ASCII, and a number.
const TURN: i64 = 0x7365_7665_7200_0001;

/// Brings the database up to date. One of a later version is refused, for its meaning is not known here.
pub(super) async fn migrate(client: &Client) -> anyhow::Result<()> {
    let said = |error: tokio_postgres::Error| anyhow::anyhow!(describe(&error));
    let begin = format!(
        "SET statement_timeout = 0; BEGIN; SELECT pg_advisory_xact_lock({TURN});
         CREATE TABLE IF NOT EXISTS sever_schema (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    );
    client
        .batch_execute(&begin)
        .await
        .map_err(said)
        .context("the user may not create tables here; grant it CREATE on its schema")?;
    let row = client.query_one("SELECT coalesce(max(version), 0) FROM sever_schema", &[]).await.map_err(said)?;
    let version: i32 = row.get(0);
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    if applied > MIGRATIONS.len() {
        bail!("the store has schema {version} and this sever knows up to {}; use a newer sever", MIGRATIONS.len());
    }
    for (number, migration) in (1_i32..).zip(MIGRATIONS).skip(applied) {
        client.batch_execute(migration).await.map_err(said).with_context(|| format!("migration {number}"))?;
        client.execute("INSERT INTO sever_schema (version) VALUES ($1)", &[&number]).await.map_err(said)?;
    }
    client.batch_execute("COMMIT").await.map_err(said)
}
