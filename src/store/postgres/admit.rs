//! Deliveries, their alerts and their jobs: a whole batch in a few statements, each delivery all or nothing.
//!
//! Two replicas may admit the same delivery or alert at the same moment. The unique guard decides: the second one waits
//! for the commit of the first, and then reads what it stored.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use super::alerts::{self, Item, Stored, store_alerts};
use super::batch::{Asked, Replay};
use super::codec::{clean, get, to_json};
use super::fault::Fault;
use super::flight::{Answers, Flight, Seat};
use super::people::array;
use super::tx::{Tx, query};
use super::{four_eyes, read};
use crate::audit::{Actor, AuditEvent};
use crate::domain::SourceName;
use crate::store::receipts::{self, receipt, status_again, status_of};
use crate::store::{Admission, Admitted, DeliveryStatus, QuarantineCap, Receipt, ReceiptStatus, StoreError};

/// A delivery, and in whose name it is stored.
pub(super) struct Admit {
    pub(super) admission: Admission,
    pub(super) actor: Actor,
    /// The actor asks for its jobs.
    pub(super) is_order: bool,
}

/// Whether a delivery is stored, and under which number.
enum Guard {
    Ours(i64),
    Known(i64),
    /// What held it was removed just now.
    Gone,
}

/// A delivery that is new, as far as there is room.
struct Fresh<'a> {
    place: usize,
    delivery: i64,
    admission: Cow<'a, Admission>,
    not_kept: Option<String>,
}

/// What is asked while the transaction opens.
pub(super) struct Look {
    ours: Seat,
    beside: Seat,
    /// `None` where something is to be kept in quarantine: whether there is room decides what is stored.
    alerts: Option<alerts::Look>,
}

/// Writes the guards, and looks for what is there already.
pub(super) async fn look(flight: &mut Flight<'_>, batch: &[Asked<Admit, Admitted>]) -> Result<Look, Fault> {
    let admissions = || batch.iter().map(|asked| &asked.what.admission);
    let (ours, beside) = (guard(flight, batch).await?, beside(flight, batch).await?);
    let is_plain = !admissions().any(Admission::is_kept);
    let alerts = if is_plain { Some(alerts::look(flight, admissions()).await?) } else { None };
    Ok(Look { ours, beside, alerts })
}

/// Stores deliveries, unless they were stored before.
pub(super) async fn admit(
    tx: &mut Tx<'_>,
    batch: &mut [Asked<Admit, Admitted>],
    (look, answers): (Look, &mut Answers),
    cap: QuarantineCap,
) -> Result<(), Fault> {
    let guards = guards(&answers.rows(look.ours), &answers.rows(look.beside), batch)?;
    let mut results: Vec<Option<Result<Admitted, StoreError>>> = batch.iter().map(|_| None).collect();
    let (fresh, refused) = within(tx, batch, &guards, cap).await?;
    let items: Vec<Item<'_>> = fresh
        .iter()
        .map(|fresh| Item { delivery: fresh.delivery, admission: fresh.admission.as_ref(), before: &[] })
        .collect();
    let seen = match look.alerts.filter(|_| !tx.has_widened) {
        Some(look) => look.seen(tx, answers, &alerts::jobs_of(&items)).await?,
        None => alerts::Plan::default(),
    };
    let (plan, stored) = alerts::decide(tx, seen, &items).await?;
    alerts::write(tx, &plan).await?;
    insert_deliveries(tx, &fresh, &stored).await?;
    tx.reserve(fresh.len()).await?;
    for (fresh, stored) in fresh.iter().zip(stored) {
        let (admission, not_kept) = (fresh.admission.as_ref(), &fresh.not_kept);
        let (status, reason) = standing(admission, not_kept.as_ref(), &stored);
        let (event, detail) = receipts::row(admission, (status, reason.as_deref()), &stored.alerts);
        let alert = stored.alerts.first().map(|alert| alert.id);
        tx.record(event, None, alert, &batch[fresh.place].what.actor, detail.to_string()).await?;
        let receipt = Receipt { not_kept: not_kept.clone(), ..receipt(admission, stored.alerts) };
        let asked = &batch[fresh.place].what;
        if asked.is_order {
            four_eyes::ordered(tx, &receipt, &asked.actor).await?;
        }
        results[fresh.place] = Some(Ok(Admitted::New(receipt)));
    }
    for (place, guard) in guards.iter().enumerate() {
        if results[place].is_some() {
            continue;
        }
        let admission = &batch[place].what.admission;
        results[place] = Some(match guard {
            Guard::Known(delivery) if !refused.contains(delivery) => {
                Ok(Admitted::Duplicate(known_receipt(tx, *delivery, admission).await?))
            }
            Guard::Ours(_) | Guard::Known(_) => Err(StoreError::QuarantineFull(admission.source.clone())),
            Guard::Gone => Err(StoreError::Unavailable("the delivery was just forgotten; send it again".to_owned())),
        });
    }
    drop(fresh);
    for (asked, result) in batch.iter_mut().zip(results) {
        asked.result = result;
    }
    Ok(())
}

/// In order of their keys, so that replicas do not wait in a circle.
async fn guard(flight: &mut Flight<'_>, batch: &[Asked<Admit, Admitted>]) -> Result<Seat, Fault> {
    let mut guards: Vec<(&[u8; 32], Option<i64>)> = batch
        .iter()
        .map(|asked| &asked.what.admission)
        .map(|admission| (&admission.guard, admission.guard_expires_at.map(|at| at.as_microsecond())))
        .collect();
    guards.sort_unstable();
    guards.dedup_by_key(|(key, _)| *key);
    let keys: Vec<&[u8]> = guards.iter().map(|(key, _)| &key[..]).collect();
    let expiries: Vec<Option<i64>> = guards.iter().map(|(_, expiry)| *expiry).collect();
    let sql = "INSERT INTO delivery_guards (key, delivery, expires_at)
         SELECT g.key, nextval('deliveries_seq'), g.expires_at FROM (SELECT unnest($1::bytea[]) AS key,
           unnest($2::bigint[]) AS expires_at) AS g
         ON CONFLICT (key) DO NOTHING RETURNING key, delivery";
    flight.ask(sql, &[&keys, &expiries]).await
}

/// Which were written, and which were there.
fn guards(ours: &[Row], beside: &[Row], batch: &[Asked<Admit, Admitted>]) -> Result<Vec<Guard>, Fault> {
    let by_key = |rows: &[Row]| {
        let read = |row: &Row| Ok((get(row, "key")?, get(row, "delivery")?));
        rows.iter().map(read).collect::<Result<HashMap<Vec<u8>, i64>, Fault>>()
    };
    let (ours, known) = (by_key(ours)?, by_key(beside)?);
    let mut taken = HashSet::new();
    let mut found = Vec::with_capacity(batch.len());
    for asked in batch {
        let admission = &asked.what.admission;
        let stored = known.get(&admission.guard[..]).copied();
        found.push(match ours.get(&admission.guard[..]) {
            Some(delivery) if taken.insert(*delivery) => {
                warn_of_other_bodies(admission, &known);
                Guard::Ours(*delivery)
            }
            Some(delivery) => Guard::Known(*delivery),
            None => stored.map_or(Guard::Gone, Guard::Known),
        });
    }
    Ok(found)
}

/// What is stored under these delivery ids, whatever the body.
async fn beside(flight: &mut Flight<'_>, batch: &[Asked<Admit, Admitted>]) -> Result<Seat, Fault> {
    let bound = |end: u8| -> Vec<Vec<u8>> {
        let keys = batch.iter().map(|asked| asked.what.admission.guard);
        keys.map(|key| [&key[..16], &[end; 16]].concat()).collect()
    };
    let sql = "SELECT g.key, g.delivery FROM (SELECT unnest($1::bytea[]) AS first, unnest($2::bytea[]) AS last) AS span
         JOIN delivery_guards g ON g.key BETWEEN span.first AND span.last";
    flight.ask(sql, &[&bound(0), &bound(0xff)]).await
}

fn warn_of_other_bodies(admission: &Admission, known: &HashMap<Vec<u8>, i64>) {
    if known.keys().any(|key| key[..16] == admission.guard[..16] && key[..] != admission.guard[..]) {
        tracing::warn!(source.name = %admission.source, "a known delivery id came with another body; taken as a new delivery");
    }
}

/// The new ones as far as there is room, and the numbers of those that are refused. A full quarantine refuses what
/// nothing follows from, and keeps no job from acting: then what would have been kept is left out, and told.
async fn within<'a>(
    tx: &Tx<'_>,
    batch: &'a [Asked<Admit, Admitted>],
    guards: &[Guard],
    cap: QuarantineCap,
) -> Result<(Vec<Fresh<'a>>, HashSet<i64>), Fault> {
    let (mut fresh, mut refused) = (Vec::with_capacity(batch.len()), HashSet::new());
    for (place, guard) in guards.iter().enumerate() {
        let Guard::Ours(delivery) = *guard else { continue };
        let admission = &batch[place].what.admission;
        let has_room = !admission.is_kept() || reserve_quarantine(tx, admission, cap).await?;
        if has_room {
            fresh.push(Fresh { place, delivery, admission: Cow::Borrowed(admission), not_kept: None });
        } else if admission.has_jobs() {
            let (rest, reason) = receipts::without_what_is_kept(admission);
            fresh.push(Fresh { place, delivery, admission: Cow::Owned(rest), not_kept: Some(reason) });
        } else {
            refused.insert(delivery);
            tx.execute("DELETE FROM delivery_guards WHERE key = $1", &[&&admission.guard[..]]).await?;
        }
    }
    Ok((fresh, refused))
}

fn standing(admission: &Admission, not_kept: Option<&String>, stored: &Stored) -> (DeliveryStatus, Option<String>) {
    (status_of(admission, &stored.alerts), not_kept.cloned().or_else(|| admission.reason()))
}

async fn insert_deliveries(tx: &Tx<'_>, fresh: &[Fresh<'_>], stored: &[Stored]) -> Result<(), Fault> {
    if fresh.is_empty() {
        return Ok(());
    }
    let both = || fresh.iter().zip(stored);
    let standings: Vec<_> =
        both().map(|(fresh, stored)| standing(&fresh.admission, fresh.not_kept.as_ref(), stored)).collect();
    let each = |column: fn(&Admission) -> Result<Option<String>, StoreError>| {
        fresh.iter().map(|fresh| column(&fresh.admission)).collect::<Result<Vec<_>, _>>()
    };
    let sql = "INSERT INTO deliveries (seq, source, delivery_id, received_at, status, reason, headers, body, elements, alerts)
         SELECT d.seq, d.source, d.delivery_id, d.received_at, d.status, d.reason, d.headers, d.body, d.elements,
           d.alerts::bigint[]
         FROM (SELECT unnest($1::bigint[]) AS seq, unnest($2::text[]) AS source, unnest($3::text[]) AS delivery_id,
           unnest($4::bigint[]) AS received_at, unnest($5::smallint[]) AS status, unnest($6::text[]) AS reason,
           unnest($7::text[]) AS headers, unnest($8::bytea[]) AS body, unnest($9::text[]) AS elements,
           unnest($10::text[]) AS alerts) AS d";
    tx.later(
        sql,
        &[
            &fresh.iter().map(|fresh| fresh.delivery).collect::<Vec<_>>(),
            &fresh.iter().map(|fresh| fresh.admission.source.as_str()).collect::<Vec<_>>(),
            &fresh.iter().map(|fresh| clean(&fresh.admission.delivery_id)).collect::<Vec<_>>(),
            &fresh.iter().map(|fresh| fresh.admission.received_at.as_microsecond()).collect::<Vec<_>>(),
            &standings.iter().map(|(status, _)| *status as i16).collect::<Vec<_>>(),
            &standings.iter().map(|(_, reason)| reason.as_deref().map(clean)).collect::<Vec<_>>(),
            &each(|admission| to_json(&admission.headers).map(Some))?,
            &fresh.iter().map(|fresh| &fresh.admission.body[..]).collect::<Vec<_>>(),
            &each(receipts::elements)?,
            &stored.iter().map(|stored| array(stored.rows.iter().copied())).collect::<Vec<_>>(),
        ],
    )
    .await
}

/// Stores what a kept delivery says now.
pub(super) async fn replay(tx: &mut Tx<'_>, replay: &Replay, cap: QuarantineCap) -> Result<Receipt, Fault> {
    let Replay { delivery, admission, actor } = replay;
    let sql = "SELECT status, alerts FROM deliveries WHERE seq = $1 FOR UPDATE";
    let row = tx.one(sql, &[delivery]).await?.ok_or(StoreError::NotFound("delivery"))?;
    let before = i64::from(get::<i16>(&row, "status")?);
    let known: Vec<i64> = get(&row, "alerts")?;
    let was_kept = before == DeliveryStatus::Quarantined as i64;
    if !was_kept && admission.is_kept() && !reserve_quarantine(tx, admission, cap).await? {
        return Err(StoreError::QuarantineFull(admission.source.clone()).into());
    }
    if was_kept && !admission.is_kept() {
        release_quarantine(tx, &admission.source, admission.body.len()).await?;
    }
    let stored = store_alerts(tx, &[Item { delivery: *delivery, admission, before: &known }]).await?;
    let Stored { mut rows, alerts } = stored.into_iter().next().unwrap_or_default();
    // What it once said stays its own, or it would outlive it.
    rows.extend(known);
    rows.sort_unstable();
    rows.dedup();
    for alert in &alerts {
        // Which rules made no job is told as it is now.
        tx.execute("UPDATE alerts SET skipped = $2 WHERE id = $1", &[&alert.id.0, &to_json(&alert.skipped)?]).await?;
    }
    let (status, reason) = (status_again(before, admission, &alerts), admission.reason());
    let sql = "UPDATE deliveries SET status = $2, reason = $3, elements = $4, alerts = $5 WHERE seq = $1";
    let told = reason.as_deref().map(clean);
    tx.execute(sql, &[delivery, &(status as i16), &told, &receipts::elements(admission)?, &rows]).await?;
    let detail = serde_json::json!({"delivery": delivery}).to_string();
    tx.record(AuditEvent::Replayed, None, None, actor, detail).await?;
    let (event, detail) = receipts::row(admission, (status, reason.as_deref()), &alerts);
    tx.record(event, None, alerts.first().map(|alert| alert.id), actor, detail.to_string()).await?;
    Ok(receipt(admission, alerts))
}

/// `false`, and nothing is written, where it is full.
async fn reserve_quarantine(tx: &Tx<'_>, admission: &Admission, cap: QuarantineCap) -> Result<bool, Fault> {
    let [size, entries, bytes] =
        [admission.body.len() as u64, cap.entries, cap.bytes].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let sql = "INSERT INTO quarantine_sizes AS kept (source, entries, bytes) SELECT $1::text, 1, $2::bigint WHERE 1 <= $3::bigint AND $2 <= $4::bigint
         ON CONFLICT (source) DO UPDATE SET entries = kept.entries + 1, bytes = kept.bytes + $2
         WHERE kept.entries < $3 AND kept.bytes + $2 <= $4";
    Ok(tx.execute(sql, &[&admission.source.as_str(), &size, &entries, &bytes]).await? == 1)
}

pub(super) async fn release_quarantine(tx: &Tx<'_>, source: &SourceName, size: usize) -> Result<(), Fault> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let sql = "UPDATE quarantine_sizes SET entries = entries - 1, bytes = bytes - $2 WHERE source = $1";
    tx.execute(sql, &[&source.as_str(), &size]).await?;
    Ok(())
}

/// What a delivery became, for whoever sends it again.
async fn known_receipt(tx: &Tx<'_>, delivery: i64, admission: &Admission) -> Result<Receipt, Fault> {
    let db = tx.reader().await?;
    let found = query(db, "SELECT alerts, elements FROM deliveries WHERE seq = $1", &[&delivery]).await?;
    let (rows, quarantined) = match found.first() {
        Some(row) => (get::<Vec<i64>>(row, "alerts")?, read::elements(row)?),
        None => Default::default(),
    };
    let mut alerts = Vec::new();
    for row in rows {
        alerts.extend(read::alert_receipt(db, row).await?);
    }
    let delivery_id = admission.delivery_id.clone();
    Ok(Receipt { status: ReceiptStatus::Duplicate, delivery_id, alerts, quarantined, not_kept: None })
}
