//! Time that a provider was closed to everyone, which used up none of a job's time.

use rusqlite::params;

use super::tx::Tx;
use crate::store::StoreError;

/// When a provider was closed, as far as is remembered: from and to, the earliest first.
pub(super) struct Closures(Vec<(i64, i64)>);

impl Closures {
    /// Those that ended after `since`, or last still.
    pub(super) fn since(tx: &Tx<'_>, provider: &str, since: i64) -> Result<Self, StoreError> {
        let mut statement = tx.sql(
            "SELECT closed_at, coalesce(opened_at, ?3) FROM gates
             WHERE provider = ?1 AND (opened_at IS NULL OR opened_at > ?2)
             UNION ALL SELECT closed_at, coalesce(opened_at, ?3) FROM gates
             WHERE provider = '' AND (opened_at IS NULL OR opened_at > ?2)",
        )?;
        let rows = statement.query_map(params![provider, since, tx.steady], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut spans: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
        spans.sort_unstable();
        Ok(Self(spans))
    }

    /// How much of the time since `from` was behind a gate. Gates overlap: an hour behind two of them is one hour.
    pub(super) fn behind(&self, from: i64) -> i64 {
        let (mut behind, mut counted_to) = (0, from);
        for (closed, opened) in &self.0 {
            behind += (opened - closed.max(&counted_to)).max(0);
            counted_to = counted_to.max(*opened);
        }
        behind
    }
}
