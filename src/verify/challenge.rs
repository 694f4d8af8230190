//! Questions that a sender asks before it sends alerts: is this address yours, and do you want them?

use serde_json::Value;

/// A question, authentic like any delivery. It is answered, and nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// The answer follows from the question (Zoom, Okta).
    Answer(Value),
    /// SNS sends nothing until somebody has visited this address of its own.
    Subscribe(String),
    /// SNS says that the subscription was ended. Nothing is left to do but to tell an operator.
    Unsubscribed,
}
