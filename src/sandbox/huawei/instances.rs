//! Listing the instances of IAM Identity Center, of which an organization has one.
//!
//! Huawei serves this on a host of its own, `identitycenter` in place of `identitystore`; the stand-in has one listener.

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::exchange::Context;
use super::pages;
use super::refusal::Refusal;

/// `GET /v1/instances`: an empty list where the service was not enabled in this region.
pub(super) fn list(context: &Context<'_>) -> Result<Answer, Refusal> {
    pages::limit(context)?;
    pages::no_marker(context)?;
    let world = &context.world;
    let instance = json!({
        "identity_store_id": world.identity_store_id, "instance_id": world.instance_id, "alias": "sandbox",
        "instance_urn": format!("IdentityCenter:::instance:{}", world.instance_id),
    });
    let instances: Vec<Value> = if world.quirks.not_enabled { Vec::new() } else { vec![instance] };
    let info = json!({"next_marker": null, "current_count": instances.len()});
    Ok(Answer::json(200, &json!({"instances": instances, "page_info": info})))
}
