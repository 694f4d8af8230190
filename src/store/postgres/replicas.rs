//! Who is alive, by the clock of the server.
//!
//! A sign of life is two statements, each in a transaction of its own: it is written before others are read. So of two
//! who come at the same moment, at least one sees the other, and neither waits for a lock of anybody.

use deadpool_postgres::ClientWrapper;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::codec::{get, micros, time_at};
use super::fault::Fault;
use super::read;
use super::time::Timing;
use super::tx::query;
use crate::store::StoreError;
use crate::store::replica::{Beat, LIVE_FOR, Peer, Pulse, Replica, ReplicaRole, ReplicaView, SILENT_FOR};

/// In microseconds: what is left of those who died is kept for so long, for whoever looks into the table.
const KEPT: i64 = 60 * 60 * 1_000_000;

/// Whoever was silent for too long comes back under a new number.
const BEAT: &str = "INSERT INTO replicas AS known (id, takes_in, works, version, started_at, seen_at, joined, counts)
     SELECT $1, $2, $3, $4, $5::bigint, coalesce($6::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
       nextval('replicas_seq'), $7::bigint[]
     ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, counts = excluded.counts,
       joined = CASE WHEN known.seen_at > excluded.seen_at - $8::bigint THEN known.joined ELSE excluded.joined END
     RETURNING joined, seen_at";

pub(super) async fn beat(db: &ClientWrapper, beat: &Beat, timing: &Timing) -> Result<Pulse, Fault> {
    let Replica { id, version, started_at, .. } = &beat.replica;
    let (takes_in, works) = (beat.replica.does(ReplicaRole::Intake), beat.replica.does(ReplicaRole::Worker));
    let (started_at, (_, given), silent) = (started_at.as_microsecond(), timing.given(), micros(SILENT_FOR));
    let rows = query(db, BEAT, &[id, &takes_in, &works, version, &started_at, &given, &beat.counts, &silent]).await?;
    let row = rows.first().ok_or(StoreError::NotFound("replica"))?;
    let (joined, now): (i64, i64) = (get(row, "joined")?, get(row, "seen_at")?);
    let sql = "SELECT joined, counts FROM replicas WHERE works AND seen_at > $1 ORDER BY joined";
    let read = |row: &Row| Ok(Peer { joined: get(row, "joined")?, counts: get(row, "counts")? });
    let workers = query(db, sql, &[&(now - micros(LIVE_FOR))]).await?;
    let workers: Vec<Peer> = workers.iter().map(read).collect::<Result<_, Fault>>()?;
    if beat.counts.is_empty() {
        // Whoever comes for the first time takes away what is left of those who died long ago.
        query(db, "DELETE FROM replicas WHERE seen_at < $1", &[&(now - KEPT)]).await?;
    }
    Ok(Pulse::Shared { joined, workers })
}

/// It ends, and calls nobody any more.
pub(super) async fn leave(db: &ClientWrapper, id: &str) -> Result<(), Fault> {
    query(db, "DELETE FROM replicas WHERE id = $1", &[&id]).await?;
    Ok(())
}

/// Those who are alive, the oldest first.
pub(super) async fn list(db: &ClientWrapper, timing: &Timing) -> Result<Vec<ReplicaView>, Fault> {
    let since = read::now(db, timing).await? - micros(LIVE_FOR);
    let sql = "SELECT id, takes_in, works, version, started_at, seen_at FROM replicas WHERE seen_at > $1
         ORDER BY started_at, id";
    query(db, sql, &[&since]).await?.iter().map(view).collect()
}

fn view(row: &Row) -> Result<ReplicaView, Fault> {
    let does = [(ReplicaRole::Intake, get(row, "takes_in")?), (ReplicaRole::Worker, get(row, "works")?)];
    let started_at: Timestamp = time_at(row, "started_at")?;
    Ok(ReplicaView {
        id: get(row, "id")?,
        roles: does.into_iter().filter(|(_, does)| *does).map(|(role, _)| role).collect(),
        version: get(row, "version")?,
        started_at,
        seen_at: time_at(row, "seen_at")?,
    })
}
