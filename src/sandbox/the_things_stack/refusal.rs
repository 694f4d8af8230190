//! What The Things Stack says no with: a gRPC status as JSON, with or without the details that name the error.
//!
//! Sources: `pkg/errors/http.go`, `json.go`, `error.proto` and the definitions beside each check. The words of a
//! message were not verified for every error; clients decide by namespace and name.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::answer::Answer;

/// An error of the vendor: name, namespace, gRPC code, message format. The namespace of `database_unavailable` was not
/// verified.
struct Definition(&'static str, &'static str, u32, &'static str);

const STORE: &str = "pkg/identityserver/store";
const RIGHTS: &str = "pkg/auth/rights";
const SERVER: &str = "pkg/identityserver";

const DEFINITIONS: [Definition; 26] = [
    Definition("user_session_not_found", STORE, 5, "user session with id `{session_id}` not found"),
    Definition("user_not_found", STORE, 5, "user with id `{user_id}` not found"),
    Definition("entity_not_found", STORE, 5, "entity not found"),
    Definition("account_not_found", STORE, 5, "account not found"),
    Definition("no_user_rights", RIGHTS, 7, "no rights for user `{uid}`"),
    Definition("insufficient_user_rights", RIGHTS, 7, "insufficient rights for user `{uid}`"),
    Definition("permission_denied", SERVER, 7, "unauthorized request to restricted resource"),
    Definition("search_forbidden", SERVER, 7, "search is forbidden"),
    Definition("user_requested", SERVER, 7, "user account approval is pending"),
    Definition("user_rejected", SERVER, 7, "user account was rejected"),
    Definition("user_suspended", SERVER, 7, "user account was suspended"),
    Definition("oauth_client_rejected", SERVER, 7, "OAuth client was rejected"),
    Definition("oauth_client_suspended", SERVER, 7, "OAuth client was suspended"),
    Definition("api_key_not_found", SERVER, 16, "API key not found"),
    Definition("api_key_expired", SERVER, 16, "API key expired"),
    Definition("invalid_authorization", SERVER, 16, "invalid authorization"),
    Definition("token_not_found", SERVER, 16, "token not found"),
    Definition("token_expired", SERVER, 16, "token expired"),
    Definition("unsupported_authorization", SERVER, 16, "unsupported authorization method"),
    Definition("unauthenticated", SERVER, 16, "unauthenticated"),
    Definition("token", "pkg/auth", 3, "invalid token"),
    Definition("validation", "pkg/errors", 3, "invalid `{field}`: {reason}"),
    Definition("field_mask_paths", "pkg/rpcmiddleware/validator", 3, "forbidden path(s) in field mask"),
    Definition(
        "rate_limit_exceeded",
        "pkg/ratelimit",
        8,
        "rate limit of `{rate}` accesses per minute exceeded for resource `{key}`",
    ),
    Definition("driver", "pkg/util/store", 2, "database driver error"),
    Definition("database_unavailable", "pkg/util/store", 14, "database unavailable"),
];

/// gRPC codes that come without details, with the words of `google.golang.org/grpc/codes` in snake case.
const PLAIN: [(&str, u32); 11] = [
    ("canceled", 1),
    ("unknown", 2),
    ("deadline_exceeded", 4),
    ("not_found", 5),
    ("already_exists", 6),
    ("resource_exhausted", 8),
    ("aborted", 10),
    ("unimplemented", 12),
    ("internal", 13),
    ("unavailable", 14),
    ("data_loss", 15),
];

/// A refusal on its way out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// By the vendor's own code, with details.
    Named { name: String, attributes: Value, cause: Option<Value> },
    /// By the gateway or by gRPC itself, without details.
    Plain { code: u32, message: String },
}

impl Refusal {
    pub(super) fn named(name: &str, attributes: Value) -> Self {
        Self::Named { name: name.to_owned(), attributes, cause: None }
    }

    pub(super) fn plain(code: u32, message: impl Into<String>) -> Self {
        Self::Plain { code, message: message.into() }
    }

    pub(super) fn validation(field: &str, reason: impl Into<String>) -> Self {
        Self::named("validation", json!({"field": field, "reason": reason.into()}))
    }

    /// 401 whose `cause` is the 404 of the database: only the outer error says what it means.
    pub(super) fn unknown_credential(name: &str) -> Self {
        let cause = json!({"namespace": STORE, "name": "entity_not_found", "message_format": "entity not found",
                           "correlation_id": correlation_id(), "code": 5});
        Self::Named { name: name.to_owned(), attributes: json!({}), cause: Some(cause) }
    }

    /// The error of this name, or of this gRPC word, or one that nobody has heard of.
    pub(super) fn of_code(code: &str) -> Self {
        if definition(code).is_some() {
            return Self::named(code, json!({}));
        }
        let known = PLAIN.iter().find(|(word, _)| *word == code);
        Self::plain(known.map_or(2, |(_, number)| *number), code)
    }

    pub(super) fn into_answer(self) -> Answer {
        let status = match &self {
            Self::Named { name, .. } => http_status(definition(name).map_or(2, |known| known.2)),
            Self::Plain { code, .. } => http_status(*code),
        };
        self.into_answer_with(status)
    }

    /// With a status of the caller's choosing.
    pub(super) fn into_answer_with(self, status: u16) -> Answer {
        match self {
            Self::Named { name, attributes, cause } => {
                Answer::json(status, &named_body(&name, &attributes, cause)).coded(&name)
            }
            Self::Plain { code, message } => {
                let body = json!({"code": code, "message": message, "details": []});
                Answer::json(status, &body).coded(word(code))
            }
        }
    }
}

fn definition(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|known| known.0 == name)
}

fn word(code: u32) -> &'static str {
    PLAIN.iter().find(|(_, number)| *number == code).map_or("invalid_argument", |(word, _)| word)
}

fn named_body(name: &str, attributes: &Value, cause: Option<Value>) -> Value {
    let Definition(_, namespace, code, format) = definition(name).unwrap_or(&DEFINITIONS[0]);
    let message = format!("error:{namespace}:{name} ({})", filled(format, attributes));
    let mut details = Map::from_iter([
        ("@type".to_owned(), json!("type.googleapis.com/ttn.lorawan.v3.ErrorDetails")),
        ("namespace".to_owned(), json!(namespace)),
        ("name".to_owned(), json!(name)),
        ("message_format".to_owned(), json!(format)),
        ("correlation_id".to_owned(), json!(correlation_id())),
        ("code".to_owned(), json!(code)),
    ]);
    if attributes.as_object().is_some_and(|fields| !fields.is_empty()) {
        details.insert("attributes".to_owned(), attributes.clone());
    }
    details.extend(cause.map(|cause| ("cause".to_owned(), cause)));
    json!({"code": code, "message": message, "details": [details]})
}

fn filled(format: &str, attributes: &Value) -> String {
    let fields = attributes.as_object().into_iter().flatten();
    fields.fold(format.to_owned(), |text, (name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.replace(&format!("{{{name}}}"), &value)
    })
}

fn correlation_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// `httpStatusCodes` of `pkg/errors/http.go`.
fn http_status(code: u32) -> u16 {
    match code {
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}
