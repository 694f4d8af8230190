//! The fault switches, one by one.

use jiff::SignedDuration;
use serde_json::{Value, json};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::ledger::Effect;
use sever::sandbox::slack::{Operation, Person};

use super::org::*;

/// Every code of the documents that no state of the organization brings about.
const CODES: [&str; 26] = [
    "user_session_reset_failed",
    "session_invalidation_failed",
    "session_reset_not_allowed",
    "admin_unauthorized",
    "restricted_action",
    "no_permission",
    "access_denied",
    "team_access_not_granted",
    "enterprise_is_restricted",
    "ekm_access_denied",
    "accesslimited",
    "two_factor_setup_required",
    "org_login_required",
    "team_added_to_org",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "deprecated_endpoint",
    "method_deprecated",
    "token_expired",
    "token_revoked",
    "failed_for_some_users",
    "unknown_method",
    "not_allowed_token_type",
    "a_code_of_tomorrow",
];

#[tokio::test]
async fn errors_are_sent_in_place_of_the_effect() {
    let org = Org::start().await;
    for code in CODES {
        for status in [200, 503] {
            org.slack.faults().inject(Fault::Error { status, code: code.to_owned() });
            let reply = org.reset().await;
            assert_eq!((reply.status, reply.json()), (status, json!({"ok": false, "error": code})));
        }
    }
    org.slack.faults().inject(Fault::Error { status: 502, code: String::new() });
    let gateway = org.reset().await;
    assert!(gateway.status == 502 && gateway.header("content-type").starts_with("text/html"));
    assert_eq!((org.slack.sessions_of("ana"), org.slack.revocations_of("ana")), (3, 0));
}

#[tokio::test]
async fn answers_get_lost_before_and_after_the_effect() {
    let org = Org::start().await;
    for (fault, left, reached) in [(Fault::LostBefore, 3, 0), (Fault::LostAfter, 0, 1)] {
        org.slack.clear_ledger();
        org.slack.faults().inject(fault.clone());
        let sent = org.try_send("POST", &format!("/api/{RESET}"), &[FORM, AUTH], &format!("user_id={}", org.ana)).await;
        assert!(sent.is_err(), "{fault:?}");
        assert_eq!((org.slack.sessions_of("ana"), org.slack.revocations_of("ana")), (left, reached), "{fault:?}");
        assert_eq!(org.slack.ledger()[0].status, None, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lying_success_leaves_everything_alive() {
    let org = Org::start().await;
    let session = org.slack.session_ids_in("ana", &org.teams[0]).remove(0);
    org.slack.faults().inject(Injection::once(Fault::LyingSuccess).until_cleared());
    assert_eq!(org.reset().await.code(), "ok");
    assert_eq!(org.invalidate(&session).await.code(), "ok");
    assert_eq!(org.form(BULK, &[("user_ids", &org.ana)]).await.code(), "ok");
    assert_eq!(
        org.form("admin.users.session.setSettings", &[("user_ids", &org.ana), ("duration", "28800")]).await.code(),
        "ok"
    );
    assert_eq!((org.slack.sessions_of("ana"), org.slack.revocations_of("ana")), (3, 3));
    assert_eq!(org.form(RESET, &[("user_id", "W0")]).await.code(), "user_not_found", "it lies about deeds alone");
    let effects: Vec<Effect> = org.slack.ledger().into_iter().map(|call| call.effect).collect();
    let pretended = Effect::Pretended { user_id: org.ana.clone() };
    let bulk = Effect::BulkEnqueued { user_ids: vec![org.ana.clone()], pretended: true };
    assert_eq!(effects, [pretended.clone(), pretended, bulk, Effect::None, Effect::None]);
}

#[tokio::test]
async fn half_is_done_before_a_failure() {
    let org = Org::start().await;
    let partial = |status| org.slack.faults().inject(Fault::Partial { status });
    partial(200);
    let reply = org.reset().await;
    assert_eq!((reply.status, reply.code().as_str(), org.slack.sessions_of("ana")), (200, "fatal_error", 1));
    partial(500);
    let session = org.slack.sign_in("ana");
    assert_eq!(org.invalidate(&session).await.status, 500);
    assert_eq!(org.slack.sessions_of("ana"), 1, "one is its own larger half");
    let ids: Vec<String> = (0..3).map(|number| format!("W00000{number}")).collect();
    for id in &ids {
        org.slack.add_person(Person::new(&format!("{id}@example.com")).id(id));
        org.slack.sign_in(id);
    }
    partial(503);
    let reply = org.object(BULK, &json!({"user_ids": ids})).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "fatal_error"));
    assert_eq!([0, 1, 2].map(|at| org.slack.sessions_of(&ids[at])), [0, 0, 1]);
}

#[tokio::test]
async fn who_signs_in_again_has_a_new_session_like_the_old() {
    for (late, bulk) in [(false, false), (true, false), (false, true), (true, true)] {
        let org = Org::start().await;
        let before = org.slack.session_ids_of("ana");
        if late {
            org.slack.delay_resets(SignedDuration::from_secs(5));
        }
        org.slack.faults().inject(Fault::SignInAgain);
        match bulk {
            false => org.reset().await,
            true => org.form(BULK, &[("user_ids", &org.ana)]).await,
        };
        org.clock.advance(std::time::Duration::from_secs(5));
        let after = org.slack.session_ids_of("ana");
        assert!(after.len() == 1 && !before.contains(&after[0]), "{late} {bulk}");
        assert_eq!(org.list().await.session_ids(), after);
    }
    let org = Org::start().await;
    org.slack.faults().inject(Fault::SignInAgain);
    let session = org.slack.session_ids_in("ana", &org.teams[0]).remove(0);
    org.invalidate(&session).await;
    assert!(org.slack.sessions_of("ana") == 3 && !org.slack.session_ids_of("ana").contains(&session));
}

#[tokio::test]
async fn a_replica_that_lags_still_lists_what_the_latest_revocation_ended() {
    let org = Org::start().await;
    let (here, all) = (org.slack.session_ids_in("ana", &org.teams[0]), org.slack.session_ids_of("ana"));
    org.slack.faults().inject(Injection::once(Fault::StaleList).on(Operation::SessionList).times(2));
    org.reset().await;
    org.slack.sign_in("owner");
    assert_eq!(org.list().await.session_ids(), here);
    let everybody = [all, org.slack.session_ids_of("owner")].concat();
    assert_eq!(org.form(LIST, &[]).await.session_ids(), everybody);
    assert_eq!(org.list().await.code(), "no_active_sessions");
}

#[tokio::test]
async fn a_stale_index_hides_a_person_from_lookups_only() {
    let org = Org::start().await;
    let find = async || org.form("users.lookupByEmail", &[("email", "ana.silva@example.com")]).await.code();
    org.slack.faults().inject(Fault::StaleSearch { user_id: Some(org.owner.clone()) });
    assert_eq!(find().await, "ok");
    for user_id in [Some(org.ana.clone()), None] {
        org.slack.faults().inject(Fault::StaleSearch { user_id });
        assert_eq!(org.form("users.info", &[("user", &org.ana)]).await.code(), "ok");
        assert_eq!(find().await, "users_not_found");
    }
    assert_eq!(find().await, "ok");
}

#[tokio::test]
async fn bodies_go_wrong_and_answers_lead_elsewhere() {
    let org = Org::start().await;
    let strike = |fault| org.slack.faults().inject(Injection::once(fault).on(Operation::AuthTest));
    strike(Fault::Html);
    assert!(org.form("auth.test", &[]).await.header("content-type").starts_with("text/html"));
    strike(Fault::MalformedJson);
    assert!(serde_json::from_str::<Value>(&org.form("auth.test", &[]).await.text).is_err());
    strike(Fault::HugeBody { size_bytes: 100_000 });
    assert_eq!(org.form("auth.test", &[]).await.text.len(), 100_000);
    strike(Fault::Redirect { to: "https://elsewhere.example/".into() });
    let moved = org.form("auth.test", &[]).await;
    assert_eq!((moved.status, moved.header("location").as_str()), (302, "https://elsewhere.example/"));
    org.slack.shift_clock(SignedDuration::from_hours(1));
    assert_eq!(org.form("auth.test", &[]).await.header("date"), "Sat, 21 Nov 2026 23:14:07 GMT");
}
