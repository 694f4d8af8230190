//! The stand-in of Mattermost, driven with bare requests.

mod chat;
mod faults;
mod login;
mod permissions;
mod rates;
mod refusals;
mod sessions;
mod subpath;
mod tokens;
mod tripwires;
mod users;
