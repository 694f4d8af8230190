//! Ending the sessions of many users with one call, once the calls for single ones are used up.
//!
//! Slack takes 20 resets a minute, and as many of the call that resets up to 1000 users. So whoever cannot be reset now
//! gathers for a moment with others who wait for the same, and they go together.
//!
//! Always holds: what one user is answered for is that user's alone. A user for whom the common call failed is reset
//! singly from then on. Any of those who wait drives the common call, so none depends on another staying.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::Notify;

use super::api::{Api, Call};
use super::sessions::begun;
use super::users::check_user_id;
use super::{Operation, errors};
use crate::domain::{Account, Revocation};
use crate::provider::http::Answer;
use crate::provider::{CallReport, ProviderError};

/// Slack takes no more users in one call.
const MOST_USERS: usize = 1000;

/// How long users gather: less than the margin that a lease has over a timeout. 20 such stretches fill most of a minute.
pub(super) const GATHER: Duration = Duration::from_secs(2);

/// Where the common call is not available at all, it is not tried again for so long.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(15 * 60);

/// So many users who have to go singly are remembered; the primary owner is the one we know of.
const MOST_SINGLE: usize = 10_000;

/// Slack's code where the reset could not be begun for some.
const PARTIAL: &str = "failed_for_some_users";

/// Which sessions a reset ends: Slack's two flags, of which both are never set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    All,
    Web,
    Mobile,
}

impl Reach {
    /// The flag to set, if any.
    pub(super) fn flag(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Web => Some("web_only"),
            Self::Mobile => Some("mobile_only"),
        }
    }
}

/// What the common call means for one user.
#[derive(Debug, Clone)]
enum Verdict {
    Begun,
    /// The common call does not work for this user.
    Singly,
    Failed(ProviderError),
}

type Verdicts = HashMap<String, Verdict>;
type Members = Arc<Mutex<Vec<String>>>;

/// Users who gather for one call.
#[derive(Clone)]
struct Batch {
    reach: Reach,
    members: Members,
    full: Arc<Notify>,
    end: Shared<BoxFuture<'static, Arc<Verdicts>>>,
}

/// The resets of one organization.
pub(super) struct Bulk {
    api: Arc<Api>,
    gather: Duration,
    /// Those that still gather, at most one of each reach.
    open: Mutex<Vec<Batch>>,
    single: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for Bulk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bulk").field("gather", &self.gather).finish_non_exhaustive()
    }
}

impl Bulk {
    pub(super) fn new(api: Arc<Api>, gather: Duration) -> Self {
        Self { api, gather, open: Mutex::default(), single: Mutex::default() }
    }

    /// Ends all sessions of `account` within `reach`, with a call for it alone or, where that has to wait, with others.
    pub(super) async fn end_all(
        self: &Arc<Self>,
        account: &Account,
        reach: Reach,
    ) -> Result<Revocation, ProviderError> {
        let user = check_user_id(&account.id)?;
        let mut has_to_wait = match self.api.reset(account, reach).await {
            Err(error @ ProviderError::Throttled { .. }) => error,
            done => return self.settled(user, done, reach),
        };
        if !lock(&self.single).contains(user) && self.api.obstacle(Operation::ResetBulk).is_none() {
            match self.join(user, reach).await {
                Verdict::Begun => return Ok(begun(reach)),
                Verdict::Failed(ProviderError::Throttled { retry_after, report }) => {
                    has_to_wait = sooner(has_to_wait, retry_after, report);
                }
                Verdict::Failed(error) => return Err(error),
                Verdict::Singly => {
                    let done = self.api.reset(account, reach).await;
                    return self.settled(user, done, reach);
                }
            }
        }
        Err(has_to_wait)
    }

    /// An answer about this user alone ends what is known about going singly.
    fn settled(&self, user: &str, done: Result<(), ProviderError>, reach: Reach) -> Result<Revocation, ProviderError> {
        if !matches!(done, Err(ProviderError::Throttled { .. } | ProviderError::Unavailable(_))) {
            lock(&self.single).remove(user);
        }
        done.map(|()| begun(reach))
    }

    async fn join(self: &Arc<Self>, user: &str, reach: Reach) -> Verdict {
        let batch = self.enter(user, reach);
        let _leaves = Leaves { bulk: self, batch: &batch, user };
        let verdicts = batch.end.clone().await;
        verdicts.get(user).cloned().unwrap_or(Verdict::Singly)
    }

    /// The batch that gathers for `reach`, now with `user` in it.
    fn enter(self: &Arc<Self>, user: &str, reach: Reach) -> Batch {
        let mut open = lock(&self.open);
        let at = open.iter().position(|batch| batch.reach == reach).unwrap_or_else(|| {
            open.push(self.begin(reach));
            open.len() - 1
        });
        let mut members = lock(&open[at].members);
        members.push(user.to_owned());
        let is_full = members.len() >= MOST_USERS;
        drop(members);
        if !is_full {
            return open[at].clone();
        }
        let batch = open.swap_remove(at);
        batch.full.notify_one();
        batch
    }

    fn begin(self: &Arc<Self>, reach: Reach) -> Batch {
        let (members, full) = (Members::default(), Arc::new(Notify::new()));
        let end = Arc::clone(self).run(reach, Arc::clone(&members), Arc::clone(&full)).boxed().shared();
        Batch { reach, members, full, end }
    }

    async fn run(self: Arc<Self>, reach: Reach, members: Members, full: Arc<Notify>) -> Arc<Verdicts> {
        tokio::select! {
            () = tokio::time::sleep(self.gather) => {}
            () = full.notified() => {}
        }
        let users = self.close(&members);
        Arc::new(self.send_all(users, reach).await)
    }

    /// Nobody enters any more.
    fn close(&self, members: &Members) -> Vec<String> {
        let mut open = lock(&self.open);
        open.retain(|batch| !Arc::ptr_eq(&batch.members, members));
        let mut users = std::mem::take(&mut *lock(members));
        users.sort_unstable();
        users.dedup();
        users
    }

    /// One user may make Slack refuse the call for all: then each half is tried, until it is clear who.
    async fn send_all(&self, users: Vec<String>, reach: Reach) -> Verdicts {
        let (mut verdicts, mut parts) = (Verdicts::new(), vec![users]);
        while let Some(mut part) = parts.pop() {
            match self.send(&part, reach).await {
                Ok(found) => verdicts.extend(found),
                Err(error) if part.len() > 1 && may_be_about_one(&error) => {
                    let half = part.split_off(part.len() / 2);
                    parts.extend([half, part]);
                }
                Err(error) => {
                    let verdict = self.verdict_of(error);
                    verdicts.extend(part.into_iter().map(|user| (user, verdict.clone())));
                }
            }
        }
        verdicts
    }

    async fn send(&self, users: &[String], reach: Reach) -> Result<Verdicts, ProviderError> {
        if users.is_empty() {
            return Ok(Verdicts::new());
        }
        let mut call = Call::new(Operation::ResetBulk).with("user_ids", users.join(",")).at_once();
        if let Some(flag) = reach.flag() {
            call = call.with(flag, "true");
        }
        let answer = self.api.call(&call).await?;
        if errors::is_yes(&answer) {
            return Ok(users.iter().map(|user| (user.clone(), Verdict::Begun)).collect());
        }
        if errors::code_of(&answer).as_deref() == Some(PARTIAL) {
            return Ok(self.sort(users, &answer));
        }
        Err(self.api.error(Operation::ResetBulk, &answer))
    }

    /// Those whom a partial answer names go singly; all of them, where it names none.
    fn sort(&self, users: &[String], answer: &Answer) -> Verdicts {
        let failed = failed_users(answer);
        let names_any = users.iter().any(|user| failed.contains(user));
        if !names_any {
            tracing::warn!(fields = fields_of(answer), "Slack does not say for whom the common reset failed");
        }
        let verdict = |user: &String| match names_any && !failed.contains(user) {
            true => Verdict::Begun,
            false => self.singly(user),
        };
        users.iter().map(|user| (user.clone(), verdict(user))).collect()
    }

    fn singly(&self, user: &str) -> Verdict {
        let mut single = lock(&self.single);
        if single.len() >= MOST_SINGLE {
            single.clear();
        }
        single.insert(user.to_owned());
        Verdict::Singly
    }

    /// Where the method itself is not available, single calls still may be.
    fn verdict_of(&self, error: ProviderError) -> Verdict {
        if matches!(error, ProviderError::Misconfigured(_)) {
            tracing::warn!(error = %error, "sessions of many users cannot be ended together; it is done singly");
            self.api.pace.close(Operation::ResetBulk.as_str(), UNAVAILABLE_FOR);
            return Verdict::Singly;
        }
        Verdict::Failed(error)
    }
}

/// Takes a user out whose attempt ended while the batch still gathered: nobody holds the lease any more.
struct Leaves<'b> {
    bulk: &'b Bulk,
    batch: &'b Batch,
    user: &'b str,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut open = lock(&self.bulk.open);
        let mut members = lock(&self.batch.members);
        if let Some(at) = members.iter().position(|member| member == self.user) {
            members.swap_remove(at);
        }
        if members.is_empty() {
            open.retain(|batch| !Arc::ptr_eq(&batch.members, &self.batch.members));
        }
    }
}

/// The field is that of `admin.conversations.invite`, which answers with the same code; for resets it is not documented.
#[derive(Deserialize)]
struct Partial {
    failed_user_ids: Failed,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Failed {
    WithReasons(HashMap<String, IgnoredAny>),
    Names(Vec<String>),
}

fn failed_users(answer: &Answer) -> BTreeSet<String> {
    match answer.json::<Partial>().map(|partial| partial.failed_user_ids) {
        Some(Failed::WithReasons(reasons)) => reasons.into_keys().collect(),
        Some(Failed::Names(names)) => names.into_iter().collect(),
        None => BTreeSet::new(),
    }
}

/// The names of the answer's fields, so that a person can tell us where Slack puts it.
fn fields_of(answer: &Answer) -> String {
    let fields = answer.json::<HashMap<String, IgnoredAny>>().unwrap_or_default();
    let mut names: Vec<String> = fields.into_keys().collect();
    names.sort_unstable();
    answer.scrub.text(&names.join(" "))
}

/// A refusal that may be the fault of one user among many.
fn may_be_about_one(error: &ProviderError) -> bool {
    matches!(error, ProviderError::Refused(_) | ProviderError::UnknownAccount(_) | ProviderError::Forbidden(_))
}

/// Neither call may be made: the job is due when the first of them may.
fn sooner(one: ProviderError, other: Option<Duration>, report: CallReport) -> ProviderError {
    let ProviderError::Throttled { retry_after: Some(one), .. } = one else {
        return ProviderError::Throttled { retry_after: other, report };
    };
    ProviderError::Throttled { retry_after: Some(other.map_or(one, |other| other.min(one))), report }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
