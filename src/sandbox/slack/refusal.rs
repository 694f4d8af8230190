//! What Slack says no with: `ok: false` and a code, nearly always under 200; and the forms of its rate limit.

use axum::body::Body;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::answer::Answer;

/// As Slack writes it on every answer.
const JSON_TYPE: &str = "application/json; charset=utf-8";

/// A refusal on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `{"ok":false,"error":…}`, and what `response_metadata.messages` tells, if anything.
    Code { code: String, message: Option<String> },
    /// With the scopes that the method takes and those that the token has.
    MissingScope { needed: &'static str, provided: String },
    /// Too many calls.
    Throttled { form: ThrottleForm, after_s: i64 },
    /// 404 with a web page: not a path of the Web API.
    NotFoundPage,
}

/// How Slack says that there were too many calls: one code, three forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThrottleForm {
    /// 429 with `{"ok":false,"error":"ratelimited"}`, as documented.
    #[default]
    Json,
    /// 429 with the bare word as text, as gateways in front of the API send it.
    Text,
    /// The JSON of the first under 200.
    Success,
}

impl Refusal {
    pub(super) fn code(code: &str) -> Self {
        Self::Code { code: code.to_owned(), message: None }
    }

    /// `invalid_arguments`, and what is wrong with them.
    pub(super) fn arguments(what: &str) -> Self {
        Self::Code { code: "invalid_arguments".to_owned(), message: Some(format!("[ERROR] {what}")) }
    }

    pub(super) fn into_answer(self) -> Answer {
        match self {
            Self::Code { code, message: None } => failed(200, &code, json!({})),
            Self::Code { code, message: Some(message) } => {
                failed(200, &code, json!({"response_metadata": {"messages": [message]}}))
            }
            Self::MissingScope { needed, provided } => {
                failed(200, "missing_scope", json!({"needed": needed, "provided": provided}))
            }
            Self::Throttled { form, after_s } => throttled(form, &[after_s]),
            Self::NotFoundPage => Answer::page(404, "There has been a glitch"),
        }
    }
}

/// `fields` with `ok` and `error`.
pub(super) fn failed(status: u16, code: &str, mut fields: Value) -> Answer {
    fields["ok"] = json!(false);
    fields["error"] = json!(code);
    json_answer(status, &fields).coded(code)
}

pub(super) fn json_answer(status: u16, body: &Value) -> Answer {
    Answer::with_body(status, JSON_TYPE, Body::from(body.to_string()))
}

/// `Retry-After` in seconds, as often as told. Whether it comes with the form under 200 is not documented; it does here.
pub(super) fn throttled(form: ThrottleForm, after_s: &[i64]) -> Answer {
    let answer = match form {
        ThrottleForm::Json => failed(429, "ratelimited", json!({})),
        ThrottleForm::Success => failed(200, "ratelimited", json!({})),
        ThrottleForm::Text => Answer::with_body(429, "text/plain", Body::from("ratelimited")).coded("ratelimited"),
    };
    after_s.iter().fold(answer, |answer, seconds| answer.header("retry-after", &seconds.to_string()))
}
