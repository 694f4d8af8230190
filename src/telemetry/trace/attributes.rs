//! What a span says, under the names of OpenTelemetry's conventions where they have one, and else under those of the log.
//! No secret and no name of a person belongs here: whoever reads traces may be somebody else than who reads alerts.

use std::borrow::Cow;

/// What a span stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our own work.
    Internal,
    /// A request that came.
    Server,
    /// A request that went out.
    Client,
    /// A message that came.
    Consumer,
}

/// What is said of a span, and whether it went wrong.
#[derive(Debug, Default)]
pub struct Attributes {
    pub(super) texts: Vec<(&'static str, Cow<'static, str>)>,
    pub(super) numbers: Vec<(&'static str, i64)>,
    pub(super) is_error: bool,
}

impl Attributes {
    /// Says a text.
    pub fn text(&mut self, key: &'static str, value: impl Into<Cow<'static, str>>) {
        self.texts.push((key, value.into()));
    }

    /// Says a number.
    pub fn number(&mut self, key: &'static str, value: impl Into<i64>) {
        self.numbers.push((key, value.into()));
    }

    /// Says that it went wrong, and of which kind that is.
    pub fn error(&mut self, kind: impl Into<Cow<'static, str>>) {
        self.text("error.type", kind);
        self.is_error = true;
    }
}
