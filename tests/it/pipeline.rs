//! Stories: a signed alert goes in, the world is asked what happened.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use sever::domain::{DeadReason, HoldReason, JobState, Outcome};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::okta::{Operation, Person};
use sever::store::Consent;

use crate::testapp::{CONFIG, TestApp, by_email, stolen, uuid};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_signed_alert_ends_every_session() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 3);
    app.okta().issue_tokens(&ana.id, "mobile-app");

    let answer = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;

    assert_eq!(app.okta().sessions_of(&ana.id), 0);
    assert_eq!(app.okta().tokens_of(&ana.id), 0, "oauth_tokens is true by default");
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.outcome), (JobState::Done, Some(Outcome::Confirmed)));
    assert_eq!(job.account_id.as_deref(), Some(ana.id.as_str()));
    assert!(!job.survives.is_empty(), "an analyst is told what this leaves alive");
    assert_eq!(app.audit().await, ["admitted", "claimed", "done"]);
}

#[tokio::test]
async fn a_throttled_revocation_is_retried_when_the_provider_asks() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 2);
    let throttle = Fault::RateLimit { reset_in_s: 30 };
    app.okta().faults().inject(Injection::once(throttle).on(Operation::RevokeUserSessions));

    let answer = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&ana.id), 2);

    app.wait_and_drain(Duration::from_secs(29)).await;
    assert_eq!(app.okta().sessions_of(&ana.id), 2, "not before the provider said");
    app.wait_and_drain(Duration::from_secs(2)).await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);

    assert_eq!(app.audit().await, ["admitted", "claimed", "retry_scheduled", "claimed", "done"]);
    let job = app.job(answer.job()).await;
    assert_eq!(job.job.attempts, 2);
    assert_eq!(job.job.repeated, 0, "a throttled call did nothing, so the next is no repeat");
}

#[tokio::test]
async fn a_lost_answer_is_repeated_and_shown() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 2);
    app.okta().faults().inject(Injection::once(Fault::LostAfter).on(Operation::RevokeUserSessions));

    let answer = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    let job = app.job(answer.job()).await.job;
    assert_eq!(job.state, JobState::Queued, "an answer that was not seen is no success: {job:#?}");

    app.wait_and_drain(SECOND * 2).await;
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.outcome, job.repeated), (JobState::Done, Some(Outcome::Confirmed), 1));
    assert_eq!(app.okta().revocations_of(&ana.id), 2);
}

#[tokio::test]
async fn one_alert_costs_one_revocation_by_whichever_door_and_name() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 2);
    let subjects = json!([{"email": "ana@example.com"}, {"username": "ANA@example.com"}, {"ids": {"okta": ana.id}}]);
    let delivery = uuid();
    app.deliver_as(&delivery, stolen("edr-1", subjects)).await.assert_accepted();
    app.drain().await;
    let again = app.deliver_as(&delivery, stolen("edr-1", json!([{"email": "ana@example.com"}]))).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "another body under a known id is another delivery");
    app.deliver(by_email("edr-1", "Ana@Example.com")).await;
    app.drain().await;
    app.wait_and_drain(SECOND * 5).await;

    assert_eq!(app.okta().revocations_of(&ana.id), 1);
    app.assert_nothing_open().await;
    let merged: Vec<_> = app.jobs(Some(JobState::Cancelled)).await;
    assert_eq!(merged.len(), 3, "each other spelling: {merged:#?}");
    assert!(merged.iter().all(|job| job.merged_into.is_some()));
}

#[tokio::test]
async fn a_delivery_that_comes_twice_is_answered_with_its_jobs_as_they_are_now() {
    let app = TestApp::start().await;
    app.person("ana@example.com", 1);
    let alert = by_email("edr-1", "ana@example.com");
    let first = app.deliver_as("msg_1", alert.clone()).await.assert_accepted();
    app.drain().await;
    let second = app.deliver_as("msg_1", alert).await;
    assert_eq!(second.status, StatusCode::OK);
    assert_eq!(second.body["status"], "duplicate");
    assert_eq!(second.job(), first.job());
    assert_eq!(second.body["alerts"][0]["jobs"][0]["state"], "done");
}

#[tokio::test]
async fn protected_accounts_are_never_touched_whatever_they_are_called() {
    let app = TestApp::start().await;
    let glass = Person::new("bg1").email("breakglass-1@example.com");
    app.okta().add_person(glass.clone());
    app.okta().sign_in(&glass.id);
    let names = [
        json!({"email": "breakglass-1@example.com"}),
        json!({"email": "BreakGlass-1@EXAMPLE.com"}),
        json!({"email": "ｂreakglass-1@example.com"}),
        json!({"username": "bg1"}),
        json!({"ids": {"okta": glass.id}}),
    ];
    for (number, name) in names.iter().enumerate() {
        let answer = app.deliver(stolen(&format!("edr-{number}"), json!([name]))).await.assert_accepted();
        app.drain().await;
        let job = app.job(answer.job()).await.job;
        assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Protected)), "{name}");
    }
    app.assert_untouched(&glass, 1);
}

#[tokio::test]
async fn a_look_alike_waits_for_a_person() {
    let app = TestApp::start().await;
    // A Cyrillic а: it may be a disguise, or the real person may be the victim.
    let fake = app.person("breаkglass-1@example.com", 1);
    let answer = app.deliver(by_email("edr-1", "breаkglass-1@example.com")).await.assert_accepted();
    app.drain().await;
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Approval)));
    app.assert_untouched(&fake, 1);

    let actor = sever::audit::Actor::operator("oncall");
    app.app
        .store
        .approve(answer.job(), actor, Consent { reason: "spoken to".to_owned(), ..Consent::default() })
        .await
        .expect("approved");
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&fake.id), 0);
}

#[tokio::test]
async fn somebody_elses_session_is_never_ended() {
    let config = CONFIG.replace("revoke: [{provider: okta}]", "revoke: [{provider: okta, scope: sessions}]");
    let app = TestApp::with(&config).await;
    let (ana, bob) = (app.person("ana@example.com", 2), app.person("bob@example.com", 1));
    let (hers, his) = (app.okta().session_ids_of(&ana.id), app.okta().session_ids_of(&bob.id));
    let subject = json!([{"email": "ana@example.com", "sessions": {"okta": [hers[0], his[0]]}}]);
    let answer = app.deliver(stolen("edr-1", subject)).await.assert_accepted();
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&bob.id), 1, "his is not hers");
    assert_eq!(app.okta().sessions_of(&ana.id), 1, "hers that was named is gone, the other stays");
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Refused)), "and it says so");
}

#[tokio::test]
async fn absence_is_believed_at_the_second_look() {
    let app = TestApp::start().await;
    let answer = app.deliver(by_email("edr-1", "nobody@example.com")).await.assert_accepted();
    app.drain().await;
    assert_eq!(app.job(answer.job()).await.job.state, JobState::Queued);
    app.wait_and_drain(SECOND * 3).await;
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.outcome), (JobState::Done, Some(Outcome::UnknownAccount)));
}

#[tokio::test]
async fn a_search_that_lags_does_not_let_a_session_live() {
    let app = TestApp::start().await;
    let ana = Person::new("ana").email("ana@example.com");
    app.okta().add_person(ana.clone());
    app.okta().sign_in(&ana.id);
    app.okta().faults().inject(Fault::StaleSearch { user_id: None });
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    app.wait_and_drain(SECOND * 3).await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
}

#[tokio::test]
async fn an_unknown_id_is_a_wrong_mapping() {
    let app = TestApp::start().await;
    let subject = json!([{"ids": {"okta": "00unobody00000000000"}}]);
    let answer = app.deliver(stolen("edr-1", subject)).await.assert_accepted();
    app.drain().await;
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::UnknownAccount)));
}

#[tokio::test]
async fn a_refused_credential_closes_the_gate_and_nothing_dies() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 1);
    let bob = app.person("bob@example.com", 1);
    app.okta().revoke_ssws(crate::testapp::TOKEN);
    let first = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    let second = app.deliver(by_email("edr-2", "bob@example.com")).await.assert_accepted();
    app.drain().await;

    for answer in [&first, &second] {
        let job = app.job(answer.job()).await.job;
        assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Credential)));
    }
    assert_eq!(app.job(second.job()).await.job.attempts, 0, "no call is wasted on a closed gate");
    app.clock.advance(Duration::from_secs(3 * 86_400));
    app.app.worker.probe_gates().await;
    assert_eq!(app.gates().await, ["credential"]);

    let admin = app.okta().person("admin@example.com").expect("the admin").id;
    app.okta().accept_ssws(crate::testapp::TOKEN, &admin);
    app.app.worker.probe_gates().await;
    app.clock.advance(Duration::from_secs(61));
    app.app.worker.probe_gates().await;
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&ana.id) + app.okta().sessions_of(&bob.id), 0);
    app.assert_nothing_open().await;
}

#[tokio::test]
async fn a_clock_that_jumps_delays_and_hastens_nothing() {
    for jump in [-3600_i64, 3600] {
        let app = TestApp::start().await;
        let ana = app.person("ana@example.com", 1);
        let throttle = Fault::RateLimit { reset_in_s: 30 };
        app.okta().faults().inject(Injection::once(throttle).on(Operation::RevokeUserSessions));
        app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
        app.drain().await;
        let now = sever::clock::Clock::now(app.clock.as_ref());
        app.clock.set_wall(now + jiff::SignedDuration::from_secs(jump));
        app.drain().await;
        assert_eq!(app.okta().sessions_of(&ana.id), 1, "{jump}: still throttled");
        app.wait_and_drain(Duration::from_secs(32)).await;
        assert_eq!(app.okta().sessions_of(&ana.id), 0, "{jump}: not an hour late");
    }
}

#[tokio::test]
async fn every_job_ends_even_if_the_provider_never_answers_well() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 1);
    app.okta().faults().inject(Injection::once(Fault::Error { status: 500, code: "E0000009".into() }).until_cleared());
    let answer = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    for _ in 0..400 {
        app.wait_and_drain(Duration::from_secs(450)).await;
        if app.job(answer.job()).await.job.state.is_final() {
            break;
        }
    }
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(DeadReason::Exhausted)));
    assert_eq!(app.okta().sessions_of(&ana.id), 1);

    app.okta().faults().clear();
    let actor = sever::audit::Actor::operator("oncall");
    app.app.store.requeue(answer.job(), actor, "okta is back".to_owned()).await.expect("requeued");
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
}

#[tokio::test]
async fn a_dry_run_resolves_judges_and_sends_nothing() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 2);
    let mut alert = by_email("edr-1", "ana@example.com");
    alert["dry_run"] = true.into();
    let answer = app.deliver(alert).await.assert_accepted();
    app.drain().await;
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.outcome, job.account_id), (Some(Outcome::DryRun), Some(ana.id.clone())));
    app.assert_untouched(&ana, 2);
}

#[tokio::test]
async fn hostile_subjects_reach_no_path_of_the_provider() {
    let long = "x".repeat(10_240);
    let hostile = [
        "",
        ".",
        "..",
        "me",
        "ME",
        "a/b",
        "%2e%2e",
        "%2E%2E%2Fusers",
        "a?b",
        "a#b",
        "a;b",
        "a\\b",
        &long,
        "a\nb",
        "a\0b",
        "../../oauth2/v1/token",
        "00u/../me",
        "*",
        "%00",
        "％2e％2e",
    ];
    for place in ["email", "username", "ids"] {
        for text in hostile {
            let app = TestApp::start().await;
            let subject = if place == "ids" { json!([{"ids": {"okta": text}}]) } else { json!([{place: text}]) };
            app.deliver(stolen("edr-1", subject)).await;
            app.drain().await;
            app.wait_and_drain(SECOND * 3).await;
            for call in app.okta().ledger() {
                let harmless = call.path == "/api/v1/users"
                    || (call.path.starts_with("/api/v1/users/") && !call.path.contains("/sessions"));
                assert!(harmless && call.method == "GET", "{place} {text:?} led to {} {}", call.method, call.path);
                assert!(!call.path.ends_with("/me"), "{place} {text:?} asked for ourselves");
            }
        }
    }
}

#[tokio::test]
async fn an_account_seen_late_gets_two_looks_at_its_sessions_too() {
    let config = CONFIG.replace("revoke: [{provider: okta}]", "revoke: [{provider: okta, scope: sessions}]");
    let app = TestApp::with(&config).await;
    let subject = json!([{"email": "ana@example.com", "sessions": {"okta": ["102gone"]}}]);
    let answer = app.deliver(stolen("edr-1", subject)).await.assert_accepted();
    app.drain().await;
    app.person("ana@example.com", 0);
    app.wait_and_drain(SECOND * 3).await;
    let job = app.job(answer.job()).await.job;
    assert_eq!(job.state, JobState::Queued, "the first look at sessions is not the second in vain: {job:#?}");
    app.wait_and_drain(SECOND * 3).await;
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.outcome), (JobState::Done, Some(Outcome::NothingToRevoke)));
}

#[tokio::test]
async fn a_provider_in_dry_run_is_only_read() {
    let app = TestApp::with(&CONFIG.replace("timeout: 2s", "timeout: 2s\n    dry_run: true")).await;
    let ana = app.person("ana@example.com", 1);
    let answer = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    let job = app.job(answer.job()).await.job;
    assert!(job.dry_run, "the job itself says so");
    assert_eq!(job.outcome, Some(Outcome::DryRun));
    app.assert_untouched(&ana, 1);

    // Once it is meant for real, a replay is not taken for what the dry run did.
    let app = app.restart_with(CONFIG).await;
    let alert = app.app.store.alerts(None, 1).await.expect("alerts").items.remove(0).id;
    let actor = sever::audit::Actor::operator("oncall");
    let stored = app.app.store.delivery_of(alert).await.expect("read").expect("there");
    let admission = app.app.intake.plan_again(&stored).expect("planned");
    app.app.store.replay(stored.seq, admission, actor).await.expect("replayed");
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
}

#[tokio::test]
async fn a_job_that_found_nobody_stands_for_no_other() {
    let app = TestApp::start().await;
    let ana = Person::new("ana").email("ana@example.com");
    app.okta().add_person(ana.clone());
    app.okta().sign_in(&ana.id);
    let faults = app.okta().faults();
    let error = Fault::Error { status: 503, code: "E0000010".into() };
    faults.inject(Injection::once(error).on(Operation::RevokeUserSessions));
    let first = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    app.drain().await;
    // Found once, and from now on missing in the index: that takes two looks in a row, counted anew.
    faults.inject(Injection::once(Fault::StaleSearch { user_id: None }).until_cleared());
    app.wait_and_drain(SECOND * 3).await;
    assert_eq!(app.job(first.job()).await.job.state, JobState::Queued);
    app.wait_and_drain(SECOND * 3).await;
    let job = app.job(first.job()).await.job;
    assert_eq!((job.outcome, job.account_id), (Some(Outcome::UnknownAccount), None));

    app.deliver(stolen("edr-1", json!([{"ids": {"okta": ana.id}}]))).await.assert_accepted();
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0, "the same alert by another name, and nobody had acted on it");
}

#[tokio::test]
async fn consent_to_the_rule_is_no_consent_to_act_unread() {
    let app =
        TestApp::with(&CONFIG.replace("revoke: [{provider: okta}]", "revoke: [{provider: okta}]\n    approval: true"))
            .await;
    let glass = Person::new("bg1").email("breakglass-1@example.com");
    app.okta().add_person(glass.clone());
    app.okta().sign_in(&glass.id);
    let answer = app.deliver(stolen("edr-1", json!([{"ids": {"okta": glass.id}}]))).await.assert_accepted();
    let approve = async |account: Option<String>| {
        // The account cannot be read; who we are ourselves, which the check asks right after, can.
        let refused = Fault::Error { status: 403, code: "E0000006".into() };
        app.okta().faults().inject(Injection::once(refused).on(Operation::GetUser));
        let actor = sever::audit::Actor::operator("oncall");
        app.app
            .store
            .approve(
                answer.job(),
                actor,
                Consent { account_id: account, reason: "agreed".to_owned(), ..Consent::default() },
            )
            .await
            .expect("approved");
        app.drain().await;
    };
    approve(None).await;
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Approval)), "{job:#?}");
    app.assert_untouched(&glass, 1);

    // Now a person says so, knowing that nobody could look.
    approve(Some(glass.id.clone())).await;
    assert_eq!(app.okta().sessions_of(&glass.id), 0);
}

#[tokio::test]
async fn a_dry_run_of_everything_stops_what_is_queued_already() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 1);
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    let app = app.restart_with(&CONFIG.replace("guardrails:", "guardrails:\n  dry_run: true")).await;
    app.drain().await;
    app.assert_untouched(&ana, 1);
    app.assert_nothing_open().await;
}

#[tokio::test]
async fn one_job_that_is_refused_as_if_we_were_does_not_stop_the_others() {
    let app = TestApp::start().await;
    let ana = app.person("ana@example.com", 1);
    let strange = Fault::Error { status: 401, code: "E0000015".into() };
    app.okta().faults().inject(Injection::once(strange).on(Operation::RevokeUserSessions).times(4));
    let answer = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    for _ in 0..6 {
        app.wait_and_drain(SECOND * 20).await;
        assert!(app.gates().await.is_empty(), "our credential works, so nobody else waits");
    }
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Misconfigured)), "{job:#?}");
    let bob = app.person("bob@example.com", 1);
    app.deliver(by_email("edr-2", "bob@example.com")).await.assert_accepted();
    app.drain().await;
    assert_eq!((app.okta().sessions_of(&bob.id), app.okta().sessions_of(&ana.id)), (0, 1));
}

#[tokio::test]
async fn jobs_of_a_provider_that_left_the_config_say_what_they_wait_for() {
    let app = TestApp::start().await;
    let answer = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    let renamed = CONFIG.replace("  okta:\n", "  okta-new:\n").replace("provider: okta", "provider: okta-new");
    let app = app.restart_with(&renamed).await;
    app.app.start().await.expect("started");
    let job = app.job(answer.job()).await.job;
    assert_eq!((job.state, job.hold_reason), (JobState::Held, Some(HoldReason::Misconfigured)));
    assert!(job.note.is_some_and(|note| note.contains("not in the config")));
    app.app.finish().await;
}
