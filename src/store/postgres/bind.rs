//! The moment before a call: one is in flight for each account, no two do the same for one alert, and every budget has
//! room. Also across replicas: the account is locked by its name until the commit, and so are its open jobs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use super::batch::Asked;
use super::budget::{self, Room};
use super::codec::{clean, fence, get, job_id, json, micros, state, to_json, word};
use super::crowd;
use super::fault::Fault;
use super::flight::{Answers, Flight, Seat};
use super::people;
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::domain::{Account, Claim, HoldReason, JobId, JobState, Proof, ProviderName, RevokeRequest, Traces};
use crate::store::counting::{Count, Keyed, Place};
use crate::store::merging::{BUSY_RETRY, covers};
use crate::store::{Bound, StoreError};

/// A job as far as merging looks at it.
struct Candidate {
    row: i64,
    id: JobId,
    state: JobState,
    request: RevokeRequest,
    call_open: bool,
}

struct Ours {
    id: JobId,
    provider: ProviderName,
    request: RevokeRequest,
    dry_run: bool,
    insisted: bool,
}

/// A call that is about to be made.
pub(super) struct Intent {
    pub(super) row: i64,
    fence: i32,
    pub(super) account: String,
    /// What the account is locked by.
    pub(super) lock: i64,
    proof: Option<String>,
    /// `None`: no budget counts it.
    count: Option<Count>,
    /// The budgets have counted it with the account that it has.
    counted: bool,
}

impl Intent {
    pub(super) fn new(
        claim: &Claim,
        account: &Account,
        proof: Option<&Proof>,
        budgets: Arc<Keyed>,
    ) -> Result<Self, StoreError> {
        let id = clean(&account.id).into_owned();
        let (row, fence, lock) = (claim.row, fence(claim.attempt), lock(&claim.provider, &id));
        let (proof, count) = (proof.map(to_json).transpose()?, Count::new(claim, account, budgets));
        Ok(Self { row, fence, lock, account: id, proof, count, counted: claim.counted })
    }

    /// Whether the budgets have to count it, as far as is known before its account is compared.
    pub(super) fn is_uncounted(&self) -> bool {
        self.uncounted(self.counted).is_some()
    }

    /// Whether the budgets may have to count it, be it that its account turns out to be another one.
    pub(super) fn may_count(&self) -> bool {
        self.count.is_some()
    }

    /// The budgets, if they have not counted it yet.
    fn uncounted(&self, counted: bool) -> Option<&Count> {
        self.count.as_ref().filter(|_| !counted)
    }
}

/// Two accounts with the same digest would merely wait for each other's commit.
fn lock(provider: &ProviderName, account: &str) -> i64 {
    let digest = Sha256::new().chain_update(provider.as_str()).chain_update([0]).chain_update(account).finalize();
    let mut key = [0; 8];
    key.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(key)
}

/// What is asked while the transaction opens: the accounts and the budgets are locked by then.
pub(super) struct Look {
    alone: Seat,
    crowd: Option<crowd::Look>,
}

pub(super) async fn look(flight: &mut Flight<'_>, batch: &[Asked<Intent, Bound>]) -> Result<Look, Fault> {
    let uncounted: Vec<&Count> = batch.iter().filter_map(|asked| asked.what.uncounted(asked.what.counted)).collect();
    let crowd = if uncounted.is_empty() { None } else { Some(crowd::look(flight, &uncounted).await?) };
    Ok(Look { alone: alone(flight, batch).await?, crowd })
}

/// Records accounts just before the calls, unless another job does the same for them. `touched`: accounts that an end of
/// an attempt in this transaction was about.
pub(super) async fn bind(
    tx: &mut Tx<'_>,
    batch: &mut [Asked<Intent, Bound>],
    (look, answers): (&Look, &mut Answers),
    touched: &HashSet<&str>,
) -> Result<(), Fault> {
    let crowd = look.crowd.as_ref().map(|look| look.seen(answers));
    // Mostly this is all there is to it: nobody else acts on the account, and the job has meant no other before.
    let alone = without_shared(&answers.rows(look.alone), batch, touched)?;
    let plain = batch.iter().map(|asked| &asked.what).filter(|it| alone.contains(&it.row) && is_open(tx, it));
    let (uncounted, counted): (Vec<&Intent>, Vec<&Intent>) = plain.partition(|intent| intent.is_uncounted());
    let mut opened: HashSet<i64> = counted.iter().map(|intent| intent.row).collect();
    write_calls(tx, &counted, false).await?;
    if let Some(crowd) = crowd {
        opened.extend(open_uncounted(tx, &uncounted, &crowd).await?);
    }
    for asked in batch {
        let intent = &asked.what;
        if opened.contains(&intent.row) {
            asked.result = Some(Ok(Bound::Proceed));
        } else if alone.contains(&intent.row) && intent.is_uncounted() {
            let result = bind_counted(tx, intent).await;
            asked.keep(result)?;
        } else {
            let result = bind_beside_others(tx, intent).await;
            asked.keep(result)?;
        }
    }
    Ok(())
}

/// Its row is locked: whether the lease still runs, and whether it was bound to nobody else before.
fn is_open(tx: &Tx<'_>, intent: &Intent) -> bool {
    tx.locked.get(&intent.row).is_some_and(|job| {
        job.attempts == intent.fence
            && job.state == JobState::Leased as i16
            && job.wake_at.is_some_and(|until| until > tx.steady)
            && job.account.as_ref().is_none_or(|account| *account == intent.account)
    })
}

/// Those for whom there is room, as far as that is plain; their people are counted.
async fn open_uncounted(tx: &mut Tx<'_>, intents: &[&Intent], seen: &crowd::Seen) -> Result<HashSet<i64>, Fault> {
    let counts: HashMap<i64, &Count> =
        intents.iter().filter_map(|intent| Some((intent.row, intent.count.as_ref()?))).collect();
    let callers: Vec<crowd::Caller<'_>> =
        intents.iter().filter_map(|intent| Some((intent.row, *counts.get(&intent.row)?))).collect();
    let places = crowd::seek(tx, &callers, seen).await?;
    let placed: Vec<&Intent> = intents.iter().copied().filter(|intent| places.contains_key(&intent.row)).collect();
    let opened = placed.iter().map(|intent| intent.row).collect();
    write_calls(tx, &placed, true).await?;
    let taken = places.into_iter().filter_map(|(row, place)| Some((place, *counts.get(&row)?)));
    people::take(tx, taken.collect()).await?;
    Ok(opened)
}

/// Nobody else acts on the account, and the budgets are to count it.
async fn bind_counted(tx: &mut Tx<'_>, intent: &Intent) -> Result<Bound, Fault> {
    let place = match seek_room(tx, intent, intent.counted).await? {
        Ok(place) => place,
        Err(words) => return hold(tx, intent, &words).await,
    };
    if call(tx, intent, place).await? { Ok(Bound::Proceed) } else { bind_beside_others(tx, intent).await }
}

/// A place in every budget that counts the job, or why there is none. `Ok(None)`: it needs none.
async fn seek_room(tx: &mut Tx<'_>, intent: &Intent, counted: bool) -> Result<Result<Option<Place>, String>, Fault> {
    let Some(count) = intent.uncounted(counted) else { return Ok(Ok(None)) };
    match budget::seek(tx, intent.row, count).await? {
        Room::Free(place) => Ok(Ok(Some(place))),
        Room::Full(words) => Ok(Err(words)),
    }
}

/// The call may be made, and its person is counted with it.
async fn call(tx: &mut Tx<'_>, intent: &Intent, place: Option<Place>) -> Result<bool, Fault> {
    let opened = open_call(tx, intent, place.is_some()).await?;
    if let (Some(place), Some(count)) = (place.filter(|_| opened), &intent.count) {
        people::take(tx, vec![(place, count)]).await?;
    }
    Ok(opened)
}

/// Waits for a person, and not for time to pass.
async fn hold(tx: &mut Tx<'_>, intent: &Intent, words: &str) -> Result<Bound, Fault> {
    let ours = ours(tx, intent).await?;
    rebind(tx, intent.row, Some(&intent.account)).await?;
    let reason = HoldReason::Budget;
    let sql =
        "UPDATE jobs SET state = 3, lane = severity, wake_at = NULL, account_id = $2, hold_reason = $3, note = $4,
         held_since = $5 WHERE seq = $1";
    tx.execute(sql, &[&intent.row, &intent.account, &reason.as_str(), &clean(words), &tx.steady]).await?;
    tx.count(&ours.provider, Some(JobState::Leased), Some(JobState::Held));
    let detail = json!({"hold_reason": reason, "account_id": intent.account, "reason": words}).to_string();
    tx.record(AuditEvent::Held, Some(ours.id), None, &Actor::system(), detail).await?;
    Ok(Bound::Held(words.to_owned()))
}

/// The jobs whose account no other job has.
async fn alone(flight: &mut Flight<'_>, batch: &[Asked<Intent, Bound>]) -> Result<Seat, Fault> {
    let rows: Vec<i64> = batch.iter().map(|asked| asked.what.row).collect();
    let accounts: Vec<&str> = batch.iter().map(|asked| asked.what.account.as_str()).collect();
    let sql = "SELECT b.seq FROM (SELECT unnest($1::bigint[]) AS seq, unnest($2::text[]) AS account) AS b
         WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.account_id = b.account AND jobs.seq <> b.seq)";
    flight.ask(sql, &[&rows, &accounts]).await
}

/// Without those whose account another one in this transaction is about.
fn without_shared(
    alone: &[Row],
    batch: &[Asked<Intent, Bound>],
    touched: &HashSet<&str>,
) -> Result<HashSet<i64>, Fault> {
    let mut alone = alone.iter().map(|row| get(row, "seq")).collect::<Result<HashSet<i64>, _>>()?;
    let mut named: HashMap<&str, usize> = HashMap::new();
    batch.iter().for_each(|asked| *named.entry(asked.what.account.as_str()).or_default() += 1);
    for Asked { what, .. } in batch {
        if named.get(what.account.as_str()) != Some(&1) || touched.contains(what.account.as_str()) {
            alone.remove(&what.row);
        }
    }
    Ok(alone)
}

/// Whoever was found has not been missing twice in a row. The time is compared so that no index serves it: by it alone
/// everything that waits would be found.
const CALLS: &str = "UPDATE jobs SET account_id = b.account, repeated = jobs.repeated + (jobs.call_open > 0)::integer,
     call_open = b.fence, counted = jobs.counted OR $6, proof = coalesce(b.proof, jobs.proof),
     absence = CASE jobs.absence WHEN 'account' THEN NULL ELSE jobs.absence END
     FROM (SELECT unnest($1::bigint[]) AS seq, unnest($2::integer[]) AS fence, unnest($3::text[]) AS account,
       unnest($4::text[]) AS proof) AS b
     WHERE jobs.seq = b.seq AND jobs.attempts = b.fence AND jobs.state = 1 AND coalesce(jobs.wake_at, 0) > $5
     AND coalesce(jobs.account_id, b.account) = b.account";

/// Those whose lease is over, or that were bound to another account, are left out. `counts`: the budgets count them now.
async fn write_calls(tx: &Tx<'_>, intents: &[&Intent], counts: bool) -> Result<(), Fault> {
    if intents.is_empty() {
        return Ok(());
    }
    let rows: Vec<i64> = intents.iter().map(|intent| intent.row).collect();
    let fences: Vec<i32> = intents.iter().map(|intent| intent.fence).collect();
    let accounts: Vec<&str> = intents.iter().map(|intent| intent.account.as_str()).collect();
    let proofs: Vec<Option<&str>> = intents.iter().map(|intent| intent.proof.as_deref()).collect();
    tx.later(CALLS, &[&rows, &fences, &accounts, &proofs, &tx.steady, &counts]).await
}

/// Whether it was not left out.
async fn open_call(tx: &Tx<'_>, intent: &Intent, counts: bool) -> Result<bool, Fault> {
    let (row, fence) = (vec![intent.row], vec![intent.fence]);
    let (account, proof) = (vec![intent.account.as_str()], vec![intent.proof.as_deref()]);
    Ok(tx.execute(CALLS, &[&row, &fence, &account, &proof, &tx.steady, &counts]).await? == 1)
}

async fn bind_beside_others(tx: &mut Tx<'_>, intent: &Intent) -> Result<Bound, Fault> {
    let ours = ours(tx, intent).await?;
    if !ours.insisted {
        let done = done_for_our_alerts(tx, intent, &ours).await?;
        if let Some(other) = done.iter().find(|other| covers(&other.request, &ours.request)) {
            return merge(tx, intent, &ours, other).await;
        }
    }
    for other in open_for(tx, intent, &ours).await? {
        if other.state == JobState::Queued {
            widen(tx, intent.row, &ours, &other).await?;
            return merge(tx, intent, &ours, &other).await;
        }
        let same_alert = !ours.insisted && shares_alert(tx, intent.row, other.row).await?;
        if same_alert && covers(&other.request, &ours.request) {
            return merge(tx, intent, &ours, &other).await;
        }
        if other.state == JobState::Leased && other.call_open {
            return postpone(tx, intent.row, &ours).await;
        }
    }
    let is_another = rebind(tx, intent.row, Some(&intent.account)).await?;
    let place = match seek_room(tx, intent, intent.counted && !is_another).await? {
        Ok(place) => place,
        Err(words) => return hold(tx, intent, &words).await,
    };
    // It may have meant another account until now.
    tx.execute("UPDATE jobs SET account_id = NULL WHERE seq = $1", &[&intent.row]).await?;
    // Its row is locked and was ours a moment ago.
    if call(tx, intent, place).await? { Ok(Bound::Proceed) } else { Err(StoreError::LeaseLost.into()) }
}

/// A lease that is over may be another's at any moment: no call is begun under it.
async fn ours(tx: &Tx<'_>, intent: &Intent) -> Result<Ours, Fault> {
    let sql = "SELECT id, provider, request, dry_run, insisted FROM jobs
         WHERE seq = $1 AND attempts = $2 AND state = 1 AND wake_at > $3";
    let row = tx.one(sql, &[&intent.row, &intent.fence, &tx.steady]).await?.ok_or(StoreError::LeaseLost)?;
    Ok(Ours {
        id: job_id(&row, "id")?,
        provider: word(&row, "provider")?,
        request: json(&row, "request")?,
        dry_run: get(&row, "dry_run")?,
        insisted: get(&row, "insisted")?,
    })
}

/// Jobs that ended well for this account and one of our alerts. One that sent nothing, or found nobody, ended nothing.
async fn done_for_our_alerts(tx: &Tx<'_>, intent: &Intent, ours: &Ours) -> Result<Vec<Candidate>, Fault> {
    let sql = "SELECT seq, id, state, request, call_open > 0 AS call_open FROM jobs WHERE account_id = $1 AND state = 4
         AND provider = $2 AND dry_run = $3 AND seq <> $4 AND outcome NOT IN ('dry_run', 'unknown_account')
         AND EXISTS (SELECT 1 FROM alert_jobs a JOIN alert_jobs b ON a.alert = b.alert
                     WHERE a.job = $4 AND b.job = jobs.seq)
         ORDER BY seq DESC FOR UPDATE OF jobs";
    candidates(tx, sql, intent, ours).await
}

/// Jobs for this account that are still to end. Their rows are locked already.
async fn open_for(tx: &Tx<'_>, intent: &Intent, ours: &Ours) -> Result<Vec<Candidate>, Fault> {
    let sql = "SELECT seq, id, state, request, call_open > 0 AS call_open FROM jobs WHERE account_id = $1
         AND state IN (0, 1, 2, 3) AND provider = $2 AND dry_run = $3 AND seq <> $4 ORDER BY seq DESC FOR UPDATE";
    candidates(tx, sql, intent, ours).await
}

async fn candidates(tx: &Tx<'_>, sql: &str, intent: &Intent, ours: &Ours) -> Result<Vec<Candidate>, Fault> {
    let read = |row: &Row| {
        Ok(Candidate {
            row: get(row, "seq")?,
            id: job_id(row, "id")?,
            state: state(row, "state")?,
            request: json(row, "request")?,
            call_open: get(row, "call_open")?,
        })
    };
    let rows = tx.query(sql, &[&intent.account, &ours.provider.as_str(), &ours.dry_run, &intent.row]).await?;
    rows.iter().map(read).collect()
}

async fn shares_alert(tx: &Tx<'_>, one: i64, other: i64) -> Result<bool, Fault> {
    let sql =
        "SELECT 1 FROM alert_jobs a JOIN alert_jobs b ON a.alert = b.alert WHERE a.job = $1 AND b.job = $2 LIMIT 1";
    Ok(tx.one(sql, &[&one, &other]).await?.is_some())
}

/// The other one is still to make its call: it takes over our alerts and does what both ask, now, with the looks and
/// the time that the younger of the two has left. Sessions that began since an earlier call of its are to end as well.
async fn widen(tx: &mut Tx<'_>, row: i64, ours: &Ours, other: &Candidate) -> Result<(), Fault> {
    let request = other.request.clone().union(ours.request.clone());
    let traces = traces_of_both(tx, other.row, row).await?;
    let sql = "UPDATE jobs SET request = $2, wake_at = least(jobs.wake_at, $3), severity = greatest(jobs.severity, o.severity),
         lane = greatest(jobs.severity, o.severity), proof = NULL, absence = NULL,
         created_at = greatest(jobs.created_at, o.created_at),
         held_total = CASE WHEN o.created_at > jobs.created_at THEN o.held_total ELSE jobs.held_total END,
         insisted = jobs.insisted OR o.insisted, traces = $5 FROM jobs AS o WHERE o.seq = $4 AND jobs.seq = $1";
    tx.execute(sql, &[&other.row, &to_json(&request)?, &tx.steady, &row, &traces]).await?;
    tx.has_widened = true;
    let detail = json!({"job": ours.id}).to_string();
    tx.record(AuditEvent::Absorbed, Some(other.id), None, &Actor::system(), detail).await
}

/// The traces of one job, and then those of another.
async fn traces_of_both(tx: &Tx<'_>, one: i64, other: i64) -> Result<Option<String>, Fault> {
    let mut both = Traces::default();
    for job in [one, other] {
        let found = tx.one("SELECT traces FROM jobs WHERE seq = $1", &[&job]).await?;
        let text = found.as_ref().map(|row| get::<Option<&str>>(row, "traces")).transpose()?.flatten();
        both.extend(&Traces::from_text(text));
    }
    Ok(both.to_text())
}

async fn merge(tx: &mut Tx<'_>, intent: &Intent, ours: &Ours, other: &Candidate) -> Result<Bound, Fault> {
    if other.state == JobState::Queued {
        let sql = "UPDATE alert_jobs SET job = $2 WHERE job = $1";
        tx.execute(sql, &[&intent.row, &other.row]).await?;
    }
    let sql = "UPDATE jobs SET state = 6, wake_at = NULL, account_id = $2, merged_into = $3, finished_at = $4,
         note = 'another job does this for the same account' WHERE seq = $1";
    tx.execute(sql, &[&intent.row, &intent.account, &other.id.0, &tx.moment.wall]).await?;
    tx.count(&ours.provider, Some(JobState::Leased), Some(JobState::Cancelled));
    let detail = json!({"merged_into": other.id, "account_id": intent.account}).to_string();
    tx.record(AuditEvent::Cancelled, Some(ours.id), None, &Actor::system(), detail).await?;
    tx.wake();
    Ok(Bound::Merged(other.id))
}

/// Comes before every change of a job's account. Where it was to act on an account for others as well, and now it means
/// somebody else or nobody, those others act for themselves, and the budgets have counted another one. Whether that is so.
pub(super) async fn rebind(tx: &mut Tx<'_>, row: i64, account: Option<&str>) -> Result<bool, Fault> {
    let Some(found) = tx.one("SELECT id, account_id FROM jobs WHERE seq = $1", &[&row]).await? else {
        return Ok(false);
    };
    let Some(before) = get::<Option<String>>(&found, "account_id")? else { return Ok(false) };
    if Some(before.as_str()) == account.map(clean).as_deref() {
        return Ok(false);
    }
    tx.execute("UPDATE jobs SET counted = false WHERE seq = $1", &[&row]).await?;
    revive_merged(tx, row, job_id(&found, "id")?, &before).await?;
    Ok(true)
}

async fn revive_merged(tx: &mut Tx<'_>, row: i64, into: JobId, account: &str) -> Result<(), Fault> {
    let sql = "UPDATE jobs SET state = 0, wake_at = $3, created_at = $3, held_total = 0, absence = NULL, proof = NULL,
         proving = false, lane = severity, merged_into = NULL, finished_at = NULL, note = NULL
         WHERE account_id = $1 AND state = 6 AND merged_into = $2 RETURNING seq, id, provider";
    for revived in tx.query(sql, &[&account, &into.0, &tx.steady]).await? {
        let other: i64 = get(&revived, "seq")?;
        // Its alert is its own again, unless both came of one.
        let sql = "UPDATE alert_jobs SET job = $2
             WHERE job = $1 AND alert = (SELECT a.seq FROM alerts a JOIN jobs j ON j.alert_id = a.id WHERE j.seq = $2)
             AND alert <> (SELECT a.seq FROM alerts a JOIN jobs j ON j.alert_id = a.id WHERE j.seq = $1)";
        tx.execute(sql, &[&row, &other]).await?;
        tx.count(&word(&revived, "provider")?, Some(JobState::Cancelled), Some(JobState::Queued));
        let detail = r#"{"reason":"the job it was merged into is about another account"}"#.to_owned();
        tx.record(AuditEvent::Requeued, Some(job_id(&revived, "id")?), None, &Actor::system(), detail).await?;
        tx.wake();
    }
    Ok(())
}

async fn postpone(tx: &mut Tx<'_>, row: i64, ours: &Ours) -> Result<Bound, Fault> {
    let sql = "UPDATE jobs SET state = 0, lane = severity, wake_at = $2 WHERE seq = $1";
    tx.execute(sql, &[&row, &tx.steady.saturating_add(micros(BUSY_RETRY))]).await?;
    tx.count(&ours.provider, Some(JobState::Leased), Some(JobState::Queued));
    let detail = r#"{"reason":"account busy"}"#.to_owned();
    tx.record(AuditEvent::Released, Some(ours.id), None, &Actor::system(), detail).await?;
    Ok(Bound::Busy)
}
