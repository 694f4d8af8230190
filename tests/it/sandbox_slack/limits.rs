//! The rate limit, its tiers and its three forms.

use std::time::Duration;

use sever::sandbox::faults::Fault;
use sever::sandbox::slack::ThrottleForm;

use super::org::*;

#[tokio::test]
async fn each_method_has_its_window_of_a_minute() {
    let org = Org::start().await;
    org.slack.limit_rate(2);
    assert_eq!([org.reset().await.status, org.reset().await.status], [200, 200]);
    org.clock.advance(Duration::from_secs(20));
    let reply = org.reset().await;
    assert_eq!((reply.status, reply.code().as_str(), reply.header("retry-after").as_str()), (429, "ratelimited", "40"));
    assert_eq!(org.slack.revocations_of("ana"), 2);
    assert_eq!(org.form("auth.test", &[]).await.code(), "ok", "another method has its own");
    org.clock.advance(Duration::from_secs(39));
    assert_eq!(org.reset().await.header("retry-after"), "1");
    org.clock.advance(Duration::from_secs(1));
    assert_eq!(org.reset().await.code(), "ok");
}

#[tokio::test]
async fn the_tiers_are_slack_s_own() {
    let org = Org::start().await;
    org.slack.limit_rate_by_tier();
    for (method, body) in org.right_calls() {
        let calls = match method {
            "auth.test" => 300,
            "users.lookupByEmail" => 50,
            "api.test" | "users.info" => 100,
            "admin.users.session.getSettings" | "admin.users.session.setSettings" => 100,
            "admin.users.session.clearSettings" => 100,
            _ => 20,
        };
        let form = encoded(&as_form(&body));
        let path = format!("/api/{method}");
        for number in 0..calls {
            assert_eq!(org.send("POST", &path, &[FORM, AUTH], &form).await.status, 200, "{method} {number}");
        }
        assert_eq!(org.send("POST", &path, &[FORM, AUTH], &form).await.status, 429, "{method}");
    }
}

#[tokio::test]
async fn a_refused_token_uses_nothing_up() {
    let org = Org::start().await;
    org.slack.limit_rate(1);
    for _ in 0..3 {
        assert_eq!(org.form_with("xoxp-wrong", RESET, &[("user_id", &org.ana)]).await.code(), "invalid_auth");
    }
    assert_eq!(org.reset().await.code(), "ok");
}

#[tokio::test]
async fn too_many_calls_are_said_in_three_forms() {
    let table = [
        (ThrottleForm::Json, 429, "{\"error\":\"ratelimited\",\"ok\":false}", "application/json; charset=utf-8"),
        (ThrottleForm::Text, 429, "ratelimited", "text/plain"),
        (ThrottleForm::Success, 200, "{\"error\":\"ratelimited\",\"ok\":false}", "application/json; charset=utf-8"),
    ];
    for (form, status, body, content_type) in table {
        let org = Org::start().await;
        org.slack.throttle_as(form);
        org.slack.limit_rate(0);
        let of_window = org.reset().await;
        assert_eq!(of_window.all("retry-after"), ["60"]);
        let faults = [
            (Fault::RateLimit { reset_in_s: 30 }, vec!["30"]),
            (Fault::ConcurrencyLimit { reset_in_s: 2 }, vec!["2"]),
            (Fault::RepeatedReset { resets_in_s: vec![40, 7] }, vec!["40", "7"]),
            (Fault::ThrottleWithoutHint, vec![]),
        ];
        for (fault, hints) in faults {
            let hinted = fault != Fault::ThrottleWithoutHint;
            org.slack.faults().inject(fault);
            let reply = org.reset().await;
            assert_eq!((reply.status, reply.text.as_str()), (status, body), "{form:?}");
            assert_eq!(
                (reply.header("content-type").as_str(), reply.all("retry-after")),
                (content_type, strings(&hints))
            );
            assert_eq!(reply.headers.contains_key("date"), hinted);
        }
        assert_eq!((of_window.status, of_window.text.as_str(), org.slack.sessions_of("ana")), (status, body, 3));
        assert!(org.slack.ledger().iter().all(|call| call.error_code.as_deref() == Some("ratelimited")));
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
