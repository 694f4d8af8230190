//! What Okta says no with: its error codes, in the shape of its API or of its token endpoint.

use serde_json::json;

use super::super::answer::Answer;
use crate::sandbox::ids;

/// Codes, their usual status and their summary (Okta error codes). The words of E0000156 and from E0000239 on, and
/// whether the last two are 502 or 504, were not verified; a fault states its status itself.
const CODES: [(&str, u16, &str); 28] = [
    ("E0000001", 400, "Api validation failed"),
    ("E0000002", 400, "The request was not valid"),
    ("E0000003", 400, "The request body was not well-formed"),
    ("E0000004", 401, "Authentication failed"),
    ("E0000005", 403, "Invalid session"),
    ("E0000006", 403, "You do not have permission to perform the requested action"),
    ("E0000007", 404, "Not found: Resource not found"),
    ("E0000008", 404, "The requested path was not found"),
    ("E0000009", 500, "Internal Server Error"),
    ("E0000010", 503, "Service is in read only mode"),
    ("E0000011", 401, "Invalid token provided"),
    // Not a slip: this one is documented with 404.
    ("E0000012", 404, "Unsupported media type"),
    ("E0000015", 401, "You do not have permission to access the feature you are requesting"),
    ("E0000022", 405, "The endpoint does not support the provided HTTP method"),
    ("E0000028", 400, "The request is missing a required parameter"),
    ("E0000031", 400, "Invalid search criteria"),
    ("E0000033", 400, "Bad request. Can't specify a search query and filter in the same request"),
    ("E0000038", 403, "This operation is not allowed in the user's current status"),
    ("E0000047", 429, "API call exceeded rate limit due to too many requests."),
    ("E0000067", 504, "Factors Service Error"),
    ("E0000100", 503, "Unable to perform search query"),
    ("E0000122", 406, "Accept Header did not contain supported media type 'application/json'"),
    ("E0000134", 502, "Okta could not communicate correctly with an inline hook"),
    ("E0000137", 504, "Okta did not receive a response from an inline hook"),
    ("E0000156", 410, "Invalid user id; the user either does not exist or has been deleted"),
    ("E0000239", 423, "The resource is locked, try again later"),
    ("E0000240", 502, "Agent failure"),
    ("E0000241", 504, "Agent timeout"),
];

/// A refusal on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The API's own error body.
    Api { status: u16, code: String, detail: String },
    /// The token endpoint's error body (RFC 6749, section 5.2).
    OAuth { status: u16, error: &'static str, description: String },
    /// 403 without a body: the reason is in `WWW-Authenticate` alone (seen by users of okta-sdk-golang).
    InsufficientScope,
    /// 400 with a web page, from in front of the API.
    BadRequestPage,
}

impl Refusal {
    /// With the status that the code usually has. `detail` may be empty.
    pub(super) fn api(code: &str, detail: impl Into<String>) -> Self {
        let status = CODES.iter().find(|(known, ..)| *known == code).map_or(400, |(_, status, _)| *status);
        Self::Api { status, code: code.to_owned(), detail: detail.into() }
    }

    pub(super) fn oauth(status: u16, error: &'static str, description: impl Into<String>) -> Self {
        Self::OAuth { status, error, description: description.into() }
    }

    /// 404 of a resource, in Okta's words.
    pub(super) fn not_found(id: &str, kind: &str) -> Self {
        Self::api("E0000007", format!("{id} ({kind})"))
    }

    pub(super) fn into_answer(self) -> Answer {
        match self {
            Self::Api { status, code, detail } => api_answer(status, &code, &detail),
            Self::OAuth { status, error, description } => {
                Answer::json(status, &json!({"error": error, "error_description": description})).coded(error)
            }
            Self::InsufficientScope => Answer::empty(403).header("www-authenticate", INSUFFICIENT_SCOPE),
            Self::BadRequestPage => Answer::page(400, "Bad Request"),
        }
    }
}

const INSUFFICIENT_SCOPE: &str = "Bearer authorization_uri=\"/oauth2/v1/authorize\", realm=\"sandbox\", \
    scope=\"okta.users.manage\", error=\"insufficient_scope\", \
    error_description=\"The access token provided does not contain the required scopes.\"";

fn api_answer(status: u16, code: &str, detail: &str) -> Answer {
    let known = CODES.iter().find(|(known, ..)| *known == code).map_or("Error", |(.., summary)| summary);
    let summary = if detail.is_empty() { known.to_owned() } else { format!("{known}: {detail}") };
    // Validation errors repeat the detail as a cause.
    let causes = if code == "E0000001" { json!([{"errorSummary": detail}]) } else { json!([]) };
    let body = json!({
        "errorCode": code, "errorSummary": summary, "errorLink": code,
        "errorId": ids::random("oae", 22), "errorCauses": causes,
    });
    Answer::json(status, &body).coded(code)
}
