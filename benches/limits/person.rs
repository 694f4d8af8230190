//! Who is meant by an alert, and what it says.

use jiff::Timestamp;
use serde_json::json;

/// As a sender has it.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

/// Bytes of an alert's body.
const BODY: usize = 1024;

/// Somebody whose sessions are to end.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) id: String,
    pub(crate) email: String,
}

impl Subject {
    /// The number-th person. Ids look like Okta's.
    pub(crate) fn numbered(number: usize) -> Self {
        Self { id: format!("00u{number:017}"), email: format!("person-{number:07}@example.com") }
    }
}

/// An alert of 1 KiB.
pub(crate) fn body(person: &Subject, now: Timestamp) -> String {
    let person = std::slice::from_ref(person);
    let bare = alert(person, now, "").len();
    alert(person, now, &"x".repeat(BODY - bare))
}

/// An alert about these people, the first of whom it is called after.
pub(crate) fn alert(people: &[Subject], now: Timestamp, detail: &str) -> String {
    let subject = |person: &Subject| json!({"email": person.email, "ids": {"okta": person.id}});
    json!({
        "id": people[0].id, "kind": "session_stolen", "severity": "critical", "occurred_at": now.to_string(),
        "subjects": people.iter().map(subject).collect::<Vec<_>>(),
        "reason": "infostealer cookie seen for sale",
        "attributes": {"ip": "203.0.113.9", "detail": detail},
    })
    .to_string()
}
