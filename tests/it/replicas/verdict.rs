//! What has to be so in the end, asked of the providers' own records, of the store and of the audit record.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use sever::domain::{AttemptClass, DeadReason, HoldReason, JobState, Outcome};
use sever::store::{AuditView, JobFilter, JobView, Operations, PostgresStore};

use super::load::{Kind, Sent};
use super::scene::{BUDGET, Scene, WELL};
use crate::process::sever;
use crate::support::store::first_break;

/// What is wrong.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Not yet as it has to be: time may mend it.
    pub(super) waiting: Vec<String>,
    /// Never to happen.
    pub(super) broken: Vec<String>,
}

/// Every job.
pub(super) async fn read(store: &PostgresStore) -> Vec<JobView> {
    let (mut jobs, mut cursor) = (Vec::new(), None);
    loop {
        let filter = JobFilter { cursor, limit: 1000, ..JobFilter::default() };
        let page = store.jobs(filter).await.expect("a page");
        jobs.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = next.parse().ok(),
            None => return jobs,
        }
    }
}

/// Jobs by provider and account.
struct Jobs<'j>(HashMap<(&'j str, &'j str), Vec<&'j JobView>>);

impl<'j> Jobs<'j> {
    fn new(jobs: &'j [JobView]) -> Self {
        let mut by_account: HashMap<_, Vec<_>> = HashMap::new();
        for job in jobs {
            let account = job.account_id.as_deref().or(job.subject.id.as_deref());
            by_account.entry((job.provider.as_str(), account.unwrap_or_default())).or_default().push(job);
        }
        Self(by_account)
    }

    fn of<'s>(&'s self, provider: &'s str, account: &'s str) -> &'s [&'j JobView] {
        self.0.get(&(provider, account)).map_or(&[], Vec::as_slice)
    }
}

/// What there is to know of jobs, in short.
fn told(jobs: &[&JobView]) -> String {
    let told = |job: &&JobView| {
        let JobView { id, provider, state, outcome, hold_reason, dead_reason, attempts, repeated, note, .. } = job;
        format!(
            "{id} at {provider} is {state:?} {outcome:?} {hold_reason:?} {dead_reason:?} after {attempts} attempts, \
             {repeated} repeated, for {:?} due {:?}: {note:?}",
            job.account_id, job.due_at
        )
    };
    if jobs.is_empty() { "no job".to_owned() } else { jobs.iter().map(told).collect::<Vec<_>>().join("; ") }
}

/// Provider, account, and how many calls reached it. To be counted before the jobs are read, which then show every repeat
/// among them.
pub(super) type Calls = BTreeMap<&'static str, BTreeMap<String, usize>>;

pub(super) fn count(scene: &Scene) -> Calls {
    WELL.iter().map(|provider| (*provider, scene.calls(provider))).collect()
}

pub(super) fn judge(scene: &Scene, sent: &[Sent], calls: &Calls, jobs: &[JobView]) -> Found {
    let (mut found, by_account) = (Found::default(), Jobs::new(jobs));
    for sent in sent {
        for (provider, account) in &sent.accounts {
            let jobs = by_account.of(provider, account);
            judge_account(scene, sent, provider, account, jobs, &mut found);
        }
    }
    for job in jobs {
        judge_job(job, &mut found);
    }
    for (provider, calls) in calls {
        judge_calls(provider, calls, &by_account, &mut found);
    }
    judge_budget(sent, calls, &mut found);
    judge_counts(sent, jobs, &mut found);
    if scene.tripwires() > 0 {
        found.broken.push("a call that no honest client makes".to_owned());
    }
    found
}

fn judge_account(scene: &Scene, sent: &Sent, provider: &str, account: &str, jobs: &[&JobView], found: &mut Found) {
    let told = || format!("{} {:?} at {provider}: {}", sent.alert, sent.kind, told(jobs));
    let outcomes: &[Outcome] = match provider {
        "okta" => &[Outcome::Confirmed],
        // A call is made also where the look before it was throttled.
        "busy" => &[Outcome::Verified, Outcome::Accepted],
        _ => &[Outcome::Verified],
    };
    let is_ended = |job: &&JobView| job.state == JobState::Done && job.outcome.is_some_and(|it| outcomes.contains(&it));
    let ended = jobs.iter().any(is_ended);
    let sessions = scene.sessions_of(provider, account);
    if ended && sessions > 0 {
        found.broken.push(format!("a false success, {}", told()));
    }
    let fine = match (sent.kind, provider) {
        (Kind::Protected, _) => {
            if sessions == 0 {
                found.broken.push(format!("a protected account was touched, {}", told()));
            }
            true
        }
        // Nobody can be found there, so its jobs are counted.
        (_, "gone") => true,
        (_, "liar") => jobs.iter().any(|job| job.state == JobState::Dead),
        (Kind::Budgeted, _) => ended || jobs.iter().any(|job| job.hold_reason == Some(HoldReason::Budget)),
        (Kind::Ordinary | Kind::Everywhere, _) => ended && sessions == 0,
    };
    if !fine {
        found.waiting.push(told());
    }
}

fn judge_job(job: &JobView, found: &mut Found) {
    let is_open = matches!(job.state, JobState::Queued | JobState::Leased | JobState::Proving);
    match job.provider.as_str() {
        "gone" | "liar" if job.state == JobState::Done => {
            found.broken.push(format!("a false success: {}", told(&[job])))
        }
        "gone" => {}
        _ if is_open => found.waiting.push(format!("open: {}", told(&[job]))),
        _ => {}
    }
}

/// What cannot be told by account: jobs that found none, and those that were stopped before they looked for one.
fn judge_counts(sent: &[Sent], jobs: &[JobView], found: &mut Found) {
    let of = |kind| sent.iter().filter(|sent| sent.kind == kind).count();
    let mut demand = |what: &str, seen: usize, wanted: usize| match seen.cmp(&wanted) {
        Ordering::Less => found.waiting.push(format!("{seen} of {wanted} jobs {what}")),
        Ordering::Equal => {}
        Ordering::Greater => found.broken.push(format!("{seen} jobs {what}, and {wanted} alerts")),
    };
    let gone = |job: &&JobView| job.provider.as_str() == "gone" && job.merged_into.is_none();
    demand("at the provider that is gone", jobs.iter().filter(gone).count(), of(Kind::Everywhere));
    for provider in ["okta", "chat"] {
        let stopped =
            |job: &&JobView| job.provider.as_str() == provider && job.dead_reason == Some(DeadReason::Protected);
        demand(&format!("stopped at {provider}"), jobs.iter().filter(stopped).count(), of(Kind::Protected));
    }
}

/// One call for each account, and one more for each repeat that a job shows.
fn judge_calls(provider: &str, calls: &BTreeMap<String, usize>, jobs: &Jobs<'_>, found: &mut Found) {
    for (account, calls) in calls {
        let jobs = jobs.of(provider, account);
        let shown: u32 = jobs.iter().map(|job| job.repeated).sum();
        if *calls > 1 + shown as usize {
            found.broken.push(format!("{calls} calls for {account} at {provider}, {shown} shown: {}", told(jobs)));
        }
    }
}

/// People of the source with a budget who were acted on.
fn acted_on(sent: &[Sent], calls: &Calls) -> BTreeSet<String> {
    let budgeted = sent.iter().filter(|sent| sent.kind == Kind::Budgeted);
    let acted = budgeted.filter(|sent| sent.accounts.iter().any(|(name, id)| calls[name].contains_key(id)));
    acted.map(|sent| sent.alert.clone()).collect()
}

fn judge_budget(sent: &[Sent], calls: &Calls, found: &mut Found) {
    let acted = acted_on(sent, calls).len();
    let asked = sent.iter().filter(|sent| sent.kind == Kind::Budgeted).count();
    if acted > BUDGET {
        found.broken.push(format!("{acted} people lost their sessions, and the budget has {BUDGET}"));
    }
    if acted < BUDGET.min(asked) {
        found.waiting.push(format!("{acted} people of {asked} lost their sessions, and the budget has {BUDGET}"));
    }
}

/// Each repeat follows an attempt that ended without a word, and there are no more of those than things went wrong.
pub(super) async fn judge_repeats(store: &PostgresStore, jobs: &[JobView], faults: usize) {
    for job in jobs.iter().filter(|job| job.repeated > 0) {
        let detail = store.job(job.id).await.expect("an answer").expect("a job");
        let unsure = |class| matches!(class, AttemptClass::Lost | AttemptClass::Released | AttemptClass::Unavailable);
        let unsure = detail.history.iter().filter(|attempt| unsure(attempt.class)).count();
        let repeated = job.repeated as usize;
        assert!(repeated <= unsure, "{repeated} repeats for {unsure} attempts without a word: {detail:#?}");
        assert!(repeated <= faults, "{repeated} repeats after {faults} faults: {detail:#?}");
    }
}

/// The record tells everything, in whole chains; nothing was kept for a person that honest senders sent.
pub(super) async fn judge_record(scene: &Scene, store: &PostgresStore) {
    let quarantine = store.status().await.expect("a status").quarantine;
    assert!(quarantine.values().all(|kept| *kept == 0), "{quarantine:?}");
    let mut rows: Vec<AuditView> = Vec::new();
    loop {
        let page = store.audit(rows.last().map(|row| row.seq), 1000).await.expect("a page");
        if page.items.is_empty() {
            break;
        }
        rows.extend(page.items);
    }
    assert_eq!(first_break(&rows), None);
    let verify = sever().args(["audit", "verify", "-c"]).arg(scene.config()).output().expect("it runs");
    let said = [verify.stdout, verify.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(verify.status.success(), "{said}");
}

/// What is worth knowing of a run.
pub(super) fn figures(sent: &[Sent], calls: &Calls, jobs: &[JobView]) -> String {
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    sent.iter().for_each(|sent| *kinds.entry(sent.kind).or_default() += 1);
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for job in jobs {
        let (done, held) = (job.outcome.map(|it| it.to_string()), job.hold_reason.map(|it| it.to_string()));
        let why = done.or(held).or(job.dead_reason.map(|it| it.to_string())).unwrap_or_default();
        let key = format!("{} {:?} {why}", job.provider, job.state);
        *ends.entry(key).or_default() += 1;
    }
    let repeated: u32 = jobs.iter().map(|job| job.repeated).sum();
    let again: usize = calls.values().flat_map(BTreeMap::values).map(|calls| calls - 1).sum();
    let acted = acted_on(sent, calls).len();
    format!(
        "alerts: {kinds:?}; jobs: {ends:?}; {repeated} repeats shown, {again} calls made again; {acted} people lost \
         their sessions under a budget of {BUDGET}"
    )
}
