//! The whole service around it: a signed alert goes in, the server is asked what happened.

use std::time::Duration;

use serde_json::json;
use sever::domain::{DeadReason, HoldReason, JobState, Outcome};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::mattermost::{Operation, Person, Role};
use sever::store::JobView;

use super::*;
use crate::testapp::{Answer, TestApp, by_email, stolen};

const SECOND: Duration = Duration::from_secs(1);

impl Chat {
    async fn app(&self) -> TestApp {
        TestApp::with_provider(self.clock.clone(), "chat", self.settings(TOKEN)).await
    }

    fn inject(&self, fault: Fault, on: Operation) {
        self.server.faults().inject(Injection::once(fault).on(on));
    }
}

/// Drains until the job is over, a minute at most, and shows it.
async fn over(app: &TestApp, answer: &Answer) -> JobView {
    for _ in 0..30 {
        app.wait_and_drain(SECOND * 2).await;
        let job = app.job(answer.job()).await.job;
        if job.state.is_final() || job.state == JobState::Held {
            return job;
        }
    }
    panic!("the job goes on: {:#?}", app.job(answer.job()).await);
}

async fn about_ana(app: &TestApp) -> Answer {
    let answer = app.deliver(by_email("edr-1", "Ana@Example.com")).await.assert_accepted();
    app.drain().await;
    answer
}

#[tokio::test]
async fn sessions_are_seen_to_be_gone() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 3);
    chat.server.issue_token(&ana.id);
    let app = chat.app().await;
    let answer = about_ana(&app).await;
    assert_eq!(chat.server.sessions_of(&ana.id), 0, "at once");
    let job = over(&app, &answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(3)));
    assert_eq!(job.account_id.as_deref(), Some(ana.id.as_str()));
    assert!(job.survives.iter().any(|text| text.starts_with("1 personal access token")), "{:?}", job.survives);
    assert_eq!(chat.server.revocations_of(&ana.id), 1);
}

#[tokio::test]
async fn nobody_was_signed_in() {
    let chat = Chat::start().await;
    chat.person("ana", 0);
    let app = chat.app().await;
    let answer = about_ana(&app).await;
    assert_eq!(over(&app, &answer).await.outcome, Some(Outcome::NothingToRevoke));
}

#[tokio::test]
async fn a_server_that_lies_is_contradicted() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 2);
    for operation in [Operation::RevokeAllSessions, Operation::RevokeSession] {
        chat.server.faults().inject(Injection::once(Fault::LyingSuccess).on(operation).until_cleared());
    }
    let app = chat.app().await;
    let answer = about_ana(&app).await;
    let job = over(&app, &answer).await;
    assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Contradicted)));
    assert_eq!(chat.server.sessions_of(&ana.id), 2);
}

#[tokio::test]
async fn who_signs_in_again_is_told_and_left_alone() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 2);
    let app = chat.app().await;
    let answer = about_ana(&app).await;
    app.clock.advance(SECOND);
    let new = chat.server.sign_in(&ana.id);
    let job = over(&app, &answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(2)));
    let again: Vec<_> = job.signed_in_again.iter().map(|session| session.id.clone()).collect();
    assert_eq!((again, chat.server.sessions_of(&ana.id)), (vec![new], 1));
}

#[tokio::test]
async fn a_lost_answer_is_looked_after_and_repeated_only_if_needed() {
    for (fault, calls) in [(Fault::LostBefore, 1), (Fault::LostAfter, 1), (Fault::Partial { status: 500 }, 2)] {
        let chat = Chat::start().await;
        let ana = chat.person("ana", 3);
        chat.inject(fault.clone(), Operation::RevokeAllSessions);
        let app = chat.app().await;
        let answer = about_ana(&app).await;
        let job = over(&app, &answer).await;
        assert_eq!((job.state, job.outcome), (JobState::Done, Some(Outcome::Verified)), "{fault:?}: {job:#?}");
        assert_eq!(chat.server.sessions_of(&ana.id), 0, "{fault:?}");
        let ended = chat.server.revocations_of(&ana.id);
        assert!(ended >= calls, "{fault:?}: {ended}");
    }
}

#[tokio::test]
async fn a_replica_that_lags_hides_no_session_and_brings_none_back() {
    for (fresh, lag_s) in [(false, 3), (true, 1)] {
        let chat = Chat::start().await;
        let ana = chat.person("ana", 2);
        chat.server.lag_replica(jiff::SignedDuration::from_secs(lag_s));
        if !fresh {
            chat.clock.advance(SECOND * 60);
        }
        let app = chat.app().await;
        let answer = about_ana(&app).await;
        assert_eq!(chat.server.sessions_of(&ana.id), if fresh { 2 } else { 0 }, "one that is too fresh is missed");
        let job = over(&app, &answer).await;
        assert_eq!((job.outcome, chat.server.sessions_of(&ana.id)), (Some(Outcome::Verified), 0), "{job:#?}");
    }
}

#[tokio::test]
async fn an_old_list_after_the_call_is_looked_at_again() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 2);
    let app = chat.app().await;
    let answer = about_ana(&app).await;
    chat.server.faults().inject(Injection::once(Fault::StaleList).on(Operation::GetSessions).times(2));
    let job = over(&app, &answer).await;
    assert_eq!((job.outcome, chat.server.revocations_of(&ana.id)), (Some(Outcome::Verified), 1));
}

#[tokio::test]
async fn a_token_that_could_not_be_revoked_at_first_goes_in_the_end() {
    let errors = [
        Fault::Error { status: 500, code: "app.user_access_token.delete.app_error".into() },
        Fault::LostBefore,
        Fault::LyingSuccess,
        Fault::RateLimit { reset_in_s: 5 },
    ];
    for fault in errors {
        let chat = Chat::start().await;
        let ana = chat.person("ana", 2);
        for _ in 0..3 {
            chat.server.issue_token(&ana.id);
        }
        chat.inject(fault.clone(), Operation::RevokeUserAccessToken);
        let app = TestApp::with_provider(chat.clock.clone(), "chat", chat.settings_with_tokens()).await;
        let answer = about_ana(&app).await;
        assert_eq!(chat.server.sessions_of(&ana.id), 0, "{fault:?}: sessions end first");
        let job = over(&app, &answer).await;
        assert_eq!(job.outcome, Some(Outcome::Verified), "{fault:?}: {job:#?}");
        assert_eq!(chat.server.tokens_of(&ana.id), [""; 0], "{fault:?}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_revoke_tokens_ends_the_sessions_and_says_so() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 2);
    chat.server.issue_token(&ana.id);
    chat.server.deny("sever", sever::sandbox::mattermost::Permission::RevokeUserAccessToken);
    let app = TestApp::with_provider(chat.clock.clone(), "chat", chat.settings_with_tokens()).await;
    let answer = about_ana(&app).await;
    let job = over(&app, &answer).await;
    assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Refused)), "{job:#?}");
    assert_eq!(chat.server.sessions_of(&ana.id), 0);
}

#[tokio::test]
async fn given_sessions_end_and_others_stay() {
    let chat = Chat::start().await;
    let (ana, bob) = (chat.person("ana", 2), chat.person("bob", 1));
    let (hers, his) = (chat.server.session_ids_of(&ana.id), chat.server.session_ids_of(&bob.id));
    let target = json!({"provider": "chat", "scope": "sessions"});
    let app = TestApp::with_target(chat.clock.clone(), target, chat.settings(TOKEN)).await;
    let subject = json!([{"email": ana.email, "sessions": {"chat": [hers[0], his[0]]}}]);
    let answer = app.deliver(stolen("edr-1", subject)).await.assert_accepted();
    let job = over(&app, &answer).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(1)), "{job:#?}");
    assert_eq!((chat.server.sessions_of(&ana.id), chat.server.sessions_of(&bob.id)), (1, 1));
    let subject = json!([{"email": ana.email, "sessions": {"chat": [hers[0]]}}]);
    let answer = app.deliver(stolen("edr-2", subject)).await.assert_accepted();
    assert_eq!(over(&app, &answer).await.outcome, Some(Outcome::NothingToRevoke));
}

#[tokio::test]
async fn protected_accounts_stay_untouched_by_whichever_name() {
    let chat = Chat::start().await;
    let glass = Person::new("bg1").email("breakglass-1@example.com");
    chat.server.add_person(glass.clone());
    chat.server.sign_in(&glass.id);
    let app = chat.app().await;
    for (number, name) in [json!({"username": "BG1"}), json!({"ids": {"chat": glass.id}})].iter().enumerate() {
        let answer = app.deliver(stolen(&format!("edr-{number}"), json!([name]))).await.assert_accepted();
        let job = over(&app, &answer).await;
        assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Protected)), "{name}");
    }
    // Where the address that protects it is hidden from us, a person has to say so.
    chat.server.hide_emails();
    chat.server.add_person(Person::new("manager").role(Role::UserManager));
    let (_, token) = chat.server.issue_token("manager");
    let app = TestApp::with_provider(chat.clock.clone(), "chat", chat.settings(&token)).await;
    let answer = app.deliver(stolen("edr-9", json!([{"username": "bg1"}]))).await.assert_accepted();
    let job = over(&app, &answer).await;
    assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Approval)), "{job:#?}");
    assert_eq!((chat.server.sessions_of(&glass.id), chat.server.revocations_of(&glass.id)), (1, 0));
}

#[tokio::test]
async fn a_token_that_is_revoked_closes_the_gate_and_nothing_dies() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 1);
    let app = chat.app().await;
    chat.server.revoke_token(TOKEN);
    let answer = about_ana(&app).await;
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Credential)));
    chat.server.accept_token(TOKEN, "sever");
    for _ in 0..2 {
        app.clock.advance(SECOND * 61);
        app.app.worker.probe_gates().await;
    }
    assert_eq!(over(&app, &answer).await.outcome, Some(Outcome::Verified));
    assert_eq!(chat.server.sessions_of(&ana.id), 0);
}

#[tokio::test]
async fn whom_our_role_cannot_reach_is_refused_and_the_others_go_on() {
    let chat = Chat::start().await;
    let boss = Person::new("boss").role(Role::SystemAdmin).email("ana@example.com");
    chat.server.add_person(boss.clone());
    chat.server.sign_in(&boss.id);
    chat.server.add_person(Person::new("manager").role(Role::UserManager));
    let (_, token) = chat.server.issue_token("manager");
    let app = TestApp::with_provider(chat.clock.clone(), "chat", chat.settings(&token)).await;
    let answer = about_ana(&app).await;
    let job = over(&app, &answer).await;
    assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Refused)), "{job:#?}");
    assert!(app.gates().await.is_empty());
}
