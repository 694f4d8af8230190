//! Stories: a signed alert goes in, and what is said of the job is what happened at Slack.

use std::time::Duration;

use serde_json::{Value, json};
use sever::domain::{DeadReason, HoldReason, JobState, Outcome};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::slack::{Device, Operation, Permission, Person};

use super::org::{Org, TOKEN};
use crate::testapp::{Answer, TestApp, by_email, stolen};

const SECOND: Duration = Duration::from_secs(1);

/// The service around an organization in the sandbox.
struct Story {
    org: Org,
    app: TestApp,
}

impl Story {
    async fn new() -> Self {
        let org = Org::new().await;
        let teams = org.teams.to_vec();
        Self::with(org, &teams, "all").await
    }

    async fn with(org: Org, teams: &[String], scope: &str) -> Self {
        let (url, target) = (format!("{}/api", org.slack.url()), json!({"provider": "slack", "scope": scope}));
        let settings = json!({"kind": "slack", "url": url, "credentials": {"token": {"value": TOKEN}},
            "team_ids": teams, "timeout": "2s"});
        let app = TestApp::with_target(org.clock.clone(), target, settings).await;
        Self { org, app }
    }

    async fn alert(&self, subject: Value) -> Answer {
        let answer = self.app.deliver(stolen("edr-1", json!([subject]))).await.assert_accepted();
        self.app.drain().await;
        answer
    }

    /// Lets time pass until the job is over.
    async fn end(&self, answer: &Answer) -> sever::store::JobView {
        for _ in 0..100 {
            let job = self.app.job(answer.job()).await.job;
            if job.state.is_final() {
                return job;
            }
            self.app.wait_and_drain(SECOND * 3).await;
        }
        panic!("it does not end: {:#?}", self.app.job(answer.job()).await);
    }
}

#[tokio::test]
async fn what_is_gone_in_two_looks_is_verified() {
    for delay in [0, 3] {
        let story = Story::new().await;
        let ana = story.org.person("ana@example.com");
        story.org.slack.delay_resets(jiff::SignedDuration::from_secs(delay));
        let answer = story.alert(json!({"email": ana.email})).await;
        let job = story.app.job(answer.job()).await.job;
        assert_eq!(job.state, JobState::Proving, "Slack has only begun");
        let job = story.end(&answer).await;
        assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(3)), "{job:#?}");
        assert_eq!(job.account_id.as_deref(), Some(ana.id.as_str()));
        assert!(!job.survives.is_empty());
        assert_eq!((story.org.slack.sessions_of(&ana.id), story.org.slack.revocations_of(&ana.id)), (0, 1));
        story.org.assert_honest();
    }
}

#[tokio::test]
async fn without_all_of_the_accounts_workspaces_it_is_accepted_at_best() {
    for (withheld, teams) in [(false, 1), (false, 0), (true, 2)] {
        let org = Org::new().await;
        let (ana, teams) = (org.person("ana@example.com"), org.teams[..teams].to_vec());
        if withheld {
            org.slack.withhold_workspaces();
        }
        let story = Story::with(org, &teams, "all").await;
        let answer = story.alert(json!({"email": ana.email})).await;
        let job = story.end(&answer).await;
        assert_eq!(job.outcome, Some(Outcome::Accepted), "{withheld} {teams:?}: {job:#?}");
        assert_eq!(story.org.slack.sessions_of(&ana.id), 0);
    }
}

#[tokio::test]
async fn a_yes_that_was_a_lie_is_contradicted() {
    for operation in [Operation::SessionReset, Operation::SessionInvalidate] {
        let scope = if operation == Operation::SessionReset { "all" } else { "sessions" };
        let org = Org::new().await;
        let (ana, teams) = (org.person("ana@example.com"), org.teams.to_vec());
        let story = Story::with(org, &teams, scope).await;
        let faults = story.org.slack.faults();
        for lies in [Operation::SessionReset, Operation::SessionInvalidate] {
            faults.inject(Injection::once(Fault::LyingSuccess).on(lies).until_cleared());
        }
        let session = story.org.slack.session_ids_in(&ana.id, &teams[1])[0].clone();
        let sessions = json!({"slack": [{"id": session, "team_id": teams[1]}]});
        let answer = story.alert(json!({"email": ana.email, "sessions": sessions})).await;
        let job = story.end(&answer).await;
        assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Contradicted)), "{scope}");
        assert_eq!(story.org.slack.sessions_of(&ana.id), 3);
    }
}

#[tokio::test]
async fn who_signs_in_again_is_told_and_left_signed_in() {
    let story = Story::new().await;
    let ana = story.org.person("ana@example.com");
    story.org.slack.faults().inject(Injection::once(Fault::SignInAgain).on(Operation::SessionReset));
    let answer = story.alert(json!({"ids": {"slack": ana.id}})).await;
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.signed_in_again.len()), (Some(Outcome::Verified), 1), "{job:#?}");
    assert_eq!(job.signed_in_again[0].id, story.org.slack.session_ids_of(&ana.id)[0]);
    assert_eq!(story.org.slack.revocations_of(&ana.id), 1);
}

#[tokio::test]
async fn nothing_is_to_revoke_only_after_two_looks_and_the_call_all_the_same() {
    let story = Story::new().await;
    let ana = Person::new("ana@example.com").team(&story.org.teams[0]);
    story.org.slack.add_person(ana.clone());
    let answer = story.alert(json!({"email": ana.email})).await;
    let job = story.end(&answer).await;
    assert_eq!(job.outcome, Some(Outcome::NothingToRevoke), "{job:#?}");
    assert_eq!(story.org.slack.revocations_of(&ana.id), 1);
}

#[tokio::test]
async fn a_lost_answer_is_repeated_and_shown() {
    for (fault, calls) in [(Fault::LostAfter, 1), (Fault::LostBefore, 0)] {
        let story = Story::new().await;
        let ana = story.org.person("ana@example.com");
        story.org.slack.faults().inject(Injection::once(fault.clone()).on(Operation::SessionReset));
        let answer = story.alert(json!({"email": ana.email})).await;
        let job = story.app.job(answer.job()).await.job;
        assert_eq!(job.state, JobState::Queued, "an answer that was not seen is no success");
        let job = story.end(&answer).await;
        assert_eq!(job.outcome, Some(Outcome::Verified), "{fault:?}: {job:#?}");
        assert_eq!(job.repeated, u32::from(calls == 0), "what is gone already needs no second call");
        assert_eq!((story.org.slack.sessions_of(&ana.id), story.org.calls("admin.users.session.reset")), (0, 1));
    }
}

#[tokio::test]
async fn a_lost_answer_where_not_all_can_be_seen_ends_everything_once_more() {
    let org = Org::new().await;
    let (ana, teams) = (org.person("ana@example.com"), org.teams[..1].to_vec());
    let story = Story::with(org, &teams, "all").await;
    story.org.slack.faults().inject(Injection::once(Fault::LostBefore).on(Operation::SessionReset));
    let answer = story.alert(json!({"email": ana.email})).await;
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.repeated), (Some(Outcome::Accepted), 1), "{job:#?}");
    assert_eq!(story.org.slack.sessions_of(&ana.id), 0, "also where nobody looks");
}

#[tokio::test]
async fn a_scope_of_web_leaves_the_phone_and_claims_no_proof_of_what_it_cannot_tell() {
    let org = Org::new().await;
    let (ana, teams) = (org.person("ana@example.com"), org.teams.to_vec());
    let story = Story::with(org, &teams, "web").await;
    let answer = story.alert(json!({"email": ana.email})).await;
    let job = story.end(&answer).await;
    assert_eq!(job.outcome, Some(Outcome::Accepted), "the phone's session may be of either kind: {job:#?}");
    let left = [Device::Web, Device::Mobile].map(|device| story.org.slack.session_ids_on(&ana.id, device).len());
    assert_eq!(left, [0, 1]);
}

#[tokio::test]
async fn a_lost_answer_of_a_scope_of_web_does_not_cost_the_phone_its_session() {
    for fault in [Fault::LostAfter, Fault::LostBefore] {
        let org = Org::new().await;
        let (ana, teams) = (org.person("ana@example.com"), org.teams.to_vec());
        let story = Story::with(org, &teams, "web").await;
        story.org.slack.faults().inject(Injection::once(fault.clone()).on(Operation::SessionReset));
        let answer = story.alert(json!({"email": ana.email})).await;
        let job = story.end(&answer).await;
        assert_eq!((job.outcome, job.repeated), (Some(Outcome::Accepted), 1), "{fault:?}: {job:#?}");
        let left = [Device::Web, Device::Mobile].map(|device| story.org.slack.session_ids_on(&ana.id, device).len());
        assert_eq!((left, story.org.calls("admin.users.session.invalidate")), ([0, 1], 0), "{fault:?}");
    }
}

#[tokio::test]
async fn given_sessions_are_verified_and_somebody_elses_is_never_ended() {
    let org = Org::new().await;
    let (ana, bob, teams) = (org.person("ana@example.com"), org.person("bob@example.com"), org.teams.to_vec());
    let story = Story::with(org, &teams, "sessions").await;
    let ids = |who: &Person| story.org.slack.session_ids_in(&who.id, &teams[0]);
    let (hers, his) = (ids(&ana), ids(&bob));
    let sessions = |list: &[&String]| {
        let list: Vec<_> = list.iter().map(|id| json!({"id": id, "team_id": teams[0]})).collect();
        json!({"slack": list})
    };
    let answer = story.alert(json!({"email": ana.email, "sessions": sessions(&[&hers[0], &his[0]])})).await;
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(1)), "{job:#?}");
    assert_eq!((story.org.slack.sessions_of(&ana.id), story.org.slack.sessions_of(&bob.id)), (2, 3));
    story.org.assert_honest();
}

#[tokio::test]
async fn protected_people_are_never_touched_whatever_they_are_called() {
    let story = Story::new().await;
    let glass = story.org.person("breakglass-1@example.com");
    for subject in [json!({"email": "BreakGlass-1@example.com"}), json!({"ids": {"slack": glass.id}})] {
        let answer = story.alert(subject).await;
        let job = story.end(&answer).await;
        assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Protected)), "{job:#?}");
    }
    assert_eq!((story.org.slack.sessions_of(&glass.id), story.org.slack.revocations_of(&glass.id)), (3, 0));
}

#[tokio::test]
async fn a_refused_token_closes_the_gate_and_nothing_dies() {
    let story = Story::new().await;
    let ana = story.org.person("ana@example.com");
    story.org.slack.revoke_token(TOKEN);
    let answer = story.alert(json!({"email": ana.email})).await;
    let job = story.app.job(answer.job()).await.job;
    assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Credential)));
    story.app.clock.advance(Duration::from_secs(3 * 86_400));
    story.app.app.worker.probe_gates().await;
    assert_eq!(story.app.gates().await, ["credential"]);
    story.org.slack.accept_token(TOKEN, "admin@example.com");
    story.app.clock.advance(SECOND * 61);
    story.app.app.worker.probe_gates().await;
    story.app.clock.advance(SECOND * 61);
    story.app.app.worker.probe_gates().await;
    story.app.drain().await;
    assert_eq!(story.end(&answer).await.outcome, Some(Outcome::Verified));
    assert_eq!(story.org.slack.sessions_of(&ana.id), 0);
}

#[tokio::test]
async fn an_admin_who_is_none_any_more_closes_the_gate_too() {
    let story = Story::new().await;
    let ana = story.org.person("ana@example.com");
    story.org.slack.deny(TOKEN, sever::sandbox::slack::Permission::AdminRole);
    let answer = story.alert(json!({"email": ana.email})).await;
    let job = story.app.job(answer.job()).await.job;
    assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Credential)), "{job:#?}");
}

#[tokio::test]
async fn a_crowd_of_alerts_is_over_in_minutes_within_slacks_rate() {
    let story = Story::new().await;
    story.org.slack.limit_rate_by_tier();
    let crowd: Vec<Person> = (0..60).map(|number| story.org.person(&format!("p{number}@example.com"))).collect();
    let mut answers = Vec::new();
    for person in &crowd {
        let alert = by_email(&format!("edr-{}", person.name), &person.email);
        answers.push(story.app.deliver(alert).await.assert_accepted());
    }
    story.app.drain().await;
    let mut minutes = 0;
    while crowd.iter().any(|person| story.org.slack.sessions_of(&person.id) > 0) {
        assert!(minutes < 4, "{minutes} minutes, and sessions are alive");
        minutes += 1;
        story.app.wait_and_drain(SECOND * 60).await;
    }
    for _ in 0..30 {
        if story.app.jobs(Some(JobState::Done)).await.len() == crowd.len() {
            break;
        }
        story.app.wait_and_drain(SECOND * 60).await;
    }
    story.app.assert_nothing_open().await;
    for answer in &answers {
        let job = story.app.job(answer.job()).await.job;
        assert!(matches!(job.outcome, Some(Outcome::Verified | Outcome::Accepted)), "{job:#?}");
    }
    assert!(crowd.iter().all(|person| story.org.slack.revocations_of(&person.id) == 1));
    assert!(story.org.slack.ledger().iter().all(|call| call.status == Some(200)), "Slack never had to say no");
    assert!(story.org.calls("admin.users.session.resetBulk") > 0);
    story.org.assert_honest();
}

#[tokio::test]
async fn whoever_may_be_protected_by_an_address_that_does_not_show_waits_for_a_person() {
    let story = Story::new().await;
    let glass = story.org.person("breakglass-1@example.com");
    story.org.slack.deny(TOKEN, Permission::UsersReadEmail);
    let answer = story.alert(json!({"ids": {"slack": glass.id}})).await;
    let job = story.app.job(answer.job()).await.job;
    assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Approval)), "{job:#?}");
    assert_eq!((story.org.slack.sessions_of(&glass.id), story.org.slack.revocations_of(&glass.id)), (3, 0));
}
