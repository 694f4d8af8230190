//! `sever sessions`: a person's sessions at one provider, as it shows them now.

use clap::Args;
use serde::Deserialize;

use super::client::Remote;
use super::text::{Sheet, moment_or_blank, number};
use super::{Outcome, block_on};
use crate::domain::{ProviderName, Session};

/// Arguments of `sever sessions`.
#[derive(Debug, Args)]
pub(super) struct SessionsArgs {
    /// The provider, by its name in the config
    provider: ProviderName,
    #[command(flatten)]
    person: PersonArgs,
    /// In which order, in the provider's words, where it has any (The Things Stack: created_at, -created_at)
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    order: Option<String>,
    /// At most so many, where the provider has pages
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Which page, from 1, where the provider counts them
    #[arg(long, value_name = "N")]
    page: Option<u32>,
    /// Go on after the last part
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Who it is about, by exactly one name.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct PersonArgs {
    /// The account's id there
    #[arg(long)]
    id: Option<String>,
    /// The e-mail address
    #[arg(long)]
    email: Option<String>,
    /// The user name
    #[arg(long)]
    username: Option<String>,
}

/// A part of a person's sessions, as the API has it.
#[derive(Debug, Deserialize)]
struct Listing {
    items: Vec<Session>,
    next_cursor: Option<String>,
    total: Option<u64>,
    account_id: String,
    identifiers: Vec<String>,
}

pub(super) fn run(args: &SessionsArgs) -> Outcome {
    let person = &args.person;
    let (limit, page) = (args.limit.map(|limit| limit.to_string()), args.page.map(|page| page.to_string()));
    let named = [
        ("id", &person.id),
        ("email", &person.email),
        ("username", &person.username),
        ("order", &args.order),
        ("limit", &limit),
        ("page", &page),
        ("cursor", &args.cursor),
    ];
    let query: Vec<_> = named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    let api = args.remote.api()?;
    let answer = block_on(api.get(&format!("/v1/providers/{}/sessions", args.provider), &query))??;
    args.remote.print(&answer, sheet)
}

fn sheet(listing: &Listing) -> Sheet {
    let (count, names) = (listing.items.len() as u64, listing.identifiers.join(", "));
    let total = listing.total.map(|total| format!(" of {total}")).unwrap_or_default();
    let sessions = number(count, "session", "sessions");
    let mut sheet = Sheet::of(format_args!("{sessions}{total} of account {} ({names}).", listing.account_id));
    if !listing.items.is_empty() {
        let header = ["SESSION", "TEAM", "BEGAN", "LAST ACTIVE", "FROM", "WITH"];
        sheet.table(&header, listing.items.iter().map(row));
    }
    if let Some(cursor) = &listing.next_cursor {
        sheet.line(format_args!("There are more: --cursor {cursor}"));
    }
    sheet
}

fn row(session: &Session) -> Vec<String> {
    vec![
        session.id.clone(),
        session.team_id.clone().unwrap_or_default(),
        moment_or_blank(session.created_at),
        moment_or_blank(session.last_active_at),
        session.ip.clone().unwrap_or_default(),
        session.client.clone().unwrap_or_default(),
    ]
}
