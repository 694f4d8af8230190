//! Pages of listings: `limit`, `marker` and `page_info`.

use serde_json::{Value, json};

use super::exchange::Context;
use super::quirks::LastPage;
use super::refusal::Refusal;
use super::world::{Marker, World};
use crate::sandbox::ids;

/// The largest and the default page (API page of ListUsers).
const LARGEST_PAGE: usize = 100;

/// Markers have 24 characters (API page of ListUsers).
const MARKER_LENGTH: usize = 24;

/// The ids on a page, and the marker of the next.
pub(super) struct Page {
    pub(super) ids: Vec<String>,
    next: Option<String>,
}

/// `limit`, 1 to 100.
pub(super) fn limit(context: &Context<'_>) -> Result<usize, Refusal> {
    let Some(text) = context.parameter("limit") else { return Ok(LARGEST_PAGE) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<usize>().ok().filter(|number| digits && (1..=LARGEST_PAGE).contains(number));
    number.ok_or_else(|| Refusal::invalid(format!("limit is not between 1 and {LARGEST_PAGE}")))
}

/// `marker` of a listing that has no second page.
pub(super) fn no_marker(context: &Context<'_>) -> Result<(), Refusal> {
    match context.parameter("marker") {
        None => Ok(()),
        Some(_) => Err(unknown_marker()),
    }
}

impl Page {
    /// The page that the marker of the call names, of everybody, or of the users found by a name.
    pub(super) fn of(
        context: &mut Context<'_>,
        limit: usize,
        found: Option<(&str, &[String])>,
    ) -> Result<Self, Refusal> {
        let sent = context.parameter("marker").map(str::to_owned);
        let user_name = found.map(|(name, _)| name.to_owned());
        let start = match &sent {
            None => Marker { user_name, position: 0, announced: false },
            // A marker belongs to its filter.
            Some(marker) => {
                let known = context.world.markers.get(marker).filter(|known| known.user_name == user_name);
                known.cloned().ok_or_else(unknown_marker)?
            }
        };
        if context.world.quirks.empty_pages && !start.announced {
            let next = Some(remembered(context.world, Marker { announced: true, ..start }));
            return Ok(Self { ids: Vec::new(), next });
        }
        let all = found.map_or_else(|| context.world.order(), |(_, hits)| hits);
        let size = limit.min(context.world.quirks.page_cap.unwrap_or(limit)).max(1);
        let ids: Vec<String> = all.iter().skip(start.position).take(size).cloned().collect();
        let is_last = start.position + ids.len() >= all.len();
        let next = next(context.world, &start, ids.len(), is_last, sent);
        Ok(Self { ids, next })
    }

    /// `page_info`; `current_count` is the size of this page.
    pub(super) fn info(&self, count: usize, last_page: LastPage) -> Value {
        match (&self.next, last_page) {
            (Some(marker), _) => json!({"next_marker": marker, "current_count": count}),
            (None, LastPage::Null) => json!({"next_marker": null, "current_count": count}),
            (None, LastPage::Absent) => json!({"current_count": count}),
            (None, LastPage::Empty) => json!({"next_marker": "", "current_count": count}),
        }
    }
}

/// The marker after a page of `count`, which began at `start` and was asked for with the marker `sent`.
fn next(world: &mut World, start: &Marker, count: usize, is_last: bool, sent: Option<String>) -> Option<String> {
    if is_last {
        let itself = |world: &mut World| sent.unwrap_or_else(|| remembered(world, start.clone()));
        return world.quirks.endless_pages.then(|| itself(world));
    }
    // A page of one that repeated itself would never end.
    let repeated = usize::from(world.quirks.pages_move && count > 1);
    let position = start.position + count - repeated;
    Some(remembered(world, Marker { user_name: start.user_name.clone(), position, announced: false }))
}

fn remembered(world: &mut World, marker: Marker) -> String {
    let name = ids::random("", MARKER_LENGTH);
    world.markers.insert(name.clone(), marker);
    name
}

fn unknown_marker() -> Refusal {
    Refusal::invalid("marker was not handed out for this listing")
}
