//! The record as events of the Open Cybersecurity Schema Framework, for a SIEM.
//!
//! Every row is an *Entity Management* event: somebody created, read, changed or deleted something that sever manages. The
//! attributes are those of <https://schema.ocsf.io/1.3.0/classes/entity_management>; its activities 1 to 4 and 99 mean the
//! same in every version from 1.0 on. What has no attribute there stands in `unmapped`, under the names of the operator API.

use serde_json::{Value, json};

use super::AuditRow;

/// The version whose attributes these are.
const VERSION: &str = "1.3.0";
/// Identity & Access Management.
const CATEGORY: u32 = 3;
/// Entity Management.
const CLASS: u32 = 3004;

/// What was done, as that class numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    Create = 1,
    Read = 2,
    Update = 3,
    Delete = 4,
    Other = 99,
}

impl Activity {
    fn of(event: &str) -> Self {
        match event {
            "admitted" | "ignored" | "quarantined" | "sealed" => Self::Create,
            "body_read" => Self::Read,
            "pruned" => Self::Delete,
            _ if is_known(event) => Self::Update,
            _ => Self::Other,
        }
    }

    fn caption(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Read => "Read",
            Self::Update => "Update",
            Self::Delete => "Delete",
            Self::Other => "Other",
        }
    }
}

fn is_known(event: &str) -> bool {
    event.parse::<super::AuditEvent>().is_ok()
}

/// How bad it is (`severity_id`): what somebody should look at is more than information.
fn severity(event: &str) -> (u32, &'static str) {
    match event {
        "dead" | "gate_closed" | "quarantined" => (3, "Medium"),
        "held" | "lease_lost" | "paused" | "cancelled" => (2, "Low"),
        _ => (1, "Informational"),
    }
}

/// Whether it came out well (`status_id`); `None`: that is no question here.
fn status(event: &str) -> Option<(u32, &'static str)> {
    match event {
        "dead" | "retry_scheduled" | "lease_lost" | "gate_closed" => Some((2, "Failure")),
        "done" | "revoked" | "gate_opened" => Some((1, "Success")),
        _ => None,
    }
}

/// A row as an event.
#[must_use]
pub fn ocsf(row: &AuditRow) -> Value {
    let (activity, (severity_id, severity)) = (Activity::of(&row.event), severity(&row.event));
    let detail: Value = serde_json::from_str(&row.detail).unwrap_or_else(|_| row.detail.clone().into());
    let mut event = json!({
        "activity_id": activity as u32,
        "activity_name": if activity == Activity::Other { &row.event } else { activity.caption() },
        "actor": actor(&row.actor),
        "category_name": "Identity & Access Management",
        "category_uid": CATEGORY,
        "class_name": "Entity Management",
        "class_uid": CLASS,
        "entity": entity(row, &detail),
        "message": message(row),
        "metadata": {
            "event_code": row.event,
            "log_name": "audit",
            "product": {"name": "sever", "vendor_name": "sever", "version": env!("CARGO_PKG_VERSION")},
            "sequence": row.seq,
            "uid": format!("{}/{}", row.writer, row.seq),
            "version": VERSION,
        },
        "severity": severity,
        "severity_id": severity_id,
        "time": row.at.div_euclid(1000),
        "type_name": format!("Entity Management: {}", activity.caption()),
        "type_uid": CLASS * 100 + activity as u32,
        "unmapped": {
            "alert": row.alert,
            "detail": detail,
            "earlier": row.earlier,
            "hash": hex::encode(row.hash),
            "job": row.job,
            "seq": row.seq,
            "writer": row.writer,
        },
    });
    if let Some((id, word)) = status(&row.event) {
        event["status_id"] = id.into();
        event["status"] = word.into();
    }
    if let Some(reason) = detail["reason"].as_str().filter(|reason| !reason.is_empty()) {
        event["comment"] = reason.into();
    }
    event
}

/// A person by the name of the token, or the program itself.
fn actor(actor: &str) -> Value {
    match actor.strip_prefix("operator:") {
        Some(name) => json!({"app_name": "sever", "user": {"name": name, "type": "User", "type_id": 1}}),
        None => json!({"app_name": actor, "user": {"name": actor, "type": "System", "type_id": 3}}),
    }
}

/// What it was done to: a job, an alert, a delivery, a provider, or the record itself.
fn entity(row: &AuditRow, detail: &Value) -> Value {
    let named = |kind: &str, uid: String| json!({"name": format!("{kind} {uid}"), "type": kind, "uid": uid});
    let told = |key: &str| match &detail[key] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    if let Some(job) = row.job {
        return named("job", job.to_string());
    }
    if let Some(alert) = row.alert {
        return named("alert", alert.to_string());
    }
    let of_event = match row.event.as_str() {
        "gate_closed" | "gate_opened" | "paused" | "resumed" => {
            Some(("provider", told("provider").unwrap_or_else(|| "all".to_owned())))
        }
        "sealed" => told("seal").map(|number| ("seal", number)),
        _ => ["delivery", "delivery_id"].iter().find_map(|key| told(key)).map(|id| ("delivery", id)),
    };
    of_event.map_or_else(|| named("record", row.writer.clone()), |(kind, uid)| named(kind, uid))
}

fn message(row: &AuditRow) -> String {
    let about = match (row.job, row.alert) {
        (Some(job), _) => format!(" job {job}"),
        (None, Some(alert)) => format!(" alert {alert}"),
        (None, None) => String::new(),
    };
    format!("{}:{about} by {}", row.event, row.actor)
}

#[cfg(test)]
mod tests {
    use super::super::AuditEvent;
    use super::*;

    type Fits = fn(&Value) -> bool;

    /// The attributes that the class requires, its own and those of its base, with their types
    /// (<https://schema.ocsf.io/1.3.0/classes/entity_management>).
    const REQUIRED: [(&str, Fits); 8] = [
        ("activity_id", Value::is_u64),
        ("category_uid", Value::is_u64),
        ("class_uid", Value::is_u64),
        ("entity", Value::is_object),
        ("metadata", Value::is_object),
        ("severity_id", Value::is_u64),
        ("time", Value::is_i64),
        ("type_uid", Value::is_u64),
    ];

    fn row(event: &str, actor: &str, detail: Value) -> AuditRow {
        AuditRow {
            seq: 7,
            at: 1_790_000_000_123_456,
            writer: "w".to_owned(),
            event: event.to_owned(),
            job: None,
            alert: None,
            actor: actor.to_owned(),
            detail: detail.to_string(),
            earlier: None,
            hash: [7; 32],
        }
    }

    #[test]
    fn every_event_has_what_its_class_requires() {
        let known = AuditEvent::ALL.iter().map(|event| event.as_str());
        for name in known.chain(["unheard_of"]) {
            let event = ocsf(&row(name, "sever", json!({"provider": "okta", "seal": 3})));
            for (attribute, fits) in REQUIRED {
                assert!(fits(&event[attribute]), "{name}: {attribute} in {event}");
            }
            let number = |key: &str| event[key].as_u64().expect("a number");
            assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"), "{name}");
            assert_eq!(number("class_uid") / 1000, number("category_uid"));
            assert!([1, 2, 3, 4, 99].contains(&number("activity_id")));
            assert_eq!(number("activity_id") == 99, name == "unheard_of", "{name}");
            // Objects with constraints: `managed_entity` has a name or a uid, `user` a name, `actor` a user; `metadata`
            // requires a product and a version, `product` a vendor (until 1.3) and a name.
            assert!(event["entity"]["uid"].is_string() && event["entity"]["name"].is_string());
            assert!(event["actor"]["user"]["name"].is_string());
            assert_eq!(event["metadata"]["version"], "1.3.0");
            assert!(event["metadata"]["product"]["name"].is_string());
            assert!(event["metadata"]["product"]["vendor_name"].is_string());
        }
    }

    #[test]
    fn an_operator_is_named_with_the_reason() {
        let event = ocsf(&row("cancelled", "operator:oncall", json!({"reason": "false alarm"})));
        assert_eq!(event["actor"]["user"], json!({"name": "oncall", "type": "User", "type_id": 1}));
        assert_eq!(event["comment"], "false alarm");
        assert_eq!((&event["time"], &event["type_uid"]), (&json!(1_790_000_000_123_i64), &json!(300_403)));
        assert_eq!(event["unmapped"]["hash"], "07".repeat(32));
        let read = ocsf(&row("body_read", "operator:oncall", json!({"delivery": 12})));
        assert_eq!((&read["activity_id"], &read["entity"]["uid"]), (&json!(2), &json!("12")));
    }
}
