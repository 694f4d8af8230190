//! The stand-in of The Things Stack, driven with bare requests and held against the published description.

mod auth_info;
mod faults;
mod openapi;
mod rates;
mod refusals;
mod rights;
mod sessions;
mod stack;
mod users;
