//! `sever jobs`: what is to be done, what was, and what a person decides about it.

use std::fmt::Write;

use clap::{Args, Subcommand};
use serde_json::json;

use super::bulk::{self, FilterArgs, Which};
use super::client::{Api, ApiError, Remote, Watch};
use super::text::{Sheet, moment, moment_or_blank, number, person, plain_json};
use super::{Failure, Outcome, block_on, out, words};
use crate::domain::{self, Attempt, DeadReason, HoldReason, JobId, JobState, ProviderName, Session, SourceName};
use crate::store::{AlertView, JobDetail, JobView, Page};

/// The most that the API gives at once.
const LARGEST_PAGE: u32 = 1000;

/// A job's story names so many of its alerts in full.
const MOST_ALERTS: usize = 20;

/// Arguments of `sever jobs`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct JobsArgs {
    #[command(subcommand)]
    command: Option<JobsCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// Tell a job's whole story
    #[command(after_help = "Example: sever jobs show 0199a7f0-3c1e-7a52-9d0b-5a4f0e6b7c11")]
    Show(ShowArgs),
    /// Try a dead or cancelled job again, or many
    #[command(
        after_help = "Example: sever jobs requeue 0199a7f0-3c1e-7a52-9d0b-5a4f0e6b7c11 --reason 'scope granted'\n     \
        or: sever jobs requeue --dead-reason refused --provider slack"
    )]
    Requeue(DecideArgs),
    /// Call a job off, or many
    #[command(
        after_help = "Example: sever jobs cancel 0199a7f0-3c1e-7a52-9d0b-5a4f0e6b7c11 --reason 'false alarm'\n     \
        or: sever jobs cancel --source edr --state held"
    )]
    Cancel(DecideArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those in this state: queued, leased, proving, held, done, dead or cancelled
    #[arg(long)]
    state: Option<JobState>,
    /// Only those held for this reason: budget, approval, account, credential, misconfigured or paused
    #[arg(long, value_name = "REASON")]
    hold_reason: Option<HoldReason>,
    /// Only those given up for this reason: refused, exhausted, unknown_account, contradicted or protected
    #[arg(long, value_name = "REASON")]
    dead_reason: Option<DeadReason>,
    /// Only those at this provider
    #[arg(long, value_name = "NAME")]
    provider: Option<ProviderName>,
    /// Only those whose first alert came from this source
    #[arg(long, value_name = "NAME")]
    source: Option<SourceName>,
    /// Only those of the person with this e-mail, user name or id
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// At most so many, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// All of them
    #[arg(long, conflicts_with_all = ["limit", "watch"])]
    all: bool,
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The job
    id: JobId,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct DecideArgs {
    /// The job
    id: Option<JobId>,
    /// Why, for the audit record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &JobsArgs) -> Outcome {
    match &args.command {
        None => block_on(list(&args.list))?,
        Some(JobsCommand::Show(args)) => block_on(show(args))?,
        Some(JobsCommand::Requeue(args)) => block_on(decide(args, "requeue"))?,
        Some(JobsCommand::Cancel(args)) => block_on(decide(args, "cancel"))?,
    }
}

async fn list(args: &ListArgs) -> Outcome {
    let api = args.remote.api()?;
    if args.all {
        return everything(args, &api).await;
    }
    let query = args.query(args.limit);
    let look = async || api.get("/v1/jobs", &query).await;
    let part = |page: &Page<JobView>| sheet(&page.items, page.next_cursor.is_some());
    args.watch.show(&args.remote, look, part).await
}

async fn everything(args: &ListArgs, api: &Api) -> Outcome {
    if args.remote.is_json() {
        let items: Vec<serde_json::Value> = pages(args, api).await?;
        out(&plain_json(&json!({"items": items, "next_cursor": null}).to_string()));
    } else {
        sheet(&pages(args, api).await?, false).print();
    }
    Ok(())
}

async fn pages<T: serde::de::DeserializeOwned>(args: &ListArgs, api: &Api) -> Result<Vec<T>, Failure> {
    let (mut items, mut query) = (Vec::new(), args.query(LARGEST_PAGE));
    let filters = query.len();
    loop {
        let page: Page<T> = api.get("/v1/jobs", &query).await?.read()?;
        items.extend(page.items);
        let Some(cursor) = page.next_cursor else { return Ok(items) };
        if query.last().is_some_and(|(_, earlier)| *earlier == cursor) {
            return Err(ApiError::Strange("the listing goes in a circle; is --url a sever?".to_owned()).into());
        }
        query.truncate(filters);
        query.push(("cursor", cursor));
    }
}

impl ListArgs {
    fn query(&self, limit: u32) -> Vec<(&'static str, String)> {
        let filters = [
            ("state", self.state.map(|state| state.to_string())),
            ("hold_reason", self.hold_reason.map(|reason| reason.to_string())),
            ("dead_reason", self.dead_reason.map(|reason| reason.to_string())),
            ("provider", self.provider.as_ref().map(ToString::to_string)),
            ("source", self.source.as_ref().map(ToString::to_string)),
            ("subject", self.subject.clone()),
            ("limit", Some(limit.to_string())),
        ];
        filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn sheet(jobs: &[JobView], more: bool) -> Sheet {
    if jobs.is_empty() {
        return Sheet::of("There is no such job.");
    }
    let mut sheet = Sheet::default();
    sheet.table(&["ID", "STATE", "PROVIDER", "SUBJECT", "SCOPE", "SEVERITY", "RECEIVED", "DUE"], jobs.iter().map(row));
    let nobody = jobs.iter().filter(|job| job.outcome == Some(domain::Outcome::UnknownAccount)).count();
    if nobody > 0 {
        sheet.line(format_args!("{nobody} of them found nobody (unknown_account): no session was ended there."));
    }
    if more {
        sheet.line("There are more: use --all, or --limit.");
    }
    sheet
}

fn row(job: &JobView) -> Vec<String> {
    let mut standing = words::standing(job);
    if job.dry_run && job.outcome != Some(domain::Outcome::DryRun) {
        standing.push_str(" (dry run)");
    }
    vec![
        job.id.to_string(),
        standing,
        job.provider.to_string(),
        person(&job.subject),
        scope(job),
        job.severity.as_str().to_owned(),
        moment(job.received_at),
        moment_or_blank(job.due_at),
    ]
}

fn scope(job: &JobView) -> String {
    serde_json::to_value(job.scope).ok().and_then(|scope| scope.as_str().map(str::to_owned)).unwrap_or_default()
}

async fn show(args: &ShowArgs) -> Outcome {
    let api = args.remote.api()?;
    let answer = api.get(&format!("/v1/jobs/{}", args.id), &[]).await?;
    let alerts = if args.remote.is_json() { Vec::new() } else { alerts(&api, &answer.read()?).await? };
    args.remote.print(&answer, |detail| story(detail, &alerts))
}

/// The alerts behind a job. One that cannot be had is left out: the story is told all the same.
async fn alerts(api: &Api, detail: &JobDetail) -> Result<Vec<AlertView>, ApiError> {
    let mut alerts = Vec::new();
    for id in detail.job.alert_ids.iter().take(MOST_ALERTS) {
        match api.get(&format!("/v1/alerts/{id}"), &[]).await {
            Ok(answer) => alerts.push(answer.read()?),
            Err(ApiError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(alerts)
}

fn story(detail: &JobDetail, alerts: &[AlertView]) -> Sheet {
    let job = &detail.job;
    let mut sheet = Sheet::of(format_args!("Job {}: {}", job.id, words::standing(job)));
    sheet.line(format_args!("  {}", words::meaning(job)));
    sheet.facts(&facts(job));
    for id in &job.alert_ids {
        sheet.facts(&[("alert", alert(alerts.iter().find(|alert| alert.id == *id), id))]);
    }
    for (name, items) in [("survives", &job.survives), ("given sessions", &given(job)), ("since then", &again(job))] {
        items.iter().for_each(|item| sheet.facts(&[(name, item.clone())]));
    }
    if detail.history.is_empty() {
        sheet.line("No attempt yet.");
    }
    for attempt in &detail.history {
        sheet.line(told(attempt));
    }
    sheet
}

fn facts(job: &JobView) -> Vec<(&'static str, String)> {
    let repeated = match job.repeated {
        0 => String::new(),
        n => format!("{} made although an earlier one, cut short, may have worked", number(n.into(), "call", "calls")),
    };
    vec![
        ("note", job.note.clone().unwrap_or_default()),
        ("provider", job.provider.to_string()),
        ("subject", person(&job.subject)),
        ("account", job.account_id.clone().unwrap_or_default()),
        ("scope", scope(job)),
        ("severity", job.severity.as_str().to_owned()),
        ("dry run", if job.dry_run { "yes: nothing is sent".to_owned() } else { String::new() }),
        ("rules", job.rules.join(", ")),
        ("source", job.source.to_string()),
        ("received", moment(job.received_at)),
        ("due", moment_or_blank(job.due_at)),
        ("ended", moment_or_blank(job.finished_at)),
        ("sessions ended", job.sessions_ended.map(|n| n.to_string()).unwrap_or_default()),
        ("merged into", job.merged_into.map(|id| id.to_string()).unwrap_or_default()),
        ("repeated", repeated),
        ("attempts", job.attempts.to_string()),
    ]
}

fn given(job: &JobView) -> Vec<String> {
    job.sessions.iter().map(|session| session.id().to_owned()).collect()
}

fn again(job: &JobView) -> Vec<String> {
    job.signed_in_again.iter().map(signed_in_again).collect()
}

fn signed_in_again(session: &Session) -> String {
    let at = session.created_at.map(|at| format!(" at {}", moment(at))).unwrap_or_default();
    let ip = session.ip.as_deref().map(|ip| format!(" from {ip}")).unwrap_or_default();
    let client = session.client.as_deref().map(|client| format!(" with {client}")).unwrap_or_default();
    format!("signed in again{at}{ip}{client}: session {}", session.id)
}

fn alert(alert: Option<&AlertView>, id: &domain::AlertId) -> String {
    let Some(alert) = alert else { return id.to_string() };
    let reason = alert.reason.as_deref().map(|reason| format!(", {reason:?}")).unwrap_or_default();
    let (external, kind, severity) = (&alert.external_id, &alert.kind, alert.severity.as_str());
    format!("{id} {external:?} {kind}, {severity}, at {}{reason}", moment(alert.occurred_at))
}

/// `#2 2026-11-21 22:14:09Z 124 ms throttled: users.sessions.delete 429 E0000047 too many (request abc)`
fn told(attempt: &Attempt) -> String {
    let Attempt { number, duration_ms, class, .. } = attempt;
    let mut text = format!("  #{number} {} {duration_ms} ms {class}:", moment(attempt.started_at));
    let status = attempt.status.map(|status| status.to_string());
    let message = Some(attempt.message.as_str()).filter(|message| !message.is_empty());
    for part in [attempt.operation.as_deref(), status.as_deref(), attempt.code.as_deref(), message] {
        let _ = part.map(|part| write!(text, " {part}"));
    }
    let _ = attempt.request_id.as_ref().map(|id| write!(text, " (request {id})"));
    text
}

async fn decide(args: &DecideArgs, what: &str) -> Outcome {
    let which = args.filter.or(args.id)?;
    let api = args.remote.api()?;
    let id = match which {
        Which::One(id) => id,
        Which::Many(filter) => return bulk::decide(&api, what, filter, &args.reason, &args.remote).await,
    };
    let answer = api.post(&format!("/v1/jobs/{id}/{what}"), &json!({"reason": args.reason})).await?;
    args.remote.print(&answer, decided)
}

/// How a job stands after a decision.
pub(super) fn decided(detail: &JobDetail) -> Sheet {
    let job = &detail.job;
    let mut sheet = Sheet::of(format_args!("Job {} is now {}: {}.", job.id, words::standing(job), words::meaning(job)));
    sheet.facts(&[("provider", job.provider.to_string()), ("subject", person(&job.subject))]);
    sheet
}
