//! Which chain of the record a connection writes: one that nobody else writes now, or a new one.
//!
//! A lock keeps all others from the chain for as long as the connection lives, and ends with whatever the connection had
//! begun. So whoever holds it knows how far the chain goes, and nobody commits behind its back: neither a process that
//! hung, nor a commit whose answer was lost.

use deadpool_postgres::ClientWrapper;

use super::audit::hash;
use super::codec::get;
use super::fault::Fault;
use super::seals::ends;
use super::tx::{Chain, query};

/// Of the locks of chains: "seve" in ASCII, beside a part of the name's digest. Locks of one number are others.
const CLASS: i32 = 0x7365_7665;

/// Takes a chain. Those that were written last come first, so that old ones can be removed as a whole one day.
pub(super) async fn take(db: &ClientWrapper) -> Result<Chain, Fault> {
    for end in ends(db).await? {
        if lock(db, &end.writer).await?
            && let Some(chain) = last(db, &end.writer).await?
        {
            return Ok(chain);
        }
    }
    loop {
        let chain = Chain::begin();
        // Two names may have the same number.
        if lock(db, chain.writer()).await? {
            return Ok(chain);
        }
    }
}

async fn lock(db: &ClientWrapper, writer: &str) -> Result<bool, Fault> {
    let sql = "SELECT pg_try_advisory_lock($1::int, hashtext($2::text)) AS is_ours";
    query(db, sql, &[&CLASS, &writer]).await?.first().map_or(Ok(false), |row| get(row, "is_ours"))
}

/// How far it goes, now that nobody else adds to it.
async fn last(db: &ClientWrapper, writer: &str) -> Result<Option<Chain>, Fault> {
    // As in `ends`: by the index of pairs. Who has no row would be given another's.
    let sql = "SELECT hash FROM (SELECT writer, hash FROM audit WHERE (writer, seq) <= ($1, 9223372036854775807)
           ORDER BY writer DESC, seq DESC LIMIT 1) AS newest WHERE writer = $1";
    let rows = query(db, sql, &[&writer]).await?;
    rows.first().map(|row| Ok(Chain::resume(writer, hash(row)?))).transpose()
}
