//! Units and secrets as the config writes them. The `Settings` of every stage are made of these.

mod secret;
mod units;

pub use secret::{Secret, SecretError, SecretRef};
pub use units::{ByteSize, Duration, Rate};
