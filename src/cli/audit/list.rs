//! `sever audit list`: what happened, and who did it.

use clap::Args;
use serde_json::{Value, json};

use super::When;
use super::pages::each;
use crate::audit::AuditEvent;
use crate::cli::client::Remote;
use crate::cli::text::{Sheet, moment, plain_json};
use crate::cli::{Outcome, block_on, out};
use crate::domain::{AlertId, JobId};
use crate::store::AuditView;

/// Arguments of `sever audit list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only what is about this job
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,
    /// Only what is about this alert
    #[arg(long, value_name = "ID")]
    alert: Option<AlertId>,
    /// Only what was done under this token's name, or by `sever` itself
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only what is of this kind, such as `approved`
    #[arg(long, value_name = "EVENT")]
    event: Option<AuditEvent>,
    /// Not before: 2026-11-21T22:00:00Z, or 24h for that long ago
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Before
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// At most so many, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    remote: Remote,
}

impl ListArgs {
    fn filters(&self) -> Vec<(&'static str, String)> {
        let actor = self.actor.as_deref().map(|actor| match actor {
            "sever" => actor.to_owned(),
            name if name.starts_with("operator:") => name.to_owned(),
            name => format!("operator:{name}"),
        });
        let filters = [
            ("order", Some("newest".to_owned())),
            ("job", self.job.map(|id| id.to_string())),
            ("alert", self.alert.map(|id| id.to_string())),
            ("actor", actor),
            ("event", self.event.map(|event| event.as_str().to_owned())),
            ("since", self.since.map(|When(at)| at.to_string())),
            ("until", self.until.map(|When(at)| at.to_string())),
        ];
        filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

pub(super) fn run(args: &ListArgs) -> Outcome {
    let api = args.remote.api()?;
    let (mut rows, mut more): (Vec<Value>, bool) = (Vec::new(), false);
    let filters = args.filters();
    block_on(each(&api, "/v1/audit", &filters, "after", |row| {
        more = rows.len() >= args.limit as usize;
        if !more {
            rows.push(row);
        }
        !more
    }))??;
    if args.remote.is_json() {
        out(&plain_json(&json!({"items": rows, "next_cursor": null}).to_string()));
        return Ok(());
    }
    let rows: Vec<AuditView> = serde_json::from_value(Value::Array(rows)).map_err(anyhow::Error::from)?;
    sheet(&rows, more).print();
    Ok(())
}

fn sheet(rows: &[AuditView], more: bool) -> Sheet {
    if rows.is_empty() {
        return Sheet::of("There is nothing like that in the record.");
    }
    let mut sheet = Sheet::default();
    sheet.table(&["ROW", "AT", "EVENT", "BY", "ABOUT", "DETAIL"], rows.iter().map(line));
    if more {
        sheet.line("There is more: use --limit, or --since.");
    }
    sheet
}

fn line(row: &AuditView) -> Vec<String> {
    let about = match (row.job, row.alert) {
        (Some(job), _) => format!("job {job}"),
        (None, Some(alert)) => format!("alert {alert}"),
        (None, None) => String::new(),
    };
    let by = row.actor.strip_prefix("operator:").unwrap_or(&row.actor).to_owned();
    vec![row.seq.to_string(), moment(row.at), row.event.clone(), by, about, row.detail.to_string()]
}
