//! `admin.users.session.list`: one user's sessions in one workspace, or everybody's, in pages.

use serde_json::{Value, json};

use super::super::faults::Fault;
use super::exchange::{Context, Reply};
use super::refusal::Refusal;
use super::session::Session;
use super::world::Cursor;
use crate::sandbox::ids;

/// Also the default.
const LARGEST_PAGE: usize = 1000;

/// Answers `no_active_sessions` where an empty list would do; a later page may be empty all the same.
pub(super) fn list(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let of = subject(context)?;
    let limit = limit(context)?;
    let start = position(context, &of)?;
    let (after, was_empty) = start.map_or((0, false), |cursor| (cursor.after, cursor.was_empty));
    let mut rows = rows(context, &of, after, limit + 1);
    if rows.is_empty() && after == 0 {
        return Err(Refusal::code("no_active_sessions"));
    }
    if context.world.switches.empty_pages && !was_empty {
        let next = next_cursor(context, Cursor { of, after, was_empty: true });
        return Ok(page(context, &[], &next));
    }
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = match rows.last().filter(|_| has_more) {
        Some(last) => next_cursor(context, Cursor { of, after: last.number, was_empty: false }),
        None => String::new(),
    };
    let rows: Vec<Value> = rows.iter().map(Session::row).collect();
    Ok(page(context, &rows, &next))
}

/// Team and user, which come together or not at all.
fn subject(context: &Context<'_>) -> Result<Option<(String, String)>, Refusal> {
    let (team_id, user_id) = match (context.arguments.text("team_id")?, context.arguments.text("user_id")?) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(Refusal::code("missing_team")),
        (Some(_), None) => return Err(Refusal::code("missing_user")),
        (Some(team_id), Some(user_id)) => (team_id, user_id),
    };
    if !context.world.has_team(team_id) {
        return Err(Refusal::code("team_not_found"));
    }
    match context.world.user(user_id) {
        None => Err(Refusal::code("user_not_found")),
        Some(user) if user.person.is_bot => Err(Refusal::code("bots_not_allowed")),
        Some(_) => Ok(Some((team_id.to_owned(), user_id.to_owned()))),
    }
}

fn limit(context: &Context<'_>) -> Result<usize, Refusal> {
    let asked = context.arguments.integer("limit")?.map_or(Some(LARGEST_PAGE), |limit| usize::try_from(limit).ok());
    let asked = asked.filter(|limit| (1..=LARGEST_PAGE).contains(limit));
    let asked = asked.ok_or_else(|| Refusal::arguments("must be 1 to 1000 [json-pointer:/limit]"))?;
    Ok(asked.min(context.world.switches.page_cap.unwrap_or(asked)))
}

/// A cursor that was not handed out for the same team and user is invalid.
fn position(context: &Context<'_>, of: &Option<(String, String)>) -> Result<Option<Cursor>, Refusal> {
    let Some(cursor) = context.arguments.text("cursor")? else { return Ok(None) };
    let known = context.world.cursors.get(cursor).filter(|cursor| cursor.of == *of);
    known.cloned().map(Some).ok_or_else(|| Refusal::code("invalid_cursor"))
}

/// With `=` at the end and `+` inside, which a client must encode in a form.
fn next_cursor(context: &mut Context<'_>, cursor: Cursor) -> String {
    let name = format!("{}+{}=", ids::random("", 8), ids::random("", 8));
    context.world.cursors.insert(name.clone(), cursor);
    name
}

fn rows(context: &Context<'_>, of: &Option<(String, String)>, after: u64, most: usize) -> Vec<Session> {
    let world = &context.world;
    let is_stale = matches!(context.fault, Some(Fault::StaleList));
    let mut candidates: Box<dyn Iterator<Item = &Session>> = match (of, is_stale) {
        (Some((_, user_id)), true) => Box::new(world.sessions_before(user_id).into_iter()),
        (Some((_, user_id)), false) => Box::new(world.sessions_of(user_id)),
        (None, false) => Box::new(world.sessions_after(after)),
        (None, true) => {
            let mut all: Vec<&Session> =
                world.users().flat_map(|user| world.sessions_before(&user.person.id)).collect();
            all.sort_by_key(|session| session.number);
            Box::new(all.into_iter())
        }
    };
    if let Some((team_id, _)) = of {
        candidates = Box::new(candidates.filter(move |session| session.team_id == *team_id));
    }
    let is_shown = |session: &&Session| !session.has_expired || world.switches.list_expired;
    candidates.filter(|session| session.number > after).filter(is_shown).take(most).cloned().collect()
}

/// The end is told by an empty cursor, or by none.
fn page(context: &Context<'_>, rows: &[Value], next: &str) -> Reply {
    let mut fields = json!({"active_sessions": rows});
    if !(next.is_empty() && context.world.switches.omit_last_cursor) {
        fields["response_metadata"] = json!({"next_cursor": next});
    }
    Reply::ok(fields)
}
