//! sever ends every session of a compromised account, at every provider, and records what was seen.
//!
//! ```text
//! delivery → verified → alerts → plan → jobs (stored) → claim → attempt → outcome (stored, audited)
//!  ingest     verify    decode   policy     store        worker  provider      store
//! ```
//!
//! Each folder is a stage, and imports point toward [`domain`]. `docs/ARCHITECTURE.md` follows one alert through them.

pub mod admin;
pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decode;
pub mod domain;
pub mod expression;
pub mod ingest;
pub mod lifecycle;
pub mod listener;
pub mod live;
pub mod notify;
pub mod policy;
pub mod provider;
pub mod sandbox;
pub mod schedule;
pub mod sealer;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod verify;
pub mod worker;
