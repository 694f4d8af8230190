//! Units and secrets as the config writes them. The `Settings` of every stage are made of these.

mod files;
mod secret;
mod units;

pub use files::Files;
pub use secret::{Secret, SecretError, SecretRef};
pub use units::{ByteSize, Duration, Rate};
