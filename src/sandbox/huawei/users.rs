//! Finding users: a listing with pages and one filter, the id that belongs to a name, one user.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::answer::Answer;
use super::super::faults::Faults;
use super::exchange::Context;
use super::operation::Operation;
use super::pages::{self, Page};
use super::person::{Email, ExternalId, Person};
use super::refusal::Refusal;
use super::world::{User, World};

/// Longest values of the request for an id, in characters (API page of GetUserId).
const LONGEST_ATTRIBUTE: usize = 255;
const LONGEST_EXTERNAL_ID: usize = 256;
const LONGEST_ISSUER: usize = 100;

/// The body of `retrieve-user-id`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    alternate_identifier: Alternate,
}

/// Exactly one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alternate {
    unique_attribute: Option<Attribute>,
    external_id: Option<ExternalId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attribute {
    attribute_path: String,
    attribute_value: String,
}

/// `GET …/users/{user_id}`. The answer is documented in the SDK only: the fields of a listing, unwrapped.
pub(super) fn describe(context: &Context<'_>, user_id: &str) -> Result<Answer, Refusal> {
    let user = context.world.user(user_id).ok_or_else(|| Refusal::not_found(format!("user {user_id}")))?;
    Ok(Answer::json(200, &user_json(context.world, user)))
}

/// `GET …/users`.
pub(super) fn list(context: &mut Context<'_>, faults: &Faults<Operation>) -> Result<Answer, Refusal> {
    let user_name = context.parameter("user_name").map(str::to_owned);
    if user_name.as_deref() == Some("") {
        return Err(Refusal::invalid("user_name is empty"));
    }
    let limit = pages::limit(context)?;
    let hits = user_name.as_deref().map(|name| (name, hits(context.world, name)));
    let page = Page::of(context, limit, hits.as_ref().map(|(name, hits)| (*name, hits.as_slice())))?;
    let hidden = hidden(faults, Operation::ListUsers);
    let seen = page.ids.iter().filter(|id| !hidden(id)).filter_map(|id| context.world.user(id));
    let users: Vec<Value> = seen.map(|user| user_json(context.world, user)).collect();
    let info = page.info(users.len(), context.world.quirks.last_page);
    Ok(Answer::json(200, &json!({"users": users, "page_info": info})))
}

/// `POST …/users/retrieve-user-id`. Whether user names are compared in their case is not documented; here they are.
pub(super) fn user_id(context: &Context<'_>, faults: &Faults<Operation>) -> Result<Answer, Refusal> {
    let parsed: Result<Wanted, _> = serde_json::from_slice(context.body);
    let wanted = parsed.map_err(|error| Refusal::invalid(error.to_string()))?.alternate_identifier;
    let found = match (&wanted.unique_attribute, &wanted.external_id) {
        (Some(attribute), None) => by_attribute(context.world, attribute)?,
        (None, Some(external)) => by_external_id(context.world, external)?,
        _ => return Err(Refusal::invalid("alternate_identifier: exactly one of unique_attribute and external_id")),
    };
    let hidden = hidden(faults, Operation::GetUserId);
    let id = found.map(|user| &user.person.id).filter(|id| !hidden(id));
    let id = id.ok_or_else(|| Refusal::not_found("user"))?;
    Ok(Answer::json(200, &json!({"identity_store_id": context.world.identity_store_id, "user_id": id})))
}

fn by_attribute<'world>(world: &'world World, attribute: &Attribute) -> Result<Option<&'world User>, Refusal> {
    within("attribute_path", &attribute.attribute_path, LONGEST_ATTRIBUTE)?;
    within("attribute_value", &attribute.attribute_value, LONGEST_ATTRIBUTE)?;
    match attribute.attribute_path == world.quirks.attribute_path {
        true => Ok(world.user_named(&attribute.attribute_value)),
        false => Err(Refusal::invalid(format!("attribute_path: {}", attribute.attribute_path))),
    }
}

fn by_external_id<'world>(world: &'world World, external: &ExternalId) -> Result<Option<&'world User>, Refusal> {
    within("id", &external.id, LONGEST_EXTERNAL_ID)?;
    within("issuer", &external.issuer, LONGEST_ISSUER)?;
    Ok(world.user_of(external))
}

fn within(name: &str, value: &str, longest: usize) -> Result<(), Refusal> {
    match (1..=longest).contains(&value.chars().count()) {
        true => Ok(()),
        false => Err(Refusal::invalid(format!("{name} does not have 1 to {longest} characters"))),
    }
}

/// Whom the filter finds. How exact it is is not documented.
fn hits(world: &World, user_name: &str) -> Vec<String> {
    match world.quirks.fuzzy_user_names {
        true => world.users_beginning(user_name),
        false => world.user_named(user_name).map(|user| user.person.id.clone()).into_iter().collect(),
    }
}

/// Whom a lagging index does not show.
fn hidden(faults: &Faults<Operation>, operation: Operation) -> impl Fn(&str) -> bool {
    let hidden = faults.draw_hidden(operation);
    move |id| hidden.iter().any(|whom| whom.as_deref().is_none_or(|whom| whom == id))
}

fn user_json(world: &World, user: &User) -> Value {
    let (person, created) = (&user.person, user.created.as_millisecond());
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("user_id", json!(person.id));
    put("user_name", json!(person.user_name));
    put("display_name", json!(person.display_name));
    put("enabled", json!(person.enabled));
    put("identity_store_id", json!(world.identity_store_id));
    put("name", json!({"family_name": person.family_name, "given_name": person.given_name}));
    put("created_at", json!(created));
    put("updated_at", json!(created));
    if !person.emails.is_empty() {
        put("emails", emails_json(person));
    }
    if let Some(external) = &person.external_id {
        put("external_id", json!(external.id));
    }
    Value::Object(fields)
}

fn emails_json(person: &Person) -> Value {
    let one = |email: &Email| json!({"primary": email.primary, "type": "work", "value": email.value, "verification_status": "VERIFIED"});
    person.emails.iter().map(one).collect()
}
