//! Methods that reach further than the sessions of the person who is meant. They succeed for show and do nothing.

use serde_json::json;

use super::super::ledger::Effect;
use super::exchange::Reply;
use super::operation::Operation;

pub(super) fn spring(operation: Operation) -> Reply {
    let (would, fields) = match operation {
        Operation::AuthRevoke => ("revoke the token that the caller itself shows", json!({"revoked": true})),
        Operation::AppsUninstall => ("remove the caller's app from the whole organization", json!({})),
        _ => ("take the account out of the workspace, sessions or not", json!({})),
    };
    Reply { effect: Effect::Tripwire { would: would.to_owned() }, ..Reply::ok(fields) }
}
