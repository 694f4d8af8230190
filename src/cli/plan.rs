//! `sever plan`: what would happen to an alert, and why. Sends nothing, and needs neither network nor secrets.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use http::{HeaderName, HeaderValue};
use serde::Serialize;

use super::source::{Chosen, read_body};
use super::text::{Sheet, moment, person, plain, plain_json};
use super::{ConfigFile, Failure, Outcome, out};
use crate::clock::{Clock, SystemClock};
use crate::config::known_providers;
use crate::decode::{DecodeError, Decoder, Element, Fate, FieldTrace, Problem};
use crate::domain::{Alert, AlertSubject, Severity, SourceName};
use crate::policy::{Explanation, PlannedJob, Policy, PolicySettings, RuleTrace, Seen};

/// Arguments of `sever plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// The source that the alert would come from [default: the only one]
    #[arg(long, value_name = "NAME")]
    source: Option<SourceName>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// A header of the delivery, where the mapping or a CloudEvents envelope looks at it; may be given again
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, as the source would send it; - is standard input
    #[arg(value_name = "ALERT.json")]
    alert: PathBuf,
}

/// What a delivery would come to.
#[derive(Debug, Serialize)]
struct Planned {
    source: SourceName,
    alerts: Vec<PlannedAlert>,
    /// Elements that the mapping leaves out.
    skipped: Vec<LeftOut>,
    /// Elements that would be kept in quarantine.
    quarantined: Vec<LeftOut>,
}

#[derive(Debug, Serialize)]
struct PlannedAlert {
    alert: Alert,
    #[serde(flatten)]
    explanation: Explanation,
    #[serde(flatten)]
    origin: Origin,
}

/// Which element it was, and what the mapping's fields gave.
#[derive(Debug, Serialize)]
struct Origin {
    #[serde(skip_serializing_if = "Option::is_none")]
    element: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldTrace>,
}

/// An element that makes no alert.
#[derive(Debug, Serialize)]
struct LeftOut {
    #[serde(flatten)]
    origin: Origin,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
}

pub(super) fn run(args: &PlanArgs) -> Outcome {
    let chosen = Chosen::read(&args.file, args.source.as_ref())?;
    let policy = policy(&chosen)?;
    let decoder = decoder(&chosen)?;
    let body = read_body(&args.alert)?;
    let headers = args.headers.iter().cloned().collect();
    let elements = decoder.explain(&body, &headers, SystemClock::new().now());
    let planned = plan(chosen, &policy, elements.map_err(|error| undecodable(args, &error))?);
    if args.json {
        out(&plain_json(&serde_json::to_string_pretty(&planned).context("the plan cannot be written")?));
    } else {
        sheet(&planned).print();
    }
    // What is not one of several is all there is.
    match planned.quarantined.iter().find(|bad| bad.origin.element.is_none()) {
        Some(bad) => Err(undecodable(args, &DecodeError { problems: bad.problems.clone(), omitted: 0 })),
        None => verdict(&planned),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
    let name = name.trim().parse::<HeaderName>().map_err(|error| error.to_string())?;
    Ok((name, value.trim().parse::<HeaderValue>().map_err(|error| error.to_string())?))
}

fn decoder(chosen: &Chosen) -> Result<Decoder, Failure> {
    let Chosen { document, name, source, .. } = chosen;
    Decoder::new(source.format, source.alert.as_ref()).map_err(|found| {
        let mut problems = document.problems();
        let place = |(field, message)| document.problem(&format!("sources.{name}.{field}"), message);
        problems.extend(found.into_iter().map(place));
        Failure::Usage(anyhow!(problems))
    })
}

/// The rules and guardrails alone: the providers' credentials need not be on this machine.
fn policy(chosen: &Chosen) -> Result<Policy, Failure> {
    let Chosen { document, config, .. } = chosen;
    let settings = PolicySettings { rules: config.rules.clone(), guardrails: config.guardrails.clone() };
    Policy::new(&settings, &known_providers(&config.providers)).map_err(|found| {
        let mut problems = document.problems();
        problems.extend(found.into_iter().map(|(path, message)| document.problem(&path, message)));
        Failure::Usage(anyhow!(problems))
    })
}

fn undecodable(args: &PlanArgs, error: &DecodeError) -> Failure {
    let name = args.alert.display().to_string();
    let name = if name == "-" { "standard input" } else { &name };
    let mut text = format!("{name} is not an alert of this format:");
    for problem in &error.problems {
        text.push_str(&format!("\n  {}", plain(&problem.to_string())));
    }
    if error.omitted > 0 {
        text.push_str(&format!("\n  and {} more", error.omitted));
    }
    Failure::Usage(anyhow!(text))
}

fn plan(chosen: Chosen, policy: &Policy, elements: Vec<Element>) -> Planned {
    let mut planned = Planned { source: chosen.name, alerts: Vec::new(), skipped: Vec::new(), quarantined: Vec::new() };
    for Element { position, fate, fields } in elements {
        let origin = Origin { element: position, fields };
        match fate {
            Fate::Alert(alert) => {
                let explanation = policy.explain(&planned.source, &alert, chosen.source.dry_run);
                planned.alerts.push(PlannedAlert { alert: *alert, explanation, origin });
            }
            Fate::Skipped => planned.skipped.push(LeftOut { origin, problems: Vec::new() }),
            Fate::Bad(error) => planned.quarantined.push(LeftOut { origin, problems: error.problems }),
        }
    }
    planned
}

/// A rule that is neither true nor false is the config's fault, and its delivery would wait in quarantine.
fn verdict(planned: &Planned) -> Outcome {
    let errors = planned.alerts.iter().flat_map(|alert| &alert.explanation.errors);
    let mut rules: Vec<_> = errors.map(|error| format!("{:?}", error.rule)).collect();
    rules.dedup();
    if rules.is_empty() && planned.quarantined.is_empty() {
        return Ok(());
    }
    if rules.is_empty() {
        let count = planned.quarantined.len();
        return Err(Failure::Failed(anyhow!(
            "{count} element(s) would go to quarantine; mend the mapping or the sender"
        )));
    }
    let rules = rules.join(", ");
    Err(Failure::Failed(anyhow!("{rules} could not be evaluated: the delivery would go to quarantine; mend the rule")))
}

fn sheet(planned: &Planned) -> Sheet {
    let mut sheet = Sheet::default();
    for PlannedAlert { alert, explanation, origin } in &planned.alerts {
        describe(&mut sheet, alert, &planned.source);
        mapped(&mut sheet, origin);
        for rule in &explanation.rules {
            traced(&mut sheet, rule, alert);
        }
        jobs(&mut sheet, explanation);
    }
    for skipped in &planned.skipped {
        sheet.line(format_args!("{} is left out, for skip_when is true", which(&skipped.origin)));
        mapped(&mut sheet, &skipped.origin);
    }
    for bad in &planned.quarantined {
        sheet.line(format_args!("{} would be kept in quarantine:", which(&bad.origin)));
        bad.problems.iter().for_each(|problem| sheet.line(format_args!("  {problem}")));
        mapped(&mut sheet, &bad.origin);
    }
    if planned.alerts.is_empty() {
        sheet.line("There is no alert in it.");
    }
    sheet
}

fn which(origin: &Origin) -> String {
    origin.element.map_or_else(|| "It".to_owned(), |element| format!("Element {element}"))
}

/// Each field with the expression that it came from.
fn mapped(sheet: &mut Sheet, origin: &Origin) {
    for FieldTrace { field, expression, came } in &origin.fields {
        let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
        match came {
            Ok(value) => sheet.line(format_args!("  {field} is {value}")),
            Err(error) => sheet.line(format_args!("  {field} FAILED: {error}")),
        }
        sheet.line(format_args!("    from {expression}"));
    }
}

fn describe(sheet: &mut Sheet, alert: &Alert, source: &SourceName) {
    let (severity, at) = (alert.severity.as_str(), moment(alert.occurred_at));
    sheet.line(format_args!("Alert {} from {source}: {}, {severity}, at {at}", alert.id, alert.kind));
    for (position, subject) in alert.subjects.iter().enumerate() {
        sheet.line(format_args!("  subject {position}: {}", names(subject)));
    }
}

fn names(subject: &AlertSubject) -> String {
    subject.identifiers().map(|(field, name)| format!("{field} {name}")).collect::<Vec<_>>().join(", ")
}

fn traced(sheet: &mut Sheet, trace: &RuleTrace, alert: &Alert) {
    let RuleTrace { rule, subject, seen } = trace;
    // With one subject there is nothing to tell apart.
    let whom = if alert.subjects.len() > 1 { format!(", subject {subject}") } else { String::new() };
    match seen {
        Seen::Matched => sheet.line(format_args!("  rule {rule:?}{whom}: matched")),
        Seen::NotMatched { because, values } => {
            sheet.line(format_args!("  rule {rule:?}{whom}: not matched, for this is false: {because}"));
            for (field, value) in values {
                sheet.line(format_args!("    {field} is {}", in_words(field, value)));
            }
        }
        Seen::Failed { message } => sheet.line(format_args!("  rule {rule:?}{whom}: FAILED: {message}")),
    }
}

/// Rules compare severities by their rank; people call them by their names.
fn in_words<'v>(field: &str, value: &'v str) -> &'v str {
    let rank = value.parse().ok().filter(|_| field == "alert.severity");
    rank.and_then(Severity::from_rank).map_or(value, |severity| severity.as_str())
}

fn jobs(sheet: &mut Sheet, explanation: &Explanation) {
    for skipped in &explanation.skipped {
        sheet.line(format_args!("  no job from rule {:?}: {}", skipped.rule, skipped.reason));
    }
    if explanation.jobs.is_empty() {
        sheet.line("  No job: no session would end.");
        return;
    }
    sheet.table(&["PROVIDER", "SUBJECT", "SCOPE", "BEGINS", "RULES"], explanation.jobs.iter().map(row));
    let mut budgets: Vec<_> = explanation.jobs.iter().flat_map(|job| &job.budgets).collect();
    budgets.sort_unstable();
    budgets.dedup();
    for budget in budgets {
        sheet.line(format_args!("  before the call there has to be room in the budget of {budget}"));
    }
    for job in &explanation.jobs {
        if let Some(why) = &job.why {
            sheet.line(format_args!("  {} at {}: {why}", person(&job.subject), job.provider));
        }
    }
}

fn row(job: &PlannedJob) -> Vec<String> {
    let scope = serde_json::to_value(job.request.scope.kind()).unwrap_or_default();
    let scope = scope.as_str().unwrap_or_default().to_owned();
    vec![job.provider.to_string(), person(&job.subject), scope, begins(job), job.rules.join(", ")]
}

fn begins(job: &PlannedJob) -> String {
    let reason = match (job.hold_reason, job.dead_reason) {
        (Some(reason), _) => format!(": {reason}"),
        (None, Some(reason)) => format!(": {reason}"),
        (None, None) => String::new(),
    };
    let dry = if job.dry_run { ", dry run" } else { "" };
    format!("{}{reason}{dry}", job.state)
}
