//! Reading one user, listing users, searching them.

use serde_json::{Value, json};

use super::super::answer::Answer;
use super::super::faults::Faults;
use super::caller::Caller;
use super::exchange::Context;
use super::operation::Operation;
use super::person::State;
use super::query::{Order, short};
use super::refusal::Refusal;
use super::right::Right;
use super::sessions::listing;
use super::world::{User, World, micros};

/// Paths of `User` that a field mask may name, apart from those whose contents this stand-in does not keep. Ids and
/// times are there without being asked for.
const MASK: [&str; 13] = [
    "ids",
    "ids.user_id",
    "ids.email",
    "created_at",
    "updated_at",
    "deleted_at",
    "name",
    "description",
    "attributes",
    "primary_email_address",
    "primary_email_address_validated_at",
    "state",
    "admin",
];

const ORDERS: &[&str] = &["user_id", "name", "primary_email_address", "state", "admin", "created_at"];

/// `GET /users/{user_id}`. The e-mail parameter is ignored.
pub(super) fn read(context: &Context<'_>, user_id: &str) -> Result<Answer, Refusal> {
    let mask = context.query.mask(&MASK)?;
    let caller = context.caller()?;
    if let Err(refusal) = caller.require(context.world, user_id, Right::UserInfo) {
        check_standing(context.world, caller)?;
        return Err(refusal);
    }
    let user =
        context.world.user(user_id).ok_or_else(|| Refusal::named("user_not_found", json!({"user_id": user_id})))?;
    Ok(Answer::json(200, &user_json(context.world, user, &mask)))
}

/// Who has no right on the user learns first what is wrong with their own account.
fn check_standing(world: &World, caller: &Caller) -> Result<(), Refusal> {
    if caller.is_nobody() {
        return Err(Refusal::named("unauthenticated", json!({})));
    }
    let user = caller.user_id.as_deref().and_then(|id| world.user(id));
    match user.map(|user| user.person.state) {
        Some(State::Requested) => Err(Refusal::named("user_requested", json!({}))),
        Some(State::Rejected) => Err(Refusal::named("user_rejected", json!({}))),
        Some(State::Suspended) => Err(Refusal::named("user_suspended", json!({}))),
        Some(State::Approved | State::Flagged) | None => Ok(()),
    }
}

/// `GET /users`, for admins. A bad credential is no admin's, so it is refused with 403 like any other
/// (`IsAdmin` of `entity_access.go` drops the reason).
pub(super) fn list(context: &Context<'_>, faults: &Faults<Operation>) -> Result<Answer, Refusal> {
    let asked = Asked::of(context)?;
    if !context.caller().is_ok_and(|caller| caller.is_admin) {
        return Err(Refusal::named("permission_denied", json!({})));
    }
    Ok(asked.answer(context, &faults.draw_hidden(Operation::ListUsers), |_| true))
}

/// `GET /search/users`, for admins. E-mail addresses are not searched.
pub(super) fn search(context: &Context<'_>, faults: &Faults<Operation>) -> Result<Answer, Refusal> {
    let asked = Asked::of(context)?;
    let needles = Needles::of(context)?;
    if !context.caller()?.is_admin {
        return Err(Refusal::named("search_forbidden", json!({})));
    }
    Ok(asked.answer(context, &faults.draw_hidden(Operation::SearchUsers), |user| needles.hit(user)))
}

/// What every listing of users understands.
struct Asked {
    mask: Vec<String>,
    order: Order,
    deleted: bool,
    skip: usize,
    take: usize,
}

impl Asked {
    fn of(context: &Context<'_>) -> Result<Self, Refusal> {
        let deleted = context.query.boolean("deleted")?;
        let page = context.query.page(context.world.default_limit)?;
        let order = context.query.order(ORDERS)?;
        Ok(Self { mask: context.query.mask(&MASK)?, order, deleted, skip: page.skip, take: page.take })
    }

    fn answer(&self, context: &Context<'_>, hidden: &[Option<String>], hit: impl Fn(&User) -> bool) -> Answer {
        let is_hidden = |id: &str| hidden.iter().any(|whom| whom.as_deref().is_none_or(|whom| whom == id));
        let is_asked = |user: &&User| user.deleted_at.is_some() == self.deleted && hit(user);
        let mut hits: Vec<&User> = context.world.everybody().filter(is_asked).collect();
        hits.retain(|user| !is_hidden(&user.person.id));
        self.sort(&mut hits);
        let page = hits.iter().skip(self.skip).take(self.take);
        let shown = page.map(|user| user_json(context.world, user, &self.mask)).collect();
        listing("users", shown, hits.len())
    }

    /// Already by id, which also decides between equals. The real order between equals is PostgreSQL's whim.
    fn sort(&self, hits: &mut [&User]) {
        match self.order.field {
            "name" => hits.sort_by(|a, b| a.person.name.cmp(&b.person.name)),
            "primary_email_address" => hits.sort_by(|a, b| a.person.email.cmp(&b.person.email)),
            "state" => hits.sort_by_key(|user| user.person.state),
            "admin" => hits.sort_by_key(|user| user.person.admin),
            "created_at" => hits.sort_by_key(|user| user.created_at),
            _ => {}
        }
        if self.order.descending {
            hits.reverse();
        }
    }
}

/// Substrings, compared without regard to case. An empty one is in everything.
struct Needles {
    query: String,
    id: String,
    name: String,
    description: String,
    attributes: Vec<(String, String)>,
    states: Vec<State>,
}

impl Needles {
    fn of(context: &Context<'_>) -> Result<Self, Refusal> {
        let query = &context.query;
        query.attributes.iter().try_for_each(|(_, value)| short("attributes_contain", value))?;
        Ok(Self {
            query: query.needle("query")?,
            id: query.needle("id_contains")?,
            name: query.needle("name_contains")?,
            description: query.needle("description_contains")?,
            attributes: query.attributes.clone(),
            states: query.states.clone(),
        })
    }

    fn hit(&self, user: &User) -> bool {
        let person = &user.person;
        let (id, name, text) = (&person.id, person.name.to_lowercase(), person.description.to_lowercase());
        let in_any = [id, &name, &text].iter().any(|field| field.contains(&self.query));
        let in_each = id.contains(&self.id) && name.contains(&self.name) && text.contains(&self.description);
        let held = |(key, value): &(String, String)| {
            person.attributes.get(key).is_some_and(|held| held.to_lowercase().contains(&value.to_lowercase()))
        };
        let in_state = self.states.is_empty() || self.states.contains(&person.state);
        in_any && in_each && in_state && self.attributes.iter().all(held)
    }
}

/// Ids and times always, the rest as the mask asks, and default values never.
fn user_json(world: &World, user: &User, mask: &[String]) -> Value {
    let (person, created) = (&user.person, micros(user.created_at));
    let mut body = json!({"ids": {"user_id": person.id}, "created_at": created, "updated_at": created});
    if let Some(deleted) = user.deleted_at {
        body["deleted_at"] = json!(micros(deleted));
    }
    let state = if world.enums_as_numbers { json!(person.state.number()) } else { json!(person.state) };
    let validated = if person.email_validated { created.as_str() } else { "" };
    let fields = [
        ("name", json!(person.name), person.name.is_empty()),
        ("description", json!(person.description), person.description.is_empty()),
        ("attributes", json!(person.attributes), person.attributes.is_empty()),
        ("primary_email_address", json!(person.email), person.email.is_empty()),
        ("primary_email_address_validated_at", json!(validated), validated.is_empty()),
        ("state", state, person.state == State::Requested),
        ("admin", json!(person.admin), !person.admin),
    ];
    for (name, value, is_default) in fields {
        if !is_default && mask.iter().any(|path| path == name) {
            body[name] = value;
        }
    }
    body
}
