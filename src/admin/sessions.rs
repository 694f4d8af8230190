//! `/v1/providers/{name}/sessions`: a person's sessions, as the provider shows them now.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AdminState;
use super::fault::Fault;
use super::params::{Kind, Parameter, Parameters, Segment, text};
use crate::domain::{Account, Session, Subject, check_identifier};
use crate::provider::{ListParameter, ListQuery, ProviderError, ProviderKind};

/// The ways to page through a listing.
const PAGING: [ListParameter; 4] =
    [ListParameter::Order, ListParameter::Limit, ListParameter::Page, ListParameter::Cursor];

/// What the listing takes.
pub(super) const LISTED: &[Parameter] = &[
    text("id", "The account's id there. Exactly one of `id`, `email` and `username` is given."),
    text("email", "The e-mail address."),
    text("username", "The user name."),
    text("order", "In which order, in the provider's words, where it has any."),
    Parameter { name: "limit", about: "At most so many, where the provider pages.", kind: WHOLE },
    Parameter { name: "page", about: "Which page, from 1, where the provider counts them.", kind: WHOLE },
    text("cursor", "`next_cursor` of the part before, where the provider has cursors."),
];

const WHOLE: Kind = Kind::Number { least: 1, most: u32::MAX as i64 };

/// A part of a person's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionListing {
    /// The sessions.
    pub items: Vec<Session>,
    /// Ask again with this for the next part; `null`: that was all, or the provider counts pages.
    pub next_cursor: Option<String>,
    /// How many there are in all, where the provider tells.
    pub total: Option<u64>,
    /// The account's id there.
    pub account_id: String,
    /// Every name it goes by there.
    pub identifiers: Vec<String>,
}

pub(super) async fn list(
    State(state): State<AdminState>,
    name: Segment,
    parameters: Parameters,
) -> Result<Json<SessionListing>, Fault> {
    let (name, info) = state.provider(&name)?;
    let configured = state.clients.get(&name).ok_or_else(|| super::params::no_such("provider", &name))?;
    let parameters = parameters.only(LISTED)?;
    let (subject, query) = (subject(&parameters)?, query(&parameters, info.kind)?);
    let provider = configured.provider.as_ref();
    let account = provider.resolve(&subject).await.map_err(asked)?;
    let account = account.ok_or_else(|| Fault::NotFound(format!("{name} knows nobody by this name")))?;
    let page = provider.list_sessions(&account, &query).await.map_err(asked)?;
    let page = page.ok_or_else(|| Fault::Malformed(format!("{name} offers no way to list sessions")))?;
    let Account { id, identifiers, .. } = account;
    let (next_cursor, total) = (page.next_cursor, page.total);
    Ok(Json(SessionListing { items: page.sessions, next_cursor, total, account_id: id, identifiers }))
}

/// One name, so that nobody wonders which of two was meant.
fn subject(parameters: &Parameters) -> Result<Subject, Fault> {
    let [id, email, username] = ["id", "email", "username"].map(|name| parameters.text(name));
    let given: Vec<&str> = [id, email, username].into_iter().flatten().collect();
    let [name] = given[..] else {
        return Err(Fault::Malformed("name the person by exactly one of `id`, `email` and `username`".to_owned()));
    };
    check_identifier(name).map_err(|error| Fault::Malformed(format!("the name {error}")))?;
    let [id, email, username] = [id, email, username].map(|name| name.map(str::to_owned));
    Ok(Subject { id, email, username })
}

/// A parameter or a value that the provider lacks is told, not passed over.
fn query(parameters: &Parameters, kind: ProviderKind) -> Result<ListQuery, Fault> {
    let known = kind.list_parameters();
    let lacking = PAGING.iter().find(|it| parameters.text(it.as_str()).is_some() && !known.contains(it));
    if let Some(parameter) = lacking {
        let name = parameter.as_str();
        return Err(Fault::Malformed(format!(
            "`{name}`: the API of this provider has no such parameter; leave it out"
        )));
    }
    let query = ListQuery {
        order: parameters.text("order").map(str::to_owned),
        limit: parameters.parsed("limit")?,
        page: parameters.parsed("page")?,
        cursor: parameters.text("cursor").map(str::to_owned),
    };
    kind.check_list(&query).map_err(Fault::Malformed)?;
    Ok(query)
}

/// The provider did not do what was asked.
fn asked(error: ProviderError) -> Fault {
    let report = error.report();
    let code = report.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
    let detail = format!("{}{code}", report.message);
    match error {
        ProviderError::Throttled { .. } => Fault::Unavailable,
        ProviderError::UnknownAccount(_) => Fault::NotFound(detail),
        ProviderError::Unclear(_) | ProviderError::Refused(_) => Fault::Conflict(detail),
        ProviderError::Unavailable(_)
        | ProviderError::Unauthorized(_)
        | ProviderError::Misconfigured(_)
        | ProviderError::Forbidden(_) => Fault::Provider(detail),
    }
}
