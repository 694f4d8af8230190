//! Whether a provider that fails is called.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::words;

words! {
    /// Where the circuit of a provider stands.
    CircuitState {
        /// It is called.
        Closed = "closed",
        /// It failed again and again, and is left alone for a while.
        Open = "open",
        /// One job tries whether it works again.
        HalfOpen = "half_open",
    }
}
