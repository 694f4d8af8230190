//! What is refused, and what stands on every answer.

use sever::sandbox::ledger::Effect;
use sever::sandbox::slack::Person;

use super::org::*;

#[tokio::test]
async fn wrong_paths_and_methods_are_no_method_of_slack() {
    let org = Org::start().await;
    let table = [
        ("POST", "/api/admin.users.session.resetAll", 200, "unknown_method"),
        ("POST", "/api/admin.users.session.Reset", 200, "unknown_method"),
        ("POST", "/api/admin.users.session.reset/", 200, "unknown_method"),
        ("POST", "/api/admin%2Eusers.session.reset", 200, "unknown_method"),
        ("POST", "/api/", 200, "unknown_method"),
        ("GET", "/api/admin.users.session.reset", 200, "unknown_method"),
        ("DELETE", "/api/admin.users.session.reset", 200, "unknown_method"),
        ("GET", "/api/admin.users.session.list", 200, "unknown_method"),
        ("PUT", "/api/auth.test", 200, "unknown_method"),
        ("POST", "/admin.users.session.reset", 404, ""),
        ("POST", "/scim/v1/Users", 404, ""),
        ("GET", "/", 404, ""),
    ];
    for (method, path, status, code) in table {
        let reply = org.send(method, path, &[AUTH], "").await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{method} {path}");
    }
}

#[tokio::test]
async fn wrong_calls_fail_under_200_with_the_code_of_their_fault() {
    let org = Org::start().await;
    org.slack.sign_in("owner");
    let owners = org.slack.session_ids_of("owner").remove(0);
    let session = org.slack.session_ids_in("ana", &org.teams[0]).remove(0);
    let elsewhere = org.slack.session_ids_in("ana", &org.teams[1]).remove(0);
    let both = format!("{},{}", org.ana, org.owner);
    let [team, other] = &org.teams;
    let table: Vec<(&str, Fields<'_>, &str)> = vec![
        (RESET, vec![("user_id", "W000000000")], "user_not_found"),
        (RESET, vec![("user_id", "ana")], "user_not_found"),
        (RESET, vec![("user_id", "Ana.Silva@example.com")], "user_not_found"),
        (RESET, vec![("user_id", &both)], "user_not_found"),
        (RESET, vec![("user_id", &org.bot)], "cannot_reset_bot"),
        (RESET, vec![("user_id", &org.owner)], "cannot_reset_primary_owner"),
        (BULK, vec![("user_ids", "W000000000")], "user_not_found"),
        (BULK, vec![("user_ids", &org.bot)], "cannot_reset_bot"),
        (BULK, vec![("user_ids", &both)], "cannot_reset_primary_owner"),
        (INVALIDATE, vec![("session_id", "12345"), ("team_id", team), ("user_id", &org.ana)], "session_not_found"),
        (INVALIDATE, vec![("session_id", &session), ("team_id", other), ("user_id", &org.ana)], "session_not_found"),
        (INVALIDATE, vec![("session_id", &elsewhere), ("team_id", team), ("user_id", &org.ana)], "session_not_found"),
        (INVALIDATE, vec![("session_id", &session), ("team_id", team), ("user_id", "W0")], "user_not_found"),
        (
            INVALIDATE,
            vec![("session_id", &owners), ("team_id", team), ("user_id", &org.owner)],
            "cannot_invalidate_primary_owner",
        ),
        (LIST, vec![("user_id", &org.ana)], "missing_team"),
        (LIST, vec![("team_id", team)], "missing_user"),
        (LIST, vec![("team_id", "T000"), ("user_id", &org.ana)], "team_not_found"),
        (LIST, vec![("team_id", team), ("user_id", "W000")], "user_not_found"),
        (LIST, vec![("team_id", team), ("user_id", &org.bot)], "bots_not_allowed"),
        (LIST, vec![("team_id", team), ("user_id", &org.ana), ("cursor", "made-up")], "invalid_cursor"),
        ("users.lookupByEmail", vec![("email", "nobody@example.com")], "users_not_found"),
        ("users.lookupByEmail", vec![("email", &org.ana)], "users_not_found"),
        ("users.lookupByEmail", vec![("email", "bot@example.com")], "users_not_found"),
        ("users.lookupByEmail", vec![], "invalid_arguments"),
        ("users.info", vec![("user", "W000")], "user_not_found"),
        ("users.info", vec![("user", "ana")], "user_not_found"),
        ("users.info", vec![], "invalid_arguments"),
    ];
    for (method, fields, code) in table {
        let reply = org.form(method, &fields).await;
        assert_eq!((reply.status, reply.code().as_str()), (200, code), "{method} {fields:?}: {}", reply.text);
        let recorded = org.slack.ledger().pop().expect("refused calls are recorded too");
        assert_eq!((recorded.status, recorded.error_code.as_deref()), (Some(200), Some(code)));
        assert_eq!(recorded.effect, Effect::None, "{method} {fields:?}");
    }
    assert_eq!((org.slack.sessions_of("ana"), org.slack.sessions_of("owner")), (3, 1));
}

#[tokio::test]
async fn the_primary_owner_may_do_it_to_themselves() {
    let org = Org::start().await;
    let session = org.slack.sign_in("owner");
    org.slack.sign_in("owner");
    org.slack.accept_token("xoxp-owner", "owner");
    let fields = [("session_id", session.as_str()), ("team_id", &org.teams[0]), ("user_id", &org.owner)];
    assert_eq!(org.form_with("xoxp-owner", INVALIDATE, &fields).await.code(), "ok");
    assert_eq!(org.slack.sessions_of("owner"), 1);
    assert_eq!(org.form_with("xoxp-owner", RESET, &[("user_id", &org.owner)]).await.code(), "ok");
    assert_eq!(org.slack.sessions_of("owner"), 0);
    assert_eq!(org.form_with("xoxp-owner", "auth.test", &[]).await.code(), "ok", "the token is not a session");
}

#[tokio::test]
async fn what_reaches_too_far_looks_done_is_not_and_is_noticed() {
    let org = Org::start().await;
    org.slack.add_person(Person::new("ben@example.com"));
    let bens = org.slack.sign_in("ben");
    let calls: Vec<(&str, Fields<'_>, &str)> = vec![
        ("auth.revoke", vec![], "ok"),
        ("apps.uninstall", vec![("client_id", "1.2"), ("client_secret", "s")], "ok"),
        ("admin.users.remove", vec![("team_id", &org.teams[0]), ("user_id", &org.ana)], "ok"),
        // Ben's session in Ana's name: what a client ends that mixes up rows, or goes by the contract of old.
        (
            INVALIDATE,
            vec![("session_id", &bens), ("team_id", &org.teams[0]), ("user_id", &org.ana)],
            "session_not_found",
        ),
    ];
    for (number, (method, fields, code)) in calls.into_iter().enumerate() {
        assert_eq!(org.form(method, &fields).await.code(), code, "{method}");
        assert_eq!(org.slack.tripwires().len(), number + 1, "{method}");
    }
    assert_eq!((org.slack.sessions_of("ana"), org.slack.sessions_of("ben")), (3, 1));
    assert_eq!(org.form("auth.test", &[]).await.code(), "ok", "the token still works");
    let told = org.slack.tripwires().pop().expect("four");
    let whom = org.slack.person("ben").expect("Ben").id;
    assert!(matches!(told.effect, Effect::Tripwire { would } if would.contains(&whom) && would.contains(&org.ana)));
}

#[tokio::test]
async fn every_answer_carries_a_request_id_and_the_date() {
    let org = Org::start().await;
    for reply in [org.reset().await, org.send("GET", "/", &[], "").await, org.form("nothing", &[]).await] {
        assert_eq!(reply.header("date"), "Sat, 21 Nov 2026 22:14:07 GMT");
        assert_eq!(reply.header("x-slack-req-id").len(), 32);
    }
}

#[tokio::test]
async fn the_ledger_keeps_no_secret() {
    let org = Org::start().await;
    let calls = [
        ("POST", format!("/api/{RESET}?token={TOKEN}")),
        ("GET", format!("/api/users.info?user=W1&%74oken={TOKEN}")),
        ("GET", format!("/api/users.info?{TOKEN}")),
        ("POST", "/api/apps.uninstall?client_secret=xoxp-1234567890-example".to_owned()),
    ];
    for (method, path) in calls {
        org.send(method, &path, &[AUTH], "").await;
    }
    org.send("POST", "/api/auth.test", &[FORM], &encoded(&[("token", TOKEN)])).await;
    org.send("GET", "/api/users.lookupByEmail?email=ana.silva%40example.com", &[AUTH], "").await;
    let ledger = org.slack.ledger();
    assert!(!serde_json::to_string(&ledger).expect("JSON").contains("xoxp"), "{ledger:?}");
    assert_eq!(ledger.last().map(|call| call.query.as_str()), Some("email=ana.silva%40example.com"));
}

#[tokio::test]
async fn a_sandbox_that_is_shut_down_no_longer_answers() {
    let org = Org::start().await;
    org.slack.shutdown().await;
    assert!(org.try_send("GET", "/", &[], "").await.is_err());
}
