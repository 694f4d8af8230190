//! Watches jobs until nothing more happens to them, and tells each step as it is seen.

use std::collections::BTreeMap;
use std::time::Duration;

use super::facts::JobFact;
use super::operator::Operator;
use super::tell::{News, Timeline};
use crate::domain::{Attempt, JobId, JobState};
use crate::store::{JobDetail, JobView};

/// A look this often is cheap, and no step seems late.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// Every scene ends well within it; what has not ended then is told as it is.
const PATIENCE: Duration = Duration::from_secs(20);

/// The jobs of one scene.
pub(super) struct Watch<'a> {
    operator: &'a Operator,
    jobs: BTreeMap<JobId, Seen>,
}

/// What has been told about a job.
#[derive(Default)]
struct Seen {
    attempts: usize,
    ended: bool,
    fact: Option<JobFact>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(operator: &'a Operator) -> Self {
        Self { operator, jobs: BTreeMap::new() }
    }

    /// Watches these too. A job that is watched already stays as it was.
    pub(super) fn add(&mut self, jobs: &[JobId]) {
        for job in jobs {
            self.jobs.entry(*job).or_default();
        }
    }

    /// How each job stands.
    pub(super) fn facts(&self) -> Vec<JobFact> {
        self.jobs.values().filter_map(|seen| seen.fact.clone()).collect()
    }

    /// Returns once every job has ended, waits for a person, or has taken too long.
    pub(super) async fn until_settled(&mut self, timeline: &mut Timeline) -> anyhow::Result<()> {
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        loop {
            let waiting = self.look(timeline).await?;
            let Some(waiting) = waiting else { return Ok(()) };
            timeline.unless_silent_too_long(&waiting);
            tokio::select! {
                () = &mut patience => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// One look at every job; what one of them is still waiting for.
    async fn look(&mut self, timeline: &mut Timeline) -> anyhow::Result<Option<String>> {
        let (mut waiting, mut news, several) = (None, Vec::new(), self.jobs.len() > 1);
        for (id, seen) in &mut self.jobs {
            let detail = self.operator.job(*id).await?;
            let label = if several { format!("{}: ", subject(&detail.job)) } else { String::new() };
            news.extend(seen.take_in(&detail, &label, timeline));
            waiting = waiting.or_else(|| seen.waiting(&detail.job));
        }
        timeline.all(news);
        Ok(waiting)
    }
}

impl Seen {
    /// Notes how the job stands; what is new about it.
    fn take_in(&mut self, detail: &JobDetail, label: &str, timeline: &Timeline) -> Vec<News> {
        let job = &detail.job;
        let tell = |at, text: String| News { at, who: job.provider.to_string(), text: format!("{label}{text}") };
        let mut news = Vec::new();
        for attempt in detail.history.iter().skip(self.attempts) {
            let ended_at = attempt.started_at + Duration::from_millis(attempt.duration_ms);
            news.push(tell(attempt.started_at, format!("claimed, attempt {}", attempt.number)));
            news.push(tell(ended_at, described(attempt)));
            if let Some(due_at) = job.due_at.filter(|_| !job.state.is_final()) {
                news.push(tell(ended_at, format!("due again at +{} ms", timeline.milliseconds_to(due_at))));
            }
        }
        let ended = job.state.is_final() || job.state == JobState::Held;
        if ended && !self.ended {
            news.push(tell(timeline.now(), format!("job {}", conclusion(job))));
        }
        *self = Self { attempts: detail.history.len(), ended, fact: Some(fact(detail)) };
        news
    }

    fn waiting(&self, job: &JobView) -> Option<String> {
        (!self.ended).then(|| match job.state {
            JobState::Leased => format!("{}: attempt {} is running", job.provider, job.attempts),
            state => format!("{}: {state}, waiting until it is due", job.provider),
        })
    }
}

fn subject(job: &JobView) -> &str {
    let subject = &job.subject;
    let name = subject.email.as_deref().or(subject.username.as_deref()).or(subject.id.as_deref());
    name.unwrap_or_default()
}

fn described(attempt: &Attempt) -> String {
    let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
    let code = attempt.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    format!("attempt {}: {}{status}{code}: {}", attempt.number, attempt.class, attempt.message)
}

fn conclusion(job: &JobView) -> String {
    let repeated = if job.repeated > 0 { format!(", repeated: {}", job.repeated) } else { String::new() };
    let note = job.note.as_ref().filter(|_| job.attempts == 0).map(|note| format!(" ({note})")).unwrap_or_default();
    match job.state {
        JobState::Done => format!("done: {}{repeated}{note}", end(job)),
        _ => format!("{}{repeated}{note}", end(job)),
    }
}

fn fact(detail: &JobDetail) -> JobFact {
    let job = &detail.job;
    let attempts = detail.history.iter().map(|attempt| attempt.class).collect();
    JobFact { provider: job.provider.to_string(), end: end(job), attempts, repeated: job.repeated }
}

/// The outcome, or the state with its reason.
fn end(job: &JobView) -> String {
    let reason = match job.state {
        JobState::Done => return job.outcome.map_or_else(|| "done".to_owned(), |outcome| outcome.to_string()),
        JobState::Dead => job.dead_reason.map(|reason| reason.to_string()),
        JobState::Held => job.hold_reason.map(|reason| reason.to_string()),
        JobState::Queued | JobState::Leased | JobState::Proving | JobState::Cancelled => None,
    };
    reason.map_or_else(|| job.state.to_string(), |reason| format!("{}: {reason}", job.state))
}
