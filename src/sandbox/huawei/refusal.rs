//! What Huawei says no with: codes of its gateway (`APIGW.*`) and of IAM Identity Center (`IIC.*`), in one body.
//!
//! Codes recur with different statuses, so that neither says enough without the other.

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::ledger::Effect;
use super::quirks::ErrorShape;

/// Codes and their words: the error code pages of Identity Center and of the gateway; how the gateway words its own
/// is what users report. Words of codes that both pages leave bare are chosen here.
const WORDS: [(&str, &str); 18] = [
    ("IIC.400", "Bad Request"),
    ("IIC.404", "Not Found"),
    ("IIC.1000", "You do not have permission to perform this operation"),
    ("IIC.1001", "You do not have permission to call the API that this operation depends on"),
    ("IIC.1002", "Bad Request"),
    ("IIC.1003", "Bad Request"),
    ("IIC.1004", "Bad Request"),
    ("IIC.1006", "Concurrency conflict, try again later"),
    ("IIC.1007", "Modification failed"),
    ("IIC.1209", "An error occurred in the organizations service"),
    ("IIC.1219", "Failed to obtain the identity token"),
    ("APIGW.0101", "The API does not exist or has not been published in the environment"),
    ("APIGW.0201", "Request error"),
    ("APIGW.0301", "Incorrect IAM authentication information"),
    ("APIGW.0302", "The IAM user is not authorized to access the API"),
    ("APIGW.0303", "Incorrect app authentication information"),
    ("APIGW.0308", "The throttling threshold has been reached"),
    ("APIG.0308", "The throttling threshold has been reached"),
];

/// What `encoded_authorization_message` looks like: opaque to the caller, decoded by another API.
const ENCODED_AUTHORIZATION: &str = "EgpjbjEzZXhhbXBsZS1lbmNvZGVkLWF1dGhvcml6YXRpb24tbWVzc2FnZQ==";

/// A refusal on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    code: String,
    detail: String,
    /// What was done all the same.
    effect: Effect,
}

impl Refusal {
    /// `detail` follows the words of the code and may be empty.
    pub(super) fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), detail: detail.into(), effect: Effect::None }
    }

    /// A parameter is wrong.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(400, "IIC.400", detail)
    }

    /// There is no such user, session or store.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "IIC.404", detail)
    }

    /// Wrong host, path or method.
    pub(super) fn no_such_api() -> Self {
        Self::new(404, "APIGW.0101", "")
    }

    /// The gateway does not read the request on: 400, or one of the sizes.
    pub(super) fn bad_request(status: u16) -> Self {
        Self::new(status, "APIGW.0201", "")
    }

    /// Not the account that the key claims.
    pub(super) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(401, "APIGW.0301", detail)
    }

    /// With the code that belongs to a status, for a failure amid the work.
    pub(super) fn amid_the_work(status: u16) -> Self {
        let code = match status {
            404 => "IIC.404",
            409 => "IIC.1007",
            429 => "APIGW.0308",
            502 | 504 => "APIGW.0201",
            500.. => "IIC.1209",
            _ => "IIC.400",
        };
        Self::new(status, code, "")
    }

    /// The same, sent after something was done.
    pub(super) fn after(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    pub(super) fn into_answer(self, shape: ErrorShape, request_id: &str) -> Answer {
        let words = WORDS.iter().find(|(known, _)| *known == self.code).map_or("Error", |(_, words)| words);
        let message = if self.detail.is_empty() { words.to_owned() } else { format!("{words}: {}", self.detail) };
        let mut body = in_shape(shape, &self.code, &message, request_id);
        // Only some of the refusals for want of a permission carry it; here those of the caller itself.
        if self.code == "IIC.1000" {
            body["encoded_authorization_message"] = json!(ENCODED_AUTHORIZATION);
        }
        Answer::json(self.status, &body).coded(&self.code).effect(self.effect)
    }
}

fn in_shape(shape: ErrorShape, code: &str, message: &str, request_id: &str) -> Value {
    match shape {
        ErrorShape::Plain => json!({"error_code": code, "error_msg": message, "request_id": request_id}),
        ErrorShape::CamelCase => json!({"errorCode": code, "errorMsg": message, "requestId": request_id}),
        ErrorShape::Short => json!({"code": code, "message": message, "request_id": request_id}),
        ErrorShape::Nested => json!({"error": in_shape(ErrorShape::Plain, code, message, request_id)}),
    }
}
