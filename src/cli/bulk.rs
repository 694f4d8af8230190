//! One decision about every job that a filter picks: how many they are is told and asked first.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};

use super::client::{Api, ApiError, Remote};
use super::text::{Sheet, number, plain};
use super::{Failure, Outcome};
use crate::domain::{DeadReason, HoldReason, JobId, JobState, ProviderName, SourceName};
use crate::store::BulkDone;

/// Which jobs, where no id names one.
#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Every job in this state: queued, proving, held, done, dead or cancelled
    #[arg(long, value_name = "STATE")]
    state: Option<JobState>,
    /// Every job held for this reason: budget, approval, account, credential, misconfigured or paused
    #[arg(long, value_name = "REASON")]
    hold_reason: Option<HoldReason>,
    /// Every job given up for this reason: refused, exhausted, unknown_account, contradicted or protected
    #[arg(long, value_name = "REASON")]
    dead_reason: Option<DeadReason>,
    /// Every job at this provider
    #[arg(long, value_name = "NAME")]
    provider: Option<ProviderName>,
    /// Every job whose first alert came from this source
    #[arg(long, value_name = "NAME")]
    source: Option<SourceName>,
    /// Every job of the person with this e-mail, user name or id
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Do it without asking, whatever their number
    #[arg(long)]
    yes: bool,
}

/// One job, or all that a filter picks.
pub(super) enum Which<'a> {
    One(JobId),
    Many(&'a FilterArgs),
}

impl FilterArgs {
    /// Exactly one of the two is given.
    pub(super) fn or(&self, id: Option<JobId>) -> Result<Which<'_>, Failure> {
        match (id, self.conditions().is_empty()) {
            (Some(id), true) if !self.yes => Ok(Which::One(id)),
            (None, false) => Ok(Which::Many(self)),
            (Some(_), _) => {
                Err(Failure::Usage(anyhow!("name one job by its id, or many by what they are, and not both")))
            }
            (None, true) => Err(Failure::Usage(anyhow!(
                "name a job by its id, or many by --state, --hold-reason, --dead-reason, --provider, --source or --subject"
            ))),
        }
    }

    fn conditions(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("state", self.state.map(|state| state.to_string())),
            ("hold_reason", self.hold_reason.map(|reason| reason.to_string())),
            ("dead_reason", self.dead_reason.map(|reason| reason.to_string())),
            ("provider", self.provider.as_ref().map(ToString::to_string)),
            ("source", self.source.as_ref().map(ToString::to_string)),
            ("subject", self.subject.clone()),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn body(&self, expect_count: u64, reason: &str) -> Value {
        let filter: serde_json::Map<String, Value> =
            self.conditions().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        json!({"filter": filter, "expect_count": expect_count, "reason": reason})
    }

    fn in_words(&self) -> String {
        let words: Vec<_> = self.conditions().into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        plain(&words.join(", "))
    }
}

/// Tells how many they are, asks, and decides about exactly so many.
pub(super) async fn decide(api: &Api, verb: &str, filter: &FilterArgs, reason: &str, remote: &Remote) -> Outcome {
    let path = format!("/v1/jobs/{verb}");
    // That there are none is never wrong to expect: if there are, nothing is changed and their number comes back.
    let count = match api.post(&path, &filter.body(0, reason)).await {
        Ok(none) => return remote.print(&none, |_: &BulkDone| Sheet::of("There is no such job: nothing was changed.")),
        Err(ApiError::Refused { count: Some(count), .. }) => count,
        Err(error) => return Err(error.into()),
    };
    if !filter.yes {
        confirm(&format!("{} {verb} ({})?", number(count, "job to", "jobs to"), filter.in_words()))?;
    }
    let answer = api.post(&path, &filter.body(count, reason)).await?;
    remote.print(&answer, |done| sheet(done, verb))
}

/// Nobody there to ask is no consent.
fn confirm(question: &str) -> Outcome {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage(anyhow!(
            "{question} Nobody can be asked here; give --yes if that is what you mean"
        )));
    }
    let mut terminal = std::io::stderr().lock();
    let _ = write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush());
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(|error| Failure::Failed(error.into()))?;
    if is_yes(&answer) { Ok(()) } else { Err(Failure::Failed(anyhow!("nothing was changed"))) }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn sheet(done: &BulkDone, verb: &str) -> Sheet {
    let mut sheet = Sheet::of(format_args!("{verb}: {} changed.", number(done.changed, "job", "jobs")));
    if done.left_count > 0 {
        sheet.line(format_args!("{} left as they are:", number(done.left_count, "job was", "jobs were")));
        sheet.table(&[], done.left.iter().map(|left| vec![left.id.to_string(), left.reason.clone()]));
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["y\n", "Y", " yes \r\n", "YES\n"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "ye\n", "yes please\n", "1\n"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}
