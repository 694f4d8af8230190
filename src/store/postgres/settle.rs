//! The ends of attempts: all of a batch in one statement.

use std::collections::HashSet;

use jiff::Timestamp;

use super::batch::Asked;
use super::bind::rebind;
use super::codec::{clean, fence};
use super::fault::Fault;
use super::operate::close_gate;
use super::tx::Tx;
use crate::audit::Actor;
use crate::domain::{JobState, Next};
use crate::store::StoreError;
use crate::store::ending::{Change, End};

/// The end of an attempt.
pub(super) struct Ended {
    pub(super) end: End,
    /// Our steady clock when it was told: due times count from then.
    pub(super) told_at: Timestamp,
}

/// What is written of one, with where the record tells it.
struct Written<'a> {
    end: &'a End,
    to: JobState,
    change: Change<'static>,
    wake_at: Option<i64>,
    record: i64,
}

/// Ends attempts, if they are still the latest. An answer to their own call says nothing about an earlier one's.
pub(super) async fn settle(tx: &mut Tx<'_>, batch: &mut [Asked<Ended, ()>]) -> Result<(), Fault> {
    tx.reserve(3 * batch.len()).await?;
    let (mut written, mut seen) = (Vec::new(), HashSet::new());
    for asked in batch {
        let is_ours = is_ours(tx, &asked.what.end) && seen.insert(asked.what.end.row);
        asked.result = Some(if is_ours { Ok(()) } else { Err(StoreError::LeaseLost) });
        if is_ours {
            written.push(prepare(tx, &asked.what).await?);
        }
    }
    if written.is_empty() {
        return Ok(());
    }
    write(tx, &written).await?;
    // Whoever looks at them later in this transaction finds them ended.
    for ended in &written {
        tx.locked.remove(&ended.end.row);
    }
    Ok(())
}

/// Its row is locked. A later attempt means that nothing that this one saw may change anything.
fn is_ours(tx: &Tx<'_>, end: &End) -> bool {
    tx.locked.get(&end.row).is_some_and(|job| job.attempts == fence(end.fence) && job.state == JobState::Leased as i16)
}

/// Whether the job was about somebody else until now. Its row is locked, and nothing in this transaction has named another
/// account there before.
fn is_another(tx: &Tx<'_>, end: &End) -> bool {
    let before = tx.locked.get(&end.row).and_then(|job| job.account.as_deref());
    before.is_some() && before != end.account().map(clean).as_deref()
}

async fn prepare<'a>(tx: &mut Tx<'_>, ended: &'a Ended) -> Result<Written<'a>, Fault> {
    let end = &ended.end;
    let told_at = ended.told_at.as_microsecond();
    let (to, event, change) = end.change(told_at);
    // Where the provider said yes, the account is the one that was bound just before the call.
    if !end.said_yes && (end.is_nobody() || end.account.is_some()) && is_another(tx, end) {
        rebind(tx, end.row, end.account.as_deref().filter(|_| !end.is_nobody())).await?;
    }
    let actor = Actor::system();
    if let Next::CloseGate(reason) = end.next {
        close_gate(tx, Some(&end.provider), reason, &end.message, &actor).await?;
    }
    // The first attempt has none before it.
    let earlier = tx.locked.get(&end.row).and_then(|job| job.record).filter(|_| end.fence > 1);
    let record = tx.place().await?;
    tx.append((event, Some(end.job), None, &actor), end.detail.clone(), record, earlier);
    tx.count(&end.provider, Some(JobState::Leased), Some(to));
    if matches!(to, JobState::Queued | JobState::Proving) {
        tx.wake();
    }
    // A wait stays a wait: it is told by our clock and kept by the server's.
    let wake_at = change.wake_at.map(|due| due.saturating_sub(told_at).saturating_add(tx.steady));
    Ok(Written { end, to, change, wake_at, record })
}

async fn write(tx: &Tx<'_>, written: &[Written<'_>]) -> Result<(), Fault> {
    fn each<'w, T>(written: &'w [Written<'_>], column: impl Fn(&'w Written<'_>) -> T) -> Vec<T> {
        written.iter().map(column).collect()
    }
    let sql = "UPDATE jobs SET state = e.state, lane = CASE WHEN e.proving THEN 5 ELSE jobs.severity END, wake_at = e.wake_at,
         failures = jobs.failures + e.failed::integer, absence = coalesce(e.absent, jobs.absence),
         hold_reason = e.hold_reason, dead_reason = e.dead_reason, outcome = e.outcome, record = e.record,
         said = CASE WHEN e.said_yes THEN e.record ELSE jobs.said END, proof = coalesce(e.proof, jobs.proof),
         proving = e.proving, account_id = CASE WHEN e.nobody THEN NULL ELSE coalesce(e.account, jobs.account_id) END,
         note = e.note, held_since = e.held_since, finished_at = e.finished_at,
         call_open = CASE WHEN jobs.call_open = e.fence AND NOT e.unknown THEN 0 ELSE jobs.call_open END
         FROM (SELECT unnest($1::bigint[]) AS seq, unnest($2::integer[]) AS fence, unnest($3::smallint[]) AS state,
           unnest($4::bigint[]) AS wake_at, unnest($5::boolean[]) AS failed, unnest($6::text[]) AS absent,
           unnest($7::text[]) AS hold_reason, unnest($8::text[]) AS dead_reason, unnest($9::text[]) AS outcome,
           unnest($10::bigint[]) AS record, unnest($11::boolean[]) AS said_yes, unnest($12::text[]) AS proof,
           unnest($13::boolean[]) AS proving, unnest($14::boolean[]) AS nobody, unnest($15::text[]) AS account,
           unnest($16::text[]) AS note, unnest($17::bigint[]) AS held_since, unnest($18::bigint[]) AS finished_at,
           unnest($19::boolean[]) AS unknown) AS e
         WHERE jobs.seq = e.seq AND jobs.attempts = e.fence AND jobs.state = 1";
    let state = |it: &Written<'_>| i16::try_from(it.change.state).unwrap_or(i16::MAX);
    tx.later(
        sql,
        &[
            &each(written, |it| it.end.row),
            &each(written, |it| fence(it.end.fence)),
            &each(written, state),
            &each(written, |it| it.wake_at),
            &each(written, |it| it.change.failed),
            &each(written, |it| it.change.absent),
            &each(written, |it| it.change.hold_reason),
            &each(written, |it| it.change.dead_reason),
            &each(written, |it| it.change.outcome),
            &each(written, |it| it.record),
            &each(written, |it| it.end.said_yes),
            &each(written, |it| it.end.proof.as_deref()),
            &each(written, |it| it.end.proving),
            &each(written, |it| it.end.is_nobody()),
            &each(written, |it| it.end.account.as_deref().map(clean)),
            &each(written, |it| clean(&it.end.message)),
            &each(written, |it| (it.to == JobState::Held).then_some(tx.steady)),
            &each(written, |it| it.to.is_final().then_some(tx.moment.wall)),
            &each(written, |it| it.end.answer_unknown),
        ],
    )
    .await
}
