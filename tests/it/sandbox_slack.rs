//! The stand-in of Slack, driven with bare requests and held against Slack's published (archived) description.

mod bodies;
mod faults;
mod limits;
mod listing;
mod openapi;
mod org;
mod refusals;
mod sessions;
mod settings;
mod tokens;
mod users;
