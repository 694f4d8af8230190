//! Reading one user and listing users.

use serde_json::{Map, Value, json};

use super::super::answer::Answer;
use super::super::faults::Faults;
use super::exchange::Context;
use super::filter::{Expression, Language};
use super::operation::Operation;
use super::person::Status;
use super::refusal::Refusal;
use super::sessions::millis;
use super::world::{Cursor, User};
use crate::sandbox::ids;

/// The largest and the default page (Okta help, "Pagination Overview").
const LARGEST_PAGE: usize = 200;

/// The default with `q` (Okta management OpenAPI 2026.06.3).
const DEFAULT_WITH_Q: usize = 10;

/// `GET /api/v1/users/{id}`: an id, a login, an unambiguous short login, or `me`.
pub(super) fn read(context: &Context<'_>, name: &str) -> Result<Answer, Refusal> {
    if let Some(expand) = context.parameter("expand").filter(|value| !["blocks", "classification"].contains(value)) {
        return Err(invalid(format!("expand: {expand} is not supported")));
    }
    let user = context.world.user_named(context.meant(name)).ok_or_else(|| Refusal::not_found(name, "User"))?;
    Ok(Answer::json(200, &user_json(context.url, user)).header("etag", "W/\"1234567890abcdef\""))
}

/// `GET /api/v1/users`.
pub(super) fn list(context: &mut Context<'_>, faults: &Faults<Operation>) -> Result<Answer, Refusal> {
    let selection = Selection::of(context)?;
    let hidden = match selection.search() {
        true => faults.draw_hidden(Operation::ListUsers),
        false => Vec::new(),
    };
    let is_hidden = |id: &str| hidden.iter().any(|whom| whom.as_deref().is_none_or(|whom| whom == id));
    let start = position(context)?;
    let mut hits: Vec<&User> = context.world.users().filter(|user| selection.takes(user)).collect();
    hits.retain(|user| !is_hidden(&user.person.id));
    sort(&mut hits, context.parameter("sortBy"), context.parameter("sortOrder"))?;
    let first = start.map_or(0, |last| hits.iter().position(|user| user.person.id == last).map_or(0, |at| at + 1));
    let page: Vec<&User> = hits.iter().skip(first).take(selection.limit).copied().collect();
    let is_last = first + page.len() >= hits.len() || matches!(selection.kind, Kind::Prefix(_));
    let projected = page.iter().map(|user| projected(user_json(context.url, user), context.parameter("fields")));
    let body = projected.collect::<Result<Value, Refusal>>()?;
    let next = page.last().filter(|_| !is_last).map(|user| user.person.id.clone());
    Ok(with_links(context, Answer::json(200, &body), next))
}

/// Which users a listing asks for.
struct Selection {
    kind: Kind,
    limit: usize,
}

enum Kind {
    Everybody,
    Matching { expression: Expression, language: Language },
    Prefix(String),
}

impl Selection {
    fn of(context: &Context<'_>) -> Result<Self, Refusal> {
        let kind = match ["search", "filter", "q"].map(|name| context.parameter(name)) {
            [None, None, None] => Kind::Everybody,
            [Some(search), None, None] => matching(search, Language::Search)?,
            [None, Some(filter), None] => matching(filter, Language::Filter)?,
            [None, None, Some("")] => return Err(Refusal::api("E0000028", "q")),
            [None, None, Some(prefix)] => Kind::Prefix(prefix.to_lowercase()),
            [Some(_), Some(_), _] => return Err(Refusal::api("E0000033", "")),
            _ => return Err(invalid("q: cannot be combined with search or filter")),
        };
        let selection = Self { limit: limit(context, &kind)?, kind };
        selection.check_options(context)
    }

    fn check_options(self, context: &Context<'_>) -> Result<Self, Refusal> {
        if context.parameter("sortBy").is_some() && !self.search() {
            return Err(invalid("sortBy: only with search"));
        }
        if context.parameter("after").is_some() && matches!(self.kind, Kind::Prefix(_)) {
            return Err(invalid("after: q does not support pagination"));
        }
        match context.parameter("expand") {
            None | Some("classification") => Ok(self),
            Some(other) => Err(invalid(format!("expand: {other} is not supported"))),
        }
    }

    fn search(&self) -> bool {
        matches!(self.kind, Kind::Matching { language: Language::Search, .. })
    }

    fn takes(&self, user: &User) -> bool {
        let employed = user.person.status != Status::Deprovisioned;
        match &self.kind {
            Kind::Everybody => employed,
            Kind::Matching { expression, language } => expression.matches(user, *language),
            Kind::Prefix(prefix) => employed && has_prefix(user, prefix),
        }
    }
}

fn matching(text: &str, language: Language) -> Result<Kind, Refusal> {
    let expression = Expression::parse(text, language).map_err(|reason| Refusal::api("E0000031", reason))?;
    Ok(Kind::Matching { expression, language })
}

fn has_prefix(user: &User, prefix: &str) -> bool {
    let person = &user.person;
    [&person.first_name, &person.last_name, &person.email].iter().any(|text| text.to_lowercase().starts_with(prefix))
}

fn limit(context: &Context<'_>, kind: &Kind) -> Result<usize, Refusal> {
    let default = if matches!(kind, Kind::Prefix(_)) { DEFAULT_WITH_Q } else { LARGEST_PAGE };
    let Some(text) = context.parameter("limit") else { return Ok(default) };
    let number = text.parse::<usize>().ok().filter(|number| (1..=LARGEST_PAGE).contains(number));
    number.ok_or_else(|| invalid(format!("limit: {text} is not between 1 and {LARGEST_PAGE}")))
}

/// The id after which the page starts. A cursor that was not handed out for the very same query is refused.
fn position(context: &Context<'_>) -> Result<Option<String>, Refusal> {
    let Some(after) = context.parameter("after") else { return Ok(None) };
    let cursor = context.world.cursors.get(after).filter(|cursor| cursor.query == query_without_cursor(context));
    let cursor = cursor.ok_or_else(|| Refusal::api("E0000002", "after: not a cursor of this query"))?;
    Ok(Some(cursor.last_id.clone()))
}

fn sort(hits: &mut [&User], by: Option<&str>, order: Option<&str>) -> Result<(), Refusal> {
    let descending = match order {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(other) => return Err(invalid(format!("sortOrder: {other} is neither asc nor desc"))),
    };
    let Some(by) = by else { return Ok(()) };
    if !Language::Search.knows(by) {
        return Err(Refusal::api("E0000031", format!("sortBy: {by}")));
    }
    hits.sort_by_key(|user| (Language::Search.value(user, by), user.person.id.clone()));
    if descending {
        hits.reverse();
    }
    Ok(())
}

/// Adds `Link`: to this page and, if there is one, to the next.
fn with_links(context: &mut Context<'_>, answer: Answer, next_after: Option<String>) -> Answer {
    let query = query_without_cursor(context);
    let mut links = vec![link(context.url, context.query, "self")];
    if let Some(last_id) = next_after {
        let cursor = ids::random("", 24);
        let separator = if query.is_empty() { "" } else { "&" };
        links.push(link(context.url, &format!("after={cursor}{separator}{query}"), "next"));
        context.world.cursors.insert(cursor, Cursor { query, last_id });
    }
    let links = if context.world.join_link_headers { vec![links.join(", ")] } else { links };
    links.iter().fold(answer, |answer, link| answer.header("link", link))
}

fn link(url: &str, query: &str, relation: &str) -> String {
    let separator = if query.is_empty() { "" } else { "?" };
    format!("<{url}/api/v1/users{separator}{query}>; rel=\"{relation}\"")
}

fn query_without_cursor(context: &Context<'_>) -> String {
    let kept: Vec<&str> = context.query.split('&').filter(|pair| !pair.starts_with("after=")).collect();
    kept.join("&")
}

fn user_json(url: &str, user: &User) -> Value {
    let (person, created) = (&user.person, millis(user.created));
    json!({
        "id": person.id, "status": person.status, "created": created, "activated": created,
        "statusChanged": created, "lastLogin": user.last_login.map(millis), "lastUpdated": created,
        "passwordChanged": created, "type": {"id": "otyfnjfba4ye7pgjB0g4"},
        "profile": {
            "login": person.login, "email": person.email, "secondEmail": null,
            "firstName": person.first_name, "lastName": person.last_name, "mobilePhone": null,
        },
        "credentials": {"provider": {"type": "OKTA", "name": "OKTA"}},
        "_links": {"self": {"href": format!("{url}/api/v1/users/{}", person.id)}},
    })
}

/// `fields=id,status,profile:(firstName,lastName)`; the id always stays.
fn projected(user: Value, fields: Option<&str>) -> Result<Value, Refusal> {
    let Some(fields) = fields else { return Ok(user) };
    let (plain, profile) = match fields.split_once("profile:(") {
        None => (fields.to_owned(), None),
        Some((before, rest)) => {
            let (inside, after) = rest.split_once(')').ok_or_else(|| invalid("fields: a bracket is open"))?;
            (format!("{before}{after}"), Some(inside))
        }
    };
    let mut kept = only(&user, &format!("id,{plain}"));
    if let Some(inside) = profile {
        kept.insert("profile".to_owned(), Value::Object(only(&user["profile"], inside)));
    }
    Ok(Value::Object(kept))
}

fn only(object: &Value, names: &str) -> Map<String, Value> {
    let names = names.split(',').map(str::trim);
    names.filter_map(|name| Some((name.to_owned(), object.get(name)?.clone()))).collect()
}

fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::api("E0000001", detail)
}
