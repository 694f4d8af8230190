//! How long sessions may last, per user. Changing it ends no session.

use serde_json::{Value, json};

use super::super::ledger::Effect;
use super::exchange::{Context, Reply};
use super::refusal::Refusal;

/// Eight hours to ten years, in seconds (`admin.users.session.setSettings`).
const DURATIONS_S: std::ops::RangeInclusive<i64> = 28_800..=315_569_520;

/// What was set for a user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    desktop_app_browser_quit: Option<bool>,
    duration_s: Option<i64>,
}

/// `admin.users.session.getSettings`. Who has no sessions is left out of both lists.
pub(super) fn get(context: &Context<'_>) -> Result<Reply, Refusal> {
    let ids = people(context)?;
    let signed_in = |id: &&String| context.world.sessions_of(id).any(|session| !session.has_expired);
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    for id in ids.iter().filter(signed_in) {
        match context.world.user(id).and_then(|user| user.settings) {
            Some(settings) => set.push(row(id, settings)),
            None => unset.push(id),
        }
    }
    Ok(Reply::ok(json!({"session_settings": set, "no_settings_applied": unset})))
}

/// `admin.users.session.setSettings`.
pub(super) fn set(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let user_ids = people(context)?;
    let desktop_app_browser_quit = context.arguments.boolean("desktop_app_browser_quit")?;
    let duration_s = context.arguments.integer("duration")?;
    if duration_s.is_some_and(|duration_s| !DURATIONS_S.contains(&duration_s)) {
        return Err(Refusal::arguments("must be 28800 to 315569520 [json-pointer:/duration]"));
    }
    if desktop_app_browser_quit.is_none() && duration_s.is_none() {
        return Err(Refusal::code("at_least_one_session_setting_required"));
    }
    change(context, user_ids, Some(Settings { desktop_app_browser_quit, duration_s }))
}

/// `admin.users.session.clearSettings`.
pub(super) fn clear(context: &mut Context<'_>) -> Result<Reply, Refusal> {
    let user_ids = people(context)?;
    change(context, user_ids, None)
}

fn change(context: &mut Context<'_>, user_ids: Vec<String>, to: Option<Settings>) -> Result<Reply, Refusal> {
    if context.pretends() {
        return Ok(Reply::ok(json!({})));
    }
    for id in &user_ids {
        if let Some(user) = context.world.user_mut(id) {
            user.settings = to;
        }
    }
    Ok(Reply::done(Effect::SettingsChanged { user_ids }))
}

/// Everybody named, all of them known and none a bot.
fn people(context: &Context<'_>) -> Result<Vec<String>, Refusal> {
    let ids = context.arguments.ids("user_ids")?;
    for id in &ids {
        let user = context.world.user(id).ok_or_else(|| Refusal::code("user_not_found"))?;
        if user.person.is_bot {
            return Err(Refusal::code("bots_not_allowed"));
        }
    }
    Ok(ids)
}

fn row(user_id: &str, settings: Settings) -> Value {
    json!({
        "user_id": user_id, "desktop_app_browser_quit": settings.desktop_app_browser_quit,
        "duration": settings.duration_s,
    })
}
