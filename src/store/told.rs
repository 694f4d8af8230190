//! What the audit record tells of an attempt, as text: how it ended, and what the provider said.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::StoreError;
use super::keys::to_json;
use crate::domain::{Account, Attempt, AttemptClass, DeadReason, HoldReason, Next, Outcome, Revocation, Settlement};

/// The end of an attempt. As in every JSON value, keys are in order, so that whoever reads the record through the API
/// can hash the same text.
#[derive(Serialize)]
struct End<'a> {
    account: Option<&'a Account>,
    attempt: Done<'a>,
    next: Then,
    result: Option<Said<'a>>,
}

/// What becomes of the job, with its keys in order.
#[derive(Default, Serialize)]
struct Then {
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_reason: Option<DeadReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<HoldReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_reason: Option<HoldReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

#[derive(Serialize)]
struct Lost<'a> {
    attempt: Done<'a>,
}

/// An [`Attempt`], with its keys in order.
#[derive(Serialize)]
struct Done<'a> {
    class: AttemptClass,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    duration_ms: u64,
    message: &'a str,
    number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

/// A [`Revocation`], with its keys in order.
#[derive(Serialize)]
struct Said<'a> {
    outcome: Outcome,
    sessions_ended: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_in_again: Option<Value>,
    survives: &'a [String],
}

impl<'a> From<&'a Attempt> for Done<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        Self {
            class: attempt.class,
            code: attempt.code.as_deref(),
            duration_ms: attempt.duration_ms,
            message: &attempt.message,
            number: attempt.number,
            operation: attempt.operation.as_deref(),
            request_id: attempt.request_id.as_deref(),
            started_at: attempt.started_at,
            status: attempt.status,
        }
    }
}

impl<'a> From<&'a Revocation> for Said<'a> {
    fn from(said: &'a Revocation) -> Self {
        let again = &said.signed_in_again;
        Self {
            outcome: said.outcome,
            sessions_ended: said.sessions_ended,
            signed_in_again: (!again.is_empty()).then(|| json!(again)),
            survives: &said.survives,
        }
    }
}

/// The detail of the row about the end of an attempt.
pub(super) fn end(settlement: &Settlement) -> Result<String, StoreError> {
    to_json(&End {
        account: settlement.account.as_ref(),
        attempt: (&settlement.attempt).into(),
        next: settlement.next.into(),
        result: settlement.revocation.as_ref().map(Into::into),
    })
}

impl From<Next> for Then {
    fn from(next: Next) -> Self {
        let then = Self::default();
        match next {
            Next::Done(outcome) => Self { outcome: Some(outcome), ..then },
            Next::Dead(reason) => Self { dead_reason: Some(reason), ..then },
            Next::Held(reason) => Self { hold_reason: Some(reason), ..then },
            Next::Retry { due_at, .. } | Next::LookAgain { due_at, .. } | Next::Prove { due_at } => {
                Self { due_at: Some(due_at), ..then }
            }
            Next::Release => then,
            Next::CloseGate(reason) => Self { gate: Some(reason), ..then },
        }
    }
}

/// The detail of the row about an attempt of which nothing more will be heard.
pub(super) fn lost(attempt: &Attempt) -> Result<String, StoreError> {
    to_json(&Lost { attempt: attempt.into() })
}

/// How far an attempt got that ended without a word; its place in the job's story says so.
pub(super) fn lost_attempt(number: u32, now: Timestamp) -> Attempt {
    Attempt {
        number,
        started_at: now,
        duration_ms: 0,
        class: AttemptClass::Lost,
        operation: None,
        status: None,
        code: None,
        message: "the process that worked on it ended or lost its lease; how far it got is not known".to_owned(),
        request_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Session;

    #[test]
    fn the_text_is_that_of_its_json_value() {
        let session = Session { id: "s2".to_owned(), ip: Some("192.0.2.1".to_owned()), ..Session::default() };
        let revocation = Revocation {
            signed_in_again: vec![session],
            ..Revocation::new(Outcome::Verified, Some(2), &["tokens \"live\" on"])
        };
        let account =
            Account { teams: vec!["T1".to_owned()], ..Account::new("00u1", vec!["ana@example.com".to_owned()]) };
        let attempt = Attempt {
            number: 3,
            started_at: Timestamp::UNIX_EPOCH,
            duration_ms: 12,
            class: AttemptClass::Ok,
            operation: Some("revoke_sessions".to_owned()),
            status: Some(204),
            code: Some("E1".to_owned()),
            message: "line\nbreak".to_owned(),
            request_id: Some("r".to_owned()),
        };
        let settlement = Settlement {
            next: Next::Done(Outcome::Verified),
            attempt: attempt.clone(),
            account: Some(account),
            revocation: Some(revocation.clone()),
            answer_unknown: false,
            proof: None,
            proving: false,
        };
        let text = end(&settlement).expect("a text");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value.to_string(), text);
        assert_eq!(serde_json::from_value::<Attempt>(value["attempt"].clone()).expect("the attempt"), attempt);
        assert_eq!(serde_json::from_value::<Revocation>(value["result"].clone()).expect("the result"), revocation);
    }
}
