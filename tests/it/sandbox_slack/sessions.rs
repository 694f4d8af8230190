//! What revocations change, at once and later.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use sever::sandbox::ledger::Effect;
use sever::sandbox::slack::{Device, Person};

use super::org::*;

#[tokio::test]
async fn a_reset_ends_what_its_flags_say_in_every_workspace() {
    // flag, web left, mobile left
    for (flag, web, mobile) in [(None, 0, 0), (Some("web_only"), 0, 1), (Some("mobile_only"), 2, 0)] {
        let org = Org::start().await;
        let flags: Vec<(&str, &str)> = flag.map(|flag| (flag, "true")).into_iter().collect();
        let reply = org.form(RESET, &[vec![("user_id", org.ana.as_str())], flags].concat()).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "{\"ok\":true}"), "{flag:?}");
        let left = [Device::Web, Device::Mobile].map(|device| org.slack.session_ids_on("ana", device).len());
        assert_eq!(left, [web, mobile], "{flag:?}");
        let (user_id, sessions) = (org.ana.clone(), 3 - web - mobile);
        let effect = match flag {
            None => Effect::UserRevoked { user_id, sessions, tokens: 0, devices: 0 },
            Some(_) => Effect::SessionsRevoked { user_id, sessions },
        };
        assert_eq!(org.slack.ledger().pop().map(|call| call.effect), Some(effect), "{flag:?}");
    }
}

#[tokio::test]
async fn resetting_again_or_somebody_without_sessions_is_ok() {
    let org = Org::start().await;
    assert_eq!([org.reset().await.code(), org.reset().await.code()], ["ok", "ok"]);
    assert_eq!(org.slack.revocations_of("Ana.Silva@example.com"), 2);
    org.slack.sign_in("ana");
    org.slack.deactivate("ana");
    assert_eq!(org.slack.sessions_of("ana"), 0, "who is deactivated loses all sessions");
    assert_eq!(org.reset().await.code(), "ok");
    let admin = org.slack.person("admin").expect("the admin").id;
    org.slack.sign_in("admin");
    assert_eq!(org.form(RESET, &[("user_id", &admin)]).await.code(), "ok", "one's own sessions are like others'");
    assert_eq!(org.form("auth.test", &[]).await.code(), "ok", "and the token is none of them");
}

#[tokio::test]
async fn invalidate_ends_one_session_and_no_other() {
    let org = Org::start().await;
    let [first, second] = [0, 1].map(|at| org.slack.session_ids_in("ana", &org.teams[0])[at].clone());
    assert_eq!(org.invalidate(&first).await.text, "{\"ok\":true}");
    assert_eq!(org.slack.session_ids_in("ana", &org.teams[0]), [second.as_str()]);
    assert_eq!(org.invalidate(&first).await.code(), "session_not_found");
    let id: i64 = second.parse().expect("a number");
    let object = json!({"session_id": id, "team_id": org.teams[0], "user_id": org.ana});
    assert_eq!(org.object(INVALIDATE, &object).await.code(), "ok");
    assert_eq!(org.slack.sessions_of("ana"), 1);
    assert_eq!(org.slack.revocations_of("ana"), 2);
}

#[tokio::test]
async fn session_ids_survive_neither_32_bits_nor_floating_point() {
    let org = Org::start().await;
    for _ in 0..50 {
        org.slack.sign_in("ana");
    }
    for id in org.slack.session_ids_of("ana") {
        let number: i64 = id.parse().expect("64 bits");
        assert!(number > i64::from(i32::MAX) && (number as f64) as i64 != number, "{id}");
    }
    let id: i64 = org.slack.session_ids_in("ana", &org.teams[0])[0].parse().expect("a number");
    let rounded = ((id as f64) as i64).to_string();
    assert_eq!(org.invalidate(&rounded).await.code(), "session_not_found");
    assert_eq!(org.slack.sessions_of("ana"), 53);
}

#[tokio::test]
async fn an_expired_session_is_gone_in_a_way_of_its_own() {
    let org = Org::start().await;
    let id = org.slack.session_ids_in("ana", &org.teams[0]).remove(0);
    org.slack.expire_session(&id);
    assert_eq!(org.invalidate(&id).await.code(), "session_expired");
    assert_eq!((org.slack.sessions_of("ana"), org.list().await.session_ids().len()), (2, 1));
    org.slack.list_expired_sessions();
    assert_eq!(org.list().await.session_ids().len(), 2, "a listing may lag");
}

#[tokio::test]
async fn sessions_may_belong_to_the_organization_itself() {
    let org = Org::start().await;
    let whole = org.slack.enterprise_id();
    let id = org.slack.sign_in_to("ana", &whole, Device::Web);
    let listed = org.form(LIST, &[("team_id", &whole), ("user_id", &org.ana)]).await;
    assert_eq!(
        (listed.session_ids(), &listed.json()["active_sessions"][0]["team_id"]),
        (vec![id.clone()], &json!(whole))
    );
    let fields = [("session_id", id.as_str()), ("team_id", &whole), ("user_id", &org.ana)];
    assert_eq!(org.form(INVALIDATE, &fields).await.code(), "ok");
}

#[tokio::test]
async fn a_bulk_reset_reaches_everybody_named_and_nobody_else() {
    let org = Org::start().await;
    for name in ["ben@example.com", "cleo@example.com"] {
        org.slack.add_person(Person::new(name));
        org.slack.sign_in(name);
    }
    let ben = org.slack.person("ben").expect("Ben").id;
    let ids = format!("{},{ben},{}", org.ana, org.ana);
    assert_eq!(org.form(BULK, &[("user_ids", &ids), ("web_only", "true")]).await.text, "{\"ok\":true}");
    assert_eq!(["ana", "ben", "cleo"].map(|name| org.slack.sessions_of(name)), [1, 0, 1]);
    assert_eq!(["ana", "ben", "cleo"].map(|name| org.slack.revocations_of(name)), [1, 1, 0]);
    let full: Vec<String> = (0..1000).map(|number| format!("W{number:010}")).collect();
    full.iter().for_each(|id| org.slack.add_person(Person::new(&format!("{id}@example.com")).id(id)));
    assert_eq!(org.object(BULK, &json!({"user_ids": full})).await.code(), "ok", "a thousand at once");
}

#[tokio::test]
async fn who_cannot_be_reset_spoils_a_bulk_reset_and_who_fails_is_named() {
    let org = Org::start().await;
    org.slack.add_person(Person::new("ben@example.com"));
    org.slack.sign_in("ben");
    let ben = org.slack.person("ben").expect("Ben").id;
    let spoilt = format!("{ben},{}", org.bot);
    assert_eq!(org.form(BULK, &[("user_ids", &spoilt)]).await.code(), "cannot_reset_bot");
    assert_eq!(org.slack.sessions_of("ben"), 1);
    org.slack.fail_in_bulk("ana", "user_session_reset_failed");
    let reply = org.object(BULK, &json!({"user_ids": [org.ana, ben]})).await;
    assert_eq!((reply.status, reply.code().as_str()), (200, "failed_for_some_users"));
    assert_eq!(reply.json()["failed_user_ids"], json!({org.ana.clone(): "user_session_reset_failed"}));
    assert_eq!(["ana", "ben"].map(|name| org.slack.sessions_of(name)), [3, 0]);
    assert_eq!(org.reset().await.code(), "ok", "singly it works");
}

#[tokio::test]
async fn a_late_reset_ends_what_there_was_when_it_took_effect() {
    for bulk in [false, true] {
        let org = Org::start().await;
        org.slack.delay_resets(SignedDuration::from_secs(30));
        let reply = match bulk {
            false => org.reset().await,
            true => org.form(BULK, &[("user_ids", &org.ana)]).await,
        };
        assert_eq!((reply.code().as_str(), org.slack.revocations_of("ana")), ("ok", 1));
        org.clock.advance(Duration::from_secs(29));
        org.slack.sign_in("ana");
        assert_eq!((org.slack.sessions_of("ana"), org.list().await.session_ids().len()), (4, 3), "not yet");
        org.clock.advance(Duration::from_secs(1));
        assert_eq!(org.list().await.code(), "no_active_sessions");
        org.slack.sign_in("ana");
        org.clock.advance(Duration::from_secs(3600));
        assert_eq!(org.slack.sessions_of("ana"), 1, "it takes effect once");
        let effect = org.slack.ledger().remove(0).effect;
        let user_id = org.ana.clone();
        assert_eq!(
            effect,
            match bulk {
                false => Effect::Enqueued { user_id },
                true => Effect::BulkEnqueued { user_ids: vec![user_id], pretended: false },
            }
        );
    }
}

#[tokio::test]
async fn a_late_reset_spares_who_signed_in_after_it_was_due() {
    let org = Org::start().await;
    org.slack.delay_resets(SignedDuration::from_secs(30));
    org.reset().await;
    org.clock.advance(Duration::from_secs(31));
    let later = org.slack.sign_in("ana");
    assert_eq!(org.slack.session_ids_of("ana"), [later]);
}

#[tokio::test]
async fn many_clients_at_once_are_all_counted() {
    let org = Arc::new(Org::start().await);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let org = Arc::clone(&org);
        calls.spawn(async move { org.reset().await.status });
    }
    assert_eq!(calls.join_all().await, [200; 40]);
    assert_eq!(org.slack.revocations_of("ana"), 40);
}
