//! Request bodies: a flat JSON object of strings, as Mattermost's small operations take them.

use std::collections::HashMap;

use super::super::exchange::Incoming;
use super::operation::Operation;
use super::refusal::{BODY_PARAM, Refusal};

/// ServiceSettings.MaximumPayloadSizeBytes and the reader's slack.
const LARGEST_BODY_BYTES: usize = 300_000 + 512;

/// The members of a body. What cannot be read is an empty object, and so lacks what is required.
pub(super) fn members(call: &Incoming, operation: Operation) -> Result<HashMap<String, String>, Refusal> {
    if call.body.len() > LARGEST_BODY_BYTES {
        return Err(Refusal::api("api.context.request_body_too_large.app_error"));
    }
    let members: HashMap<String, String> = serde_json::from_slice(&call.body).unwrap_or_default();
    match members.keys().find(|name| !operation.fields().contains(&name.as_str())) {
        Some(unknown) => Err(Refusal::detailed(BODY_PARAM, format!("{unknown}: unknown member"))),
        None => Ok(members),
    }
}

/// One member that must be there.
pub(super) fn required(call: &Incoming, operation: Operation, name: &str) -> Result<String, Refusal> {
    let value = members(call, operation)?.remove(name).filter(|value| !value.is_empty());
    value.ok_or_else(|| Refusal::api(BODY_PARAM))
}

/// Refuses a body where none is read; Mattermost passes over it.
pub(super) fn check_absent(call: &Incoming, operation: Operation) -> Result<(), Refusal> {
    match call.body.is_empty() || !operation.fields().is_empty() {
        true => Ok(()),
        false => Err(Refusal::detailed(BODY_PARAM, "a request body is not expected")),
    }
}
