//! Stories: a signed alert goes in, sessions at IAM Identity Center end, and looks prove it.

use std::time::Duration;

use serde_json::json;
use sever::domain::{DeadReason, HoldReason, JobState, Outcome};
use sever::sandbox::HuaweiSandbox;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::huawei::{Operation, Person};
use sever::store::JobView;

use super::world::{AK, SK, settings, store};
use crate::testapp::{Answer, TestApp, by_email, stolen};

const SECOND: Duration = Duration::from_secs(1);

struct Story {
    app: TestApp,
    huawei: HuaweiSandbox,
}

impl Story {
    async fn new() -> Self {
        let (huawei, clock) = store().await;
        let app = TestApp::with_provider(clock, "cloud", settings(&huawei, json!({"timeout": "2s"}))).await;
        Self { app, huawei }
    }

    /// Where the rule asks for the named sessions alone.
    async fn of_given_sessions() -> Self {
        let (huawei, clock) = store().await;
        let target = json!({"provider": "cloud", "scope": "sessions"});
        let app = TestApp::with_target(clock, target, settings(&huawei, json!({"timeout": "2s"}))).await;
        Self { app, huawei }
    }

    fn person(&self, name: &str, sessions: usize) -> Person {
        let person = Person::new(name);
        self.huawei.add_person(person.clone());
        for _ in 0..sessions {
            self.huawei.sign_in(&person.id);
        }
        person
    }

    async fn alert(&self) -> Answer {
        let answer = self.app.deliver(by_email("edr-1", "zoe@example.com")).await.assert_accepted();
        self.app.drain().await;
        answer
    }

    async fn job(&self, answer: &Answer) -> JobView {
        self.app.job(answer.job()).await.job
    }

    /// Lets time pass until the job is over.
    async fn end(&self, answer: &Answer) -> JobView {
        for _ in 0..60 {
            let job = self.job(answer).await;
            if job.state.is_final() {
                return job;
            }
            self.app.wait_and_drain(SECOND * 2).await;
        }
        panic!("it does not end: {:#?}", self.job(answer).await)
    }
}

#[tokio::test]
async fn ended_sessions_are_verified() {
    let story = Story::new().await;
    let zoe = story.person("zoe", 25);
    let answer = story.alert().await;
    assert_eq!((story.job(&answer).await.state, story.huawei.sessions_of(&zoe.id)), (JobState::Proving, 0));
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(25)));
    assert_eq!(job.account_id.as_deref(), Some(zoe.id.as_str()));
    assert!(job.survives.iter().any(|text| text.contains("console sessions")), "{:?}", job.survives);
    assert_eq!((job.repeated, job.signed_in_again.len()), (0, 0));
    story.app.assert_nothing_open().await;
}

#[tokio::test]
async fn a_list_that_lags_is_looked_at_again() {
    let story = Story::new().await;
    let zoe = story.person("zoe", 2);
    let quirks = sever::sandbox::huawei::Quirks { list_lag_s: 3, ..Default::default() };
    story.app.clock.advance(SECOND * 10);
    story.huawei.set_quirks(quirks);
    let answer = story.alert().await;
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(2)));
    assert_eq!(story.huawei.revocations_of(&zoe.id), 1);
}

#[tokio::test]
async fn a_yes_that_lies_is_contradicted() {
    let story = Story::new().await;
    let zoe = story.person("zoe", 2);
    let lies = Injection::once(Fault::LyingSuccess).on(Operation::BatchDeleteSessions).until_cleared();
    story.huawei.faults().inject(lies);
    let answer = story.alert().await;
    let job = story.end(&answer).await;
    assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Contradicted)));
    assert_eq!(story.huawei.sessions_of(&zoe.id), 2);
}

#[tokio::test]
async fn a_lie_that_ends_is_verified_after_all() {
    let story = Story::new().await;
    story.person("zoe", 2);
    story.huawei.faults().inject(Injection::once(Fault::LyingSuccess).on(Operation::BatchDeleteSessions));
    let answer = story.alert().await;
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(2)));
}

#[tokio::test]
async fn who_signs_in_again_is_told_and_left() {
    let story = Story::new().await;
    let zoe = story.person("zoe", 2);
    let answer = story.alert().await;
    story.app.clock.advance(SECOND);
    let new = story.huawei.sign_in(&zoe.id);
    let job = story.end(&answer).await;
    assert_eq!(job.outcome, Some(Outcome::Verified));
    assert_eq!(job.signed_in_again.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), [new.as_str()]);
    assert_eq!(story.huawei.session_ids_of(&zoe.id), [new]);
}

#[tokio::test]
async fn nobody_signed_in_is_nothing_to_revoke_after_two_looks() {
    let story = Story::new().await;
    let zoe = story.person("zoe", 0);
    let answer = story.alert().await;
    assert!(!story.job(&answer).await.state.is_final(), "one look is not enough");
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, story.huawei.revocations_of(&zoe.id)), (Some(Outcome::NothingToRevoke), 0));
}

#[tokio::test]
async fn a_lost_answer_is_repeated_and_shown_and_ends_nothing_begun_since() {
    let story = Story::new().await;
    let zoe = story.person("zoe", 3);
    story.huawei.faults().inject(Injection::once(Fault::LostAfter).on(Operation::BatchDeleteSessions));
    let answer = story.alert().await;
    story.app.clock.advance(SECOND);
    let new = story.huawei.sign_in(&zoe.id);
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(3)));
    assert_eq!((job.signed_in_again.len(), story.huawei.session_ids_of(&zoe.id)), (1, vec![new]));
}

#[tokio::test]
async fn what_a_failed_batch_left_is_ended_by_the_next_attempt() {
    let story = Story::new().await;
    let zoe = story.person("zoe", 30);
    let fails = Fault::Error { status: 500, code: "IIC.1209".to_owned() };
    story.huawei.faults().inject(Injection::once(fails).on(Operation::BatchDeleteSessions).times(2));
    let answer = story.alert().await;
    assert_eq!(story.huawei.sessions_of(&zoe.id), 30);
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(30)));
}

#[tokio::test]
async fn a_failure_that_worked_is_seen_to_have_worked() {
    let story = Story::new().await;
    let zoe = story.person("zoe", 1);
    // Half of one, rounded up.
    story.huawei.faults().inject(Injection::once(Fault::Partial { status: 500 }).on(Operation::BatchDeleteSessions));
    let answer = story.alert().await;
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(1)));
    assert_eq!((job.attempts, story.huawei.sessions_of(&zoe.id)), (2, 0));
}

#[tokio::test]
async fn only_the_named_sessions_of_the_user_end() {
    let story = Story::of_given_sessions().await;
    let (zoe, bob) = (story.person("zoe", 2), story.person("bob", 1));
    let (hers, his) = (story.huawei.session_ids_of(&zoe.id), story.huawei.session_ids_of(&bob.id));
    let subject = json!([{"email": "zoe@example.com", "sessions": {"cloud": [hers[0], his[0]]}}]);
    let answer = story.app.deliver(stolen("edr-1", subject)).await.assert_accepted();
    story.app.drain().await;
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(1)));
    assert_eq!(story.huawei.session_ids_of(&zoe.id), [hers[1].clone()]);
    assert_eq!(story.huawei.sessions_of(&bob.id), 1, "his is not hers");
}

#[tokio::test]
async fn a_key_revoked_amid_the_batches_holds_the_job_until_it_is_back() {
    let story = Story::new().await;
    let zoe = story.person("zoe", 30);
    let twice = Fault::Error { status: 401, code: "APIGW.0301".to_owned() };
    // Half of the first batch goes through; from then on nothing does.
    story.huawei.faults().inject(Injection::once(Fault::Partial { status: 401 }).on(Operation::BatchDeleteSessions));
    story.huawei.faults().inject(Injection::once(twice).until_cleared().on(Operation::ListUsers));
    let answer = story.app.deliver(stolen("edr-1", json!([{"username": "zoe"}]))).await.assert_accepted();
    story.app.drain().await;
    let job = story.job(&answer).await;
    assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Credential)));
    assert_eq!(story.huawei.sessions_of(&zoe.id), 20);
    story.huawei.faults().clear();
    story.huawei.revoke_key(AK);
    story.app.app.worker.probe_gates().await;
    assert_eq!(story.app.gates().await, ["credential"]);
    story.huawei.accept_key(AK, SK);
    story.app.clock.advance(SECOND * 61);
    story.app.app.worker.probe_gates().await;
    story.app.drain().await;
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, story.huawei.sessions_of(&zoe.id)), (Some(Outcome::Verified), 0));
}

#[tokio::test]
async fn throttled_is_later_and_not_failed() {
    let story = Story::new().await;
    let zoe = story.person("zoe", 1);
    story
        .huawei
        .faults()
        .inject(Injection::once(Fault::ThrottleWithoutHint).on(Operation::BatchDeleteSessions).times(3));
    let answer = story.alert().await;
    assert_eq!(story.huawei.sessions_of(&zoe.id), 1);
    let job = story.end(&answer).await;
    assert_eq!((job.outcome, job.repeated), (Some(Outcome::Verified), 0));
}

#[tokio::test]
async fn protected_people_are_not_touched_by_any_name() {
    let story = Story::new().await;
    let admin = story.person("breakglass-1@example.com", 1);
    for subject in [json!({"ids": {"cloud": admin.id}}), json!({"username": "breakglass-1@example.com"})] {
        let answer = story.app.deliver(stolen(&crate::testapp::uuid(), json!([subject]))).await.assert_accepted();
        story.app.drain().await;
        let job = story.job(&answer).await;
        assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Protected)), "{subject}");
    }
    assert_eq!((story.huawei.sessions_of(&admin.id), story.huawei.revocations_of(&admin.id)), (1, 0));
}

#[tokio::test]
async fn an_unknown_id_is_a_wrong_mapping_and_an_unknown_name_is_nobody() {
    let story = Story::new().await;
    let subject = json!([{"ids": {"cloud": "1a2b3c4d-0000-1111-2222-333344445555"}}]);
    let wrong = story.app.deliver(stolen("edr-1", subject)).await.assert_accepted();
    let nobody = story.app.deliver(by_email("edr-2", "nobody@example.com")).await.assert_accepted();
    story.app.drain().await;
    let job = story.job(&wrong).await;
    assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::UnknownAccount)));
    assert_eq!(story.end(&nobody).await.outcome, Some(Outcome::UnknownAccount));
}
