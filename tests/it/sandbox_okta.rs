//! The stand-in of Okta, driven with bare requests and held against Okta's published description.

mod assertions;
mod faults;
mod oauth;
pub(crate) mod openapi;
mod org;
mod outside;
mod refusals;
mod sessions;
mod users;
