//! A delivery, its alerts and their jobs, all or nothing.

use std::borrow::Cow;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::codec::{alert_guard, json, to_json};
use super::job::{StoredAlert, store_job};
use super::tx::Tx;
use crate::audit::{Actor, AuditEvent};
use crate::store::receipts::{self, elements, receipt, status_of};
use crate::store::{
    Admission, Admitted, AlertReceipt, DeliveryStatus, PlannedAlert, QuarantineCap, Receipt, ReceiptStatus, StoreError,
};

/// Stores a delivery, unless it was stored before.
pub(super) fn admit(
    tx: &mut Tx<'_>,
    admission: &Admission,
    actor: &Actor,
    cap: QuarantineCap,
) -> Result<Admitted, StoreError> {
    if let Some(delivery) = known_delivery(tx, admission)? {
        return Ok(Admitted::Duplicate(known_receipt(tx, delivery, admission)?));
    }
    let (admission, not_kept) = &within(tx, admission, cap)?;
    let delivery = next_delivery(tx)?;
    let (rows, alerts) = store_alerts(tx, delivery, admission, &[])?;
    let status = status_of(admission, &alerts);
    let reason = not_kept.clone().or_else(|| admission.reason());
    insert_delivery(tx, delivery, admission, (status, reason.as_deref()), &rows)?;
    tx.sql("INSERT INTO delivery_guards (key, delivery, expires_at) VALUES (?1, ?2, ?3)")?.execute(params![
        admission.guard,
        delivery,
        admission.guard_expires_at.map(|at| at.as_microsecond())
    ])?;
    record(tx, admission, (status, reason.as_deref()), &alerts, actor)?;
    Ok(Admitted::New(Receipt { not_kept: not_kept.clone(), ..receipt(admission, alerts) }))
}

/// The admission as far as there is room. A full quarantine refuses what nothing follows from, and keeps no job from
/// acting: then what would have been kept is left out, and told.
fn within<'a>(
    tx: &Tx<'_>,
    admission: &'a Admission,
    cap: QuarantineCap,
) -> Result<(Cow<'a, Admission>, Option<String>), StoreError> {
    let reserved = if admission.is_kept() { reserve_quarantine(tx, admission, cap) } else { Ok(()) };
    match reserved {
        Err(StoreError::QuarantineFull(_)) if admission.has_jobs() => {
            let (rest, reason) = receipts::without_what_is_kept(admission);
            Ok((Cow::Owned(rest), Some(reason)))
        }
        reserved => reserved.map(|()| (Cow::Borrowed(admission), None)),
    }
}

/// Stores what a kept delivery says now.
pub(super) fn replay(
    tx: &mut Tx<'_>,
    delivery: i64,
    admission: &Admission,
    actor: &Actor,
    cap: QuarantineCap,
) -> Result<Receipt, StoreError> {
    let (before, known): (i64, Vec<i64>) = tx
        .sql("SELECT status, alerts FROM deliveries WHERE seq = ?1")?
        .query_row([delivery], |row| Ok((row.get("status")?, json(row, "alerts")?)))
        .optional()?
        .ok_or(StoreError::NotFound("delivery"))?;
    let was_kept = before == DeliveryStatus::Quarantined as i64;
    match (was_kept, admission.is_kept()) {
        (true, false) => release_quarantine(tx, admission)?,
        (false, true) => reserve_quarantine(tx, admission, cap)?,
        (true, true) | (false, false) => {}
    }
    let (mut rows, alerts) = store_alerts(tx, delivery, admission, &known)?;
    // What it once said stays its own, or it would outlive it.
    rows.extend(known);
    rows.sort_unstable();
    rows.dedup();
    refresh_skipped(tx, &alerts)?;
    let status = receipts::status_again(before, admission, &alerts);
    tx.sql("UPDATE deliveries SET status = ?2, reason = ?3, elements = ?4, alerts = ?5 WHERE seq = ?1")?
        .execute(params![delivery, status as i64, admission.reason(), elements(admission)?, to_json(&rows)?])?;
    tx.record(AuditEvent::Replayed, None, None, actor, &json!({"delivery": delivery}).to_string())?;
    record(tx, admission, (status, admission.reason().as_deref()), &alerts, actor)?;
    Ok(receipt(admission, alerts))
}

/// Which rules made no job is told as it is now.
fn refresh_skipped(tx: &Tx<'_>, alerts: &[AlertReceipt]) -> Result<(), StoreError> {
    for alert in alerts {
        tx.sql("UPDATE alerts SET skipped = ?2 WHERE id = ?1")?
            .execute(params![alert.id.0.into_bytes(), to_json(&alert.skipped)?])?;
    }
    Ok(())
}

/// The delivery with this guard, if there was one. One seek finds it, and other bodies under the same id.
fn known_delivery(tx: &Tx<'_>, admission: &Admission) -> Result<Option<i64>, StoreError> {
    let mut last = admission.guard;
    last[16..].fill(0xff);
    let mut first = admission.guard;
    first[16..].fill(0);
    let mut statement = tx.sql("SELECT key, delivery FROM delivery_guards WHERE key BETWEEN ?1 AND ?2")?;
    let mut rows = statement.query(params![first, last])?;
    let mut other_body = false;
    while let Some(row) = rows.next()? {
        if row.get_ref(0)?.as_blob().is_ok_and(|key| key == admission.guard) {
            return Ok(Some(row.get(1)?));
        }
        other_body = true;
    }
    if other_body {
        tracing::warn!(source.name = %admission.source, "a known delivery id came with another body; taken as a new delivery");
    }
    Ok(None)
}

/// Whether there is a delivery with this guard.
pub(super) fn is_known(connection: &Connection, guard: [u8; 32]) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM delivery_guards WHERE key = ?1")?;
    Ok(statement.exists([guard])?)
}

/// Rows are numbered by us, so that alerts can name their delivery before it is written.
fn next_delivery(tx: &Tx<'_>) -> Result<i64, StoreError> {
    let sql = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'), 0) + 1";
    Ok(tx.sql(sql)?.query_row([], |row| row.get(0))?)
}

fn insert_delivery(
    tx: &Tx<'_>,
    seq: i64,
    admission: &Admission,
    (status, reason): (DeliveryStatus, Option<&str>),
    alerts: &[i64],
) -> Result<(), StoreError> {
    tx.sql(
        "INSERT INTO deliveries (seq, source, delivery_id, received_at, status, reason, headers, body, alerts, elements)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        seq,
        admission.source.as_str(),
        admission.delivery_id,
        admission.received_at.as_microsecond(),
        status as i64,
        reason,
        to_json(&admission.headers)?,
        body(&admission.body),
        to_json(&alerts)?,
        elements(admission)?,
    ])?;
    Ok(())
}

fn body(bytes: &Bytes) -> &[u8] {
    bytes
}

/// Writes nothing where it is full.
fn reserve_quarantine(tx: &Tx<'_>, admission: &Admission, cap: QuarantineCap) -> Result<(), StoreError> {
    let reserved = tx
        .sql(
            "INSERT INTO quarantine_sizes (source, entries, bytes) SELECT ?1, 1, ?2 WHERE 1 <= ?3 AND ?2 <= ?4
             ON CONFLICT DO UPDATE SET entries = entries + 1, bytes = bytes + ?2
             WHERE entries < ?3 AND bytes + ?2 <= ?4",
        )?
        .execute(params![admission.source.as_str(), admission.body.len() as u64, cap.entries, cap.bytes])?;
    if reserved == 0 { Err(StoreError::QuarantineFull(admission.source.clone())) } else { Ok(()) }
}

fn release_quarantine(tx: &Tx<'_>, admission: &Admission) -> Result<(), StoreError> {
    tx.sql("UPDATE quarantine_sizes SET entries = entries - 1, bytes = bytes - ?2 WHERE source = ?1")?
        .execute(params![admission.source.as_str(), admission.body.len() as u64])?;
    Ok(())
}

/// `known`: the alerts that the delivery was before, if it is replayed.
fn store_alerts(
    tx: &mut Tx<'_>,
    delivery: i64,
    admission: &Admission,
    known: &[i64],
) -> Result<(Vec<i64>, Vec<AlertReceipt>), StoreError> {
    let mut rows = Vec::with_capacity(admission.alerts.len());
    let mut receipts = Vec::with_capacity(admission.alerts.len());
    for planned in &admission.alerts {
        let mut alert = find_or_insert_alert(tx, delivery, admission, planned)?;
        let mut jobs = Vec::with_capacity(planned.jobs.len());
        for job in &planned.jobs {
            jobs.extend(store_job(tx, alert, known, admission, planned, job)?);
            alert.is_new = false;
        }
        rows.push(alert.row);
        receipts.push(AlertReceipt {
            id: alert.id,
            external_id: planned.external_id.clone(),
            jobs,
            skipped: planned.skipped.clone(),
        });
    }
    Ok((rows, receipts))
}

fn find_or_insert_alert(
    tx: &Tx<'_>,
    delivery: i64,
    admission: &Admission,
    alert: &PlannedAlert,
) -> Result<StoredAlert, StoreError> {
    let guard = alert_guard(&admission.issuer, &alert.external_id);
    let known = tx
        .sql("SELECT seq, id FROM alerts WHERE guard = ?1")?
        .query_row([guard], |row| {
            Ok(StoredAlert { row: row.get(0)?, id: super::codec::alert_id(row, "id")?, is_new: false })
        })
        .optional()?;
    if let Some(known) = known {
        if !alert.jobs.is_empty() {
            // What made the first job is where the alert came from; a delivery that made none goes earlier.
            tx.sql(
                "UPDATE alerts SET delivery = ?2 WHERE seq = ?1
                 AND NOT EXISTS (SELECT 1 FROM alert_jobs WHERE alert = ?1)",
            )?
            .execute(params![known.row, delivery])?;
        }
        return Ok(known);
    }
    let row = tx
        .sql(
            "INSERT INTO alerts (id, guard, issuer, source, external_id, kind, severity, occurred_at, received_at,
             reason, delivery, skipped) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .insert(params![
            alert.id.0.into_bytes(),
            guard,
            admission.issuer,
            admission.source.as_str(),
            alert.external_id,
            alert.kind,
            alert.severity.rank(),
            alert.occurred_at.as_microsecond(),
            admission.received_at.as_microsecond(),
            alert.reason,
            delivery,
            to_json(&alert.skipped)?,
        ])?;
    Ok(StoredAlert { row, id: alert.id, is_new: true })
}

fn record(
    tx: &mut Tx<'_>,
    admission: &Admission,
    (status, reason): (DeliveryStatus, Option<&str>),
    alerts: &[AlertReceipt],
    actor: &Actor,
) -> Result<(), StoreError> {
    let (event, detail) = receipts::row(admission, (status, reason), alerts);
    tx.record(event, None, alerts.first().map(|alert| alert.id), actor, &detail)?;
    Ok(())
}

/// What a delivery became, for whoever sends it again.
fn known_receipt(tx: &Tx<'_>, delivery: i64, admission: &Admission) -> Result<Receipt, StoreError> {
    let known: Option<(Vec<i64>, _)> = tx
        .sql("SELECT alerts, elements FROM deliveries WHERE seq = ?1")?
        .query_row([delivery], |row| Ok((json(row, "alerts")?, super::read::elements(row)?)))
        .optional()?;
    let (rows, quarantined) = known.unwrap_or_default();
    let mut alerts = Vec::new();
    for row in rows {
        alerts.extend(super::read::alert_receipt(tx.connection(), row)?);
    }
    let delivery_id = admission.delivery_id.clone();
    Ok(Receipt { status: ReceiptStatus::Duplicate, delivery_id, alerts, quarantined, not_kept: None })
}
