//! The rate limit, its headers in both styles, and the 429 that is no JSON.

use std::time::Duration;

use sever::sandbox::mattermost::LimitBy;

use super::chat::*;

fn told(reply: &Reply) -> [String; 4] {
    ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"].map(|name| reply.header(name))
}

#[tokio::test]
async fn a_burst_is_taken_and_then_one_call_each_interval() {
    let chat = Chat::start().await;
    chat.server.limit_rate(1, 2, LimitBy::RemoteAddress);
    for (remaining, reset) in [("2", "1"), ("1", "2"), ("0", "3")] {
        let reply = chat.list().await;
        assert_eq!((reply.status, told(&reply)), (200, ["3", remaining, reset, ""].map(String::from)));
    }
    let limited = chat.revoke_all().await;
    assert_eq!((limited.status, limited.text.as_str()), (429, "limit exceeded\n"));
    assert_eq!(limited.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(told(&limited), ["3", "0", "3", "1"].map(String::from));
    assert_eq!(chat.server.sessions_of("zoe"), 2, "nothing was done");
    chat.clock.advance(Duration::from_millis(999));
    assert_eq!(chat.revoke_all().await.status, 429);
    chat.clock.advance(Duration::from_millis(1));
    chat.revoke_all().await.assert_ok();
    assert_eq!(chat.send("GET", "/api/v4/system/ping", &[ACCEPT], "").await.status, 429, "one counter for all");
    chat.clock.advance(Duration::from_secs(3));
    assert_eq!(told(&chat.list().await), ["3", "2", "1", ""].map(String::from));
}

#[tokio::test]
async fn the_reset_may_be_a_time_since_1970() {
    let chat = Chat::start().await;
    chat.server.limit_rate(1, 0, LimitBy::RemoteAddress);
    chat.server.tell_reset_as_epoch();
    assert_eq!(chat.list().await.header("x-ratelimit-reset"), (START_S + 1).to_string());
    let limited = chat.list().await;
    assert_eq!((limited.status, told(&limited)), (429, ["1", "0", &(START_S + 1).to_string(), "1"].map(String::from)));
}

#[tokio::test]
async fn by_user_there_are_two_limiters_and_every_header_twice() {
    let chat = Chat::start().await;
    let (_, other) = chat.server.issue_token("zoe");
    let (_, third) = chat.server.issue_token("zoe");
    chat.server.limit_rate(1, 1, LimitBy::User);
    assert_eq!(chat.get_with(&other, "/users/me").await.all("x-ratelimit-remaining"), ["1", "1"]);
    assert_eq!(chat.get_with(&third, "/users/me").await.all("x-ratelimit-remaining"), ["1", "0"]);
    let limited = chat.get_with(&third, "/users/me").await;
    assert_eq!((limited.status, limited.all("x-ratelimit-limit")), (429, vec!["2".to_owned(), "2".to_owned()]));
    assert_eq!(limited.all("retry-after"), ["1"], "the second limiter's alone");
    let at_the_door = chat.get_with(&third, "/users/me").await;
    assert_eq!((at_the_door.status, at_the_door.all("x-ratelimit-limit").len()), (429, 1));
    assert_eq!(chat.list().await.status, 200, "somebody else's counter");
}

#[tokio::test]
async fn by_header_its_value_counts() {
    let chat = Chat::start().await;
    chat.server.limit_rate(1, 0, LimitBy::Header("X-Tenant".into()));
    let call = async |tenant: &str| {
        let headers = [ACCEPT, AUTH, ("x-tenant", tenant)];
        chat.send("GET", "/api/v4/users/me", &headers, "").await.status
    };
    assert_eq!([call("a").await, call("A").await, call("b").await], [200, 429, 200]);
}
