//! Stories through the worker: a signed alert goes in, the network is asked what happened.

use std::time::Duration;

use serde_json::{Value, json};
use sever::domain::{DeadReason, HoldReason, JobId, JobState, Outcome};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::the_things_stack::{Operation, Person};
use sever::store::JobView;

use super::network::*;
use crate::testapp::{TestApp, by_email, stolen};

const SECOND: Duration = Duration::from_secs(1);

/// The service around a network; the rule ends every session there.
async fn service() -> (Network, TestApp) {
    let network = Network::start().await;
    let app = TestApp::with_provider(network.clock.clone(), "lorawan", network.settings()).await;
    (network, app)
}

async fn service_for(target: Value) -> (Network, TestApp) {
    let network = Network::start().await;
    let app = TestApp::with_target(network.clock.clone(), target, network.settings()).await;
    (network, app)
}

async fn deliver(app: &TestApp, alert: Value) -> JobId {
    let job = app.deliver(alert).await.assert_accepted().job();
    app.drain().await;
    job
}

async fn view(app: &TestApp, job: JobId) -> JobView {
    app.job(job).await.job
}

/// Lets time pass until the job is over, or waits for a person.
async fn end(app: &TestApp, job: JobId) -> JobView {
    for _ in 0..60 {
        let view = view(app, job).await;
        if view.state.is_final() || view.state == JobState::Held {
            return view;
        }
        app.wait_and_drain(SECOND * 5).await;
    }
    panic!("the job does not end: {:#?}", view(app, job).await);
}

#[tokio::test]
async fn a_signed_alert_ends_every_session_and_a_look_proves_it() {
    let (network, app) = service().await;
    network.person("zoe", 3);
    let job = deliver(&app, by_email("edr-1", "zoe@example.com")).await;
    assert_eq!((network.tts.sessions_of("zoe"), view(&app, job).await.state), (0, JobState::Proving));
    let job = end(&app, job).await;
    assert_eq!((job.state, job.outcome, job.sessions_ended), (JobState::Done, Some(Outcome::Verified), Some(3)));
    assert_eq!((job.account_id.as_deref(), job.survives.len()), (Some("zoe"), 2));
    assert_eq!(app.audit().await, ["admitted", "claimed", "revoked", "claimed", "done"]);
    app.assert_nothing_open().await;
}

#[tokio::test]
async fn a_provider_that_lies_is_contradicted() {
    let (network, app) = service().await;
    network.person("zoe", 1);
    network.tts.faults().inject(Injection::once(Fault::LyingSuccess).on(Operation::DeleteSession).until_cleared());
    let job = deliver(&app, by_email("edr-1", "zoe@example.com")).await;
    let job = end(&app, job).await;
    assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Contradicted)), "{job:#?}");
    assert_eq!((network.tts.sessions_of("zoe"), network.tts.revocations_of("zoe")), (1, 3));
}

#[tokio::test]
async fn somebody_who_signs_in_again_is_told_and_left_alone() {
    let (network, app) = service().await;
    network.person("zoe", 2);
    let job = deliver(&app, by_email("edr-1", "zoe@example.com")).await;
    app.clock.advance(SECOND);
    let again = network.tts.sign_in("zoe");
    let job = end(&app, job).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(2)));
    let told: Vec<&str> = job.signed_in_again.iter().map(|session| session.id.as_str()).collect();
    assert_eq!(told, [again]);
    assert_eq!(network.tts.sessions_of("zoe"), 1);
}

#[tokio::test]
async fn nobody_signed_in_is_nothing_to_revoke_seen_twice() {
    let (network, app) = service().await;
    network.person("zoe", 0);
    let job = deliver(&app, by_email("edr-1", "zoe@example.com")).await;
    assert_eq!(view(&app, job).await.state, JobState::Proving, "absence is believed at the second look");
    let job = end(&app, job).await;
    assert_eq!((job.state, job.outcome), (JobState::Done, Some(Outcome::NothingToRevoke)));
    assert!(!network.calls().iter().any(|call| call.starts_with("DELETE")));
}

#[tokio::test]
async fn a_lost_answer_is_repeated_for_what_is_left() {
    let (network, app) = service().await;
    network.person("zoe", 3);
    network.tts.faults().inject(Injection::once(Fault::LostAfter).on(Operation::DeleteSession));
    let job = deliver(&app, by_email("edr-1", "zoe@example.com")).await;
    let queued = view(&app, job).await;
    assert_eq!((queued.state, network.tts.sessions_of("zoe")), (JobState::Queued, 2), "{queued:#?}");
    let job = end(&app, job).await;
    assert_eq!((job.state, job.outcome, job.repeated), (JobState::Done, Some(Outcome::Verified), 1));
    assert_eq!((network.tts.sessions_of("zoe"), network.tts.revocations_of("zoe")), (0, 3));
}

#[tokio::test]
async fn a_list_that_lags_is_looked_at_again() {
    let (network, app) = service().await;
    network.person("zoe", 1);
    let job = deliver(&app, by_email("edr-1", "zoe@example.com")).await;
    network.tts.faults().inject(Injection::once(Fault::StaleList).on(Operation::ListSessions).times(2));
    app.wait_and_drain(SECOND * 2).await;
    assert_eq!(view(&app, job).await.state, JobState::Proving, "it is still listed");
    let job = end(&app, job).await;
    assert_eq!((job.outcome, network.tts.revocations_of("zoe")), (Some(Outcome::Verified), 1));
}

#[tokio::test]
async fn a_batch_that_is_throttled_goes_on_when_the_server_says() {
    let (network, app) = service().await;
    network.person("zoe", 4);
    network.tts.limit_rate_of(Operation::DeleteSession, 6, 2);
    let job = deliver(&app, by_email("edr-1", "zoe@example.com")).await;
    assert_eq!(network.tts.sessions_of("zoe"), 2);
    app.wait_and_drain(SECOND * 9).await;
    assert_eq!(network.tts.sessions_of("zoe"), 2, "not before the server said");
    let job = end(&app, job).await;
    assert_eq!((job.outcome, network.tts.sessions_of("zoe")), (Some(Outcome::Verified), 0));
}

#[tokio::test]
async fn a_credential_that_is_withdrawn_in_mid_batch_closes_the_gate_and_nothing_dies() {
    let (network, app) = service().await;
    network.person("zoe", 3);
    network.person("bob", 1);
    // The first deletion is answered late, and meanwhile somebody deletes the key.
    network.tts.faults().inject(Injection::once(Fault::LateAnswer { duration_ms: 400 }).on(Operation::DeleteSession));
    let job = app.deliver(by_email("edr-1", "zoe@example.com")).await.assert_accepted().job();
    let withdraw = async {
        while network.tts.sessions_of("zoe") == 3 {
            tokio::task::yield_now().await;
        }
        network.tts.revoke_key(KEY);
    };
    tokio::join!(app.drain(), withdraw);
    let other = deliver(&app, by_email("edr-2", "bob@example.com")).await;
    for job in [job, other] {
        let job = view(&app, job).await;
        assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Credential)), "{job:#?}");
    }
    assert_eq!((network.tts.sessions_of("zoe"), app.gates().await), (2, vec!["credential".to_owned()]));

    network.tts.accept_key(KEY, "admin");
    app.app.worker.probe_gates().await;
    app.clock.advance(SECOND * 61);
    app.app.worker.probe_gates().await;
    app.drain().await;
    for job in [job, other] {
        assert_eq!(end(&app, job).await.outcome, Some(Outcome::Verified));
    }
    assert_eq!((network.tts.sessions_of("zoe"), network.tts.sessions_of("bob")), (0, 0));
}

#[tokio::test]
async fn somebody_elses_session_is_never_ended() {
    let (network, app) = service_for(json!({"provider": "lorawan", "scope": "sessions"})).await;
    network.person("zoe", 2);
    network.person("bob", 1);
    let (hers, his) = (network.tts.session_ids_of("zoe"), network.tts.session_ids_of("bob"));
    let subject = json!([{"email": "zoe@example.com", "sessions": {"lorawan": [hers[0], his[0]]}}]);
    let job = deliver(&app, stolen("edr-1", subject)).await;
    let job = end(&app, job).await;
    assert_eq!((job.outcome, job.sessions_ended), (Some(Outcome::Verified), Some(1)), "{job:#?}");
    assert_eq!(network.tts.session_ids_of("zoe"), hers[1..]);
    assert_eq!(network.tts.session_ids_of("bob"), his);
}

#[tokio::test]
async fn protected_accounts_are_never_touched_whatever_they_are_called() {
    let (network, app) = service().await;
    network.tts.add_person(Person::new("bg1").email("BreakGlass-1@example.com"));
    network.tts.sign_in("bg1");
    let names =
        [json!({"email": "breakglass-1@example.com"}), json!({"username": "bg1"}), json!({"ids": {"lorawan": "bg1"}})];
    for (number, name) in names.iter().enumerate() {
        let job = deliver(&app, stolen(&format!("edr-{number}"), json!([name]))).await;
        let job = view(&app, job).await;
        assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Protected)), "{name}");
    }
    assert_eq!((network.tts.sessions_of("bg1"), network.tts.revocations_of("bg1")), (1, 0));
}

#[tokio::test]
async fn a_wrong_id_is_dead_a_stranger_is_unknown_and_an_unclear_name_waits() {
    let (network, app) = service().await;
    network.tts.add_person(Person::new("zoe").email("shared@example.com"));
    network.tts.add_person(Person::new("ana").email("Shared@example.com"));
    let wrong = deliver(&app, stolen("edr-1", json!([{"ids": {"lorawan": "nobody"}}]))).await;
    let wrong = end(&app, wrong).await;
    assert_eq!((wrong.state, wrong.dead_reason), (JobState::Dead, Some(DeadReason::UnknownAccount)));
    let stranger = deliver(&app, by_email("edr-2", "nobody@example.com")).await;
    assert_eq!(view(&app, stranger).await.state, JobState::Queued);
    assert_eq!(end(&app, stranger).await.outcome, Some(Outcome::UnknownAccount));
    for (number, name) in [json!({"email": "shared@example.com"}), json!({"username": "Zoe.B"})].iter().enumerate() {
        let job = deliver(&app, stolen(&format!("edr-3{number}"), json!([name]))).await;
        let job = view(&app, job).await;
        assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Account)), "{name}: {job:#?}");
    }
}
