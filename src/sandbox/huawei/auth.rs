//! Who is calling, and may they: signatures of access keys, permanent and temporary, and what a key may do.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::super::exchange::Incoming;
use super::operation::Operation;
use super::refusal::Refusal;
use super::signature::{self, Claim};
use super::world::World;

/// The gateway refuses what was signed longer ago, or further ahead (API Request Signing Guide).
const LARGEST_SKEW: SignedDuration = SignedDuration::from_mins(15);

const DATE_FORM: &str = "%Y%m%dT%H%M%SZ";
const TOKEN: &str = "x-security-token";

/// To be signed always.
const SIGNED_ALWAYS: [&str; 2] = ["host", "x-sdk-date"];

/// To be signed when sent. The guide has every header signed; those that an HTTP library adds need not be here.
const SIGNED_WHEN_SENT: [&str; 5] = ["content-type", "x-project-id", "x-domain-id", TOKEN, signature::BODY_HASH];

/// What a credential may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// `IdentityCenter:user:listSessions`
    ListSessions,
    /// `IdentityCenter:user:batchDeleteSession`
    BatchDeleteSessions,
    /// `IdentityCenter:user:getUserId`
    GetUserId,
    /// Listing users.
    ListUsers,
    /// Describing one user.
    DescribeUser,
    /// Disabling a user.
    DisableUser,
    /// `IdentityCenter:instance:list`
    ListInstances,
    /// `organizations:delegatedAdministrators:list`, on which every operation depends. Without: 403 `IIC.1001`.
    DelegatedAdministrators,
    /// The account is the organization's management account or a delegated administrator. Without: 403 `IIC.1003`,
    /// which was chosen: the documents say who may call and not how others are refused.
    AdministratorAccount,
    /// The IAM user may call the API at all. Without: 403 `APIGW.0302`.
    Gateway,
}

/// An access key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) secret: SecretString,
    /// Of temporary credentials.
    pub(super) session: Option<Session>,
    pub(super) denied: BTreeSet<Permission>,
}

/// What makes credentials temporary.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) token: SecretString,
    pub(super) expires_at: Timestamp,
}

/// The access key that signed this call.
pub(super) fn authenticate(world: &World, call: &Incoming, now: Timestamp) -> Result<String, Refusal> {
    let claim = claim(call)?;
    let date = fresh_date(world, call, now)?;
    check_coverage(call, &claim)?;
    let key = world.keys.get(&claim.access_key).ok_or_else(|| no_such_key(&claim.access_key))?;
    let canonical = signature::canonical_request(call, &claim.signed_headers).map_err(Refusal::unauthenticated)?;
    if !claim.holds(key.secret.expose_secret(), date, &canonical) {
        // The gateway shows what it signed, line feeds as bars, with the security token among the headers.
        let shown = canonical.replace('\n', "|");
        let detail = format!("verify aksk signature fail, canonicalRequest:{shown}");
        return Err(Refusal::unauthenticated(detail));
    }
    check_token(key, call, &claim.access_key, now)?;
    Ok(claim.access_key)
}

/// Whether the key suffices for the operation, in the service; the gateway was asked before.
pub(super) fn authorize(world: &World, access_key: &str, operation: Operation) -> Result<(), Refusal> {
    let refusals = [
        (Permission::AdministratorAccount, "IIC.1003"),
        (Permission::DelegatedAdministrators, "IIC.1001"),
        (operation.permission(), "IIC.1000"),
    ];
    let missing = refusals.iter().find(|(permission, _)| denies(world, access_key, *permission));
    missing.map_or(Ok(()), |(_, code)| Err(Refusal::new(403, code, "")))
}

/// Whether the gateway lets the key through.
pub(super) fn admit(world: &World, access_key: &str) -> Result<(), Refusal> {
    match denies(world, access_key, Permission::Gateway) {
        true => Err(Refusal::new(403, "APIGW.0302", "")),
        false => Ok(()),
    }
}

fn denies(world: &World, access_key: &str, permission: Permission) -> bool {
    world.keys.get(access_key).is_none_or(|key| key.denied.contains(&permission))
}

fn claim(call: &Incoming) -> Result<Claim, Refusal> {
    let authorization = match call.headers.contains_key("authorization") {
        true => signature::only_value(&call.headers, "authorization").map_err(Refusal::unauthenticated)?,
        // Without a signature the gateway looks for the other way in, which this stand-in does not offer.
        false => return Err(Refusal::unauthenticated("x-auth-token not found")),
    };
    Claim::parse(authorization).ok_or_else(|| Refusal::unauthenticated("authorization is not of SDK-HMAC-SHA256"))
}

/// `X-Sdk-Date` as sent, if it is near enough.
fn fresh_date<'call>(world: &World, call: &'call Incoming, now: Timestamp) -> Result<&'call str, Refusal> {
    let date = signature::only_value(&call.headers, "x-sdk-date").map_err(Refusal::unauthenticated)?;
    let signed = instant(date).ok_or_else(|| Refusal::unauthenticated(format!("x-sdk-date:{date} is not a time")))?;
    if now.duration_since(signed).abs() <= LARGEST_SKEW {
        return Ok(date);
    }
    let times = format!("signature expired, signature time:{date},server time:{}", now.strftime(DATE_FORM));
    Err(match world.quirks.skew_as_app_error {
        true => Refusal::new(401, "APIGW.0303", times),
        false => Refusal::unauthenticated(format!("calc aksk signature fail:{times}")),
    })
}

fn instant(text: &str) -> Option<Timestamp> {
    let date = DateTime::strptime(DATE_FORM, text).ok()?;
    // Reading is more lenient than the form, which has no blanks, signs or missing zeros.
    let exact = date.strftime(DATE_FORM).to_string() == text;
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()).filter(|_| exact)
}

fn check_coverage(call: &Incoming, claim: &Claim) -> Result<(), Refusal> {
    let sent = SIGNED_WHEN_SENT.iter().filter(|name| call.headers.contains_key(**name));
    let mut needed = SIGNED_ALWAYS.iter().chain(sent);
    let unsigned = needed.find(|name| !claim.signed_headers.iter().any(|signed| signed == **name));
    if let Some(name) = unsigned {
        return Err(Refusal::unauthenticated(format!("header {name} is not signed")));
    }
    match claim.signed_headers.iter().any(|name| name == "authorization") {
        true => Err(Refusal::unauthenticated("header authorization cannot be signed")),
        false => Ok(()),
    }
}

/// A temporary key needs its token, and a permanent key has none.
fn check_token(key: &Key, call: &Incoming, access_key: &str, now: Timestamp) -> Result<(), Refusal> {
    let sent = call.headers.get(TOKEN).map(|value| value.as_bytes());
    match &key.session {
        None if sent.is_none() => Ok(()),
        Some(session) if sent != Some(session.token.expose_secret().as_bytes()) => Err(unfit(access_key, "is invalid")),
        Some(session) if now >= session.expires_at => Err(unfit(access_key, "has expired")),
        Some(_) => Ok(()),
        None => Err(unfit(access_key, "is invalid")),
    }
}

fn no_such_key(access_key: &str) -> Refusal {
    Refusal::unauthenticated(format!("Get secretKey failed,ak:{access_key},err:ak not exist"))
}

fn unfit(access_key: &str, how: &str) -> Refusal {
    Refusal::unauthenticated(format!("Get secretKey failed,ak:{access_key},err:security token {how}"))
}
