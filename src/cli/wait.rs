//! Waiting for the jobs of a receipt, for `sever send --wait`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::client::{Api, ApiError};
use super::text::{person, plain};
use super::{Failure, Outcome, err, out, words};
use crate::clock::{Clock, SystemClock};
use crate::domain::{self, JobId, JobState};
use crate::store::{JobDetail, JobView, Receipt};

/// Short against a revocation, long against a look at the store.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// How long it has been, and how long it may be.
pub(super) struct Stopwatch {
    clock: SystemClock,
    started: Timestamp,
    limit: Duration,
}

impl Stopwatch {
    /// Starts now.
    pub(super) fn start(limit: Duration) -> Self {
        let clock = SystemClock::new();
        Self { started: clock.steady(), clock, limit }
    }

    fn elapsed(&self) -> Duration {
        self.clock.steady().duration_since(self.started).try_into().unwrap_or_default()
    }

    /// Zero when the time is up.
    pub(super) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.elapsed())
    }
}

/// A job that is waited for.
struct Awaited {
    id: JobId,
    /// As it was last told.
    told: String,
    /// As it was last seen, for people and as it came.
    last: Option<(JobView, Box<RawValue>)>,
}

impl Awaited {
    fn new(id: JobId) -> Self {
        Self { id, told: String::new(), last: None }
    }

    /// Whether nothing more will happen to it by itself, or only once something is mended.
    fn has_ended(&self) -> bool {
        self.last.as_ref().is_some_and(|(job, _)| job.state.is_final() || job.state == JobState::Held)
    }
}

/// Tells each change of each job until all of them have ended. Fails unless every one is done, and well.
pub(super) async fn until_settled(api: &Api, receipt: &Receipt, watch: &Stopwatch, json: bool) -> Outcome {
    let ids: BTreeSet<JobId> = receipt.alerts.iter().flat_map(|alert| &alert.jobs).map(|job| job.id).collect();
    let mut awaited: Vec<Awaited> = ids.into_iter().map(Awaited::new).collect();
    loop {
        look_at_all(api, &mut awaited, watch, json).await?;
        if awaited.iter().all(Awaited::has_ended) || watch.left().is_zero() {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL.min(watch.left())).await;
    }
    if json {
        print_json(&awaited)?;
    }
    verdict(&awaited, watch)
}

async fn look_at_all(api: &Api, awaited: &mut [Awaited], watch: &Stopwatch, json: bool) -> Result<(), Failure> {
    for job in awaited.iter_mut().filter(|job| !job.has_ended()) {
        match look(api, job).await {
            Ok(()) => tell(job, watch, json),
            // It is taken already; a service that restarts goes on with it.
            Err(error) if error.may_pass() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn look(api: &Api, awaited: &mut Awaited) -> Result<(), ApiError> {
    let answer = api.get(&format!("/v1/jobs/{}", awaited.id), &[]).await?;
    let job = answer.read::<JobDetail>()?.job;
    // The other job does this one's work: what becomes of it is what counts.
    awaited.id = job.merged_into.unwrap_or(awaited.id);
    let merged = job.merged_into.is_some();
    awaited.last = (!merged).then_some((job, answer.read()?));
    Ok(())
}

/// One line for each change.
fn tell(awaited: &mut Awaited, watch: &Stopwatch, json: bool) {
    let Some((job, _)) = &awaited.last else { return };
    let now = words::standing(job);
    if now == awaited.told {
        return;
    }
    let seconds = watch.elapsed().as_secs_f64();
    let ended = job.sessions_ended.map(|n| format!(", {n} sessions ended")).unwrap_or_default();
    let line = plain(&format!("{seconds:7.1}s  {}  {}  {now}{ended}", job.provider, person(&job.subject)));
    if json {
        err(&line)
    } else {
        out(&line)
    }
    awaited.told = now;
}

fn print_json(awaited: &[Awaited]) -> Result<(), Failure> {
    let items: Vec<&RawValue> = awaited.iter().filter_map(|job| Some(&*job.last.as_ref()?.1)).collect();
    let text = serde_json::to_string(&items).map_err(anyhow::Error::from)?;
    out(&super::text::plain_json(&format!("{{\"items\":{text}}}")));
    Ok(())
}

fn verdict(awaited: &[Awaited], watch: &Stopwatch) -> Outcome {
    if awaited.is_empty() {
        let message = "no job came of it, so no session ends; `sever plan` tells why";
        return Err(Failure::Failed(anyhow!(message)));
    }
    let failures: Vec<String> = awaited.iter().filter_map(|job| failure(job, watch)).collect();
    if failures.is_empty() {
        return Ok(());
    }
    let (bad, all) = (failures.len(), awaited.len());
    Err(Failure::Failed(anyhow!("{bad} of {all} jobs did not end well: {}", failures.join("; "))))
}

/// What is wrong with how a job stands; `None`: nothing.
fn failure(awaited: &Awaited, watch: &Stopwatch) -> Option<String> {
    let Some((job, _)) = &awaited.last else {
        return Some(format!("{} could not be looked at; `sever jobs show {}`", awaited.id, awaited.id));
    };
    let (who, at, standing) = (plain(&person(&job.subject)), &job.provider, words::standing(job));
    match (job.state, job.outcome) {
        (JobState::Done, Some(outcome)) if words::is_success(outcome) => None,
        (JobState::Done, Some(domain::Outcome::UnknownAccount)) => {
            Some(format!("nobody called {who} was found at {at} (unknown_account), so no session ended there"))
        }
        (state, _) if state.is_final() || state == JobState::Held => {
            Some(format!("{who} at {at} is {standing}: {}", words::meaning(job)))
        }
        _ => {
            let limit = humantime::format_duration(watch.limit);
            Some(format!("{who} at {at} is still {standing} after {limit}; `sever jobs show {}` tells more", job.id))
        }
    }
}
