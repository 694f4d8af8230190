//! Who gets in: dates, keys, tokens, what must be signed, and how `Authorization` is written.

use std::time::Duration;

use jiff::SignedDuration;
use sever::clock::Clock;
use sever::sandbox::huawei::Quirks;

use super::store::*;
use super::wire::{Draft, sha256};

const REFUSED: (u16, &str) = (401, "APIGW.0301");

/// A listing of sessions, right but for what a test changes.
fn listing(store: &Store) -> Draft {
    store.draft("GET", &store.sessions_path(&store.ana))
}

#[tokio::test]
async fn a_right_signature_is_let_in_with_and_without_optional_headers() {
    let store = Store::start().await;
    let right = listing(&store);
    for draft in [
        right.clone(),
        right.clone().header("X-Project-Id", "0123456789abcdef0123456789abcdef"),
        right.clone().header("X-Domain-Id", "fedcba9876543210fedcba9876543210"),
        right.clone().header("X-Sdk-Content-Sha256", &sha256(b"")),
        right.clone().header("X-Trace", "  padded  "),
        right.clone().unsigned("User-Agent", "sever").unsigned("x_internal", "skipped"),
        right.clone().header("Content-Type", "application/json;charset=utf-8"),
    ] {
        assert_eq!(store.send(&draft).await.status, 200, "{draft:?}");
    }
}

#[tokio::test]
async fn what_is_signed_wrongly_is_refused() {
    let store = Store::start().await;
    let right = listing(&store);
    let (path, users) = (right.path.clone(), store.draft("GET", &format!("{}?limit=1", store.users_path())));
    let batch = store.draft("POST", &store.batch_path()).body("{\"session_ids\":[]}");
    let hash = |draft: &Draft, hash: &str| Draft { signed_body_hash: Some(hash.into()), ..draft.clone() };
    let table = [
        ("no slash at the end of the canonical URI", Draft { signed_uri: Some(path), ..right.clone() }),
        ("the query left out", Draft { signed_query: Some(String::new()), ..users.clone() }),
        ("another body", hash(&batch, &sha256(b"{}"))),
        ("no body", hash(&batch, &sha256(b""))),
        (
            "an unsigned payload",
            hash(&batch.clone().header("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD"), "UNSIGNED-PAYLOAD"),
        ),
        ("no host", right.clone().unsigned("Host", right.get("host"))),
        ("no date", right.clone().unsigned("X-Sdk-Date", right.get("x-sdk-date"))),
        ("no media type", right.clone().unsigned("Content-Type", "application/json")),
        ("no project", right.clone().unsigned("X-Project-Id", "0123456789abcdef0123456789abcdef")),
        ("no domain", right.clone().unsigned("X-Domain-Id", "0123456789abcdef0123456789abcdef")),
        ("no token", right.clone().unsigned("X-Security-Token", "token")),
        ("no digest", right.clone().unsigned("X-Sdk-Content-Sha256", &sha256(b""))),
        ("a token with a permanent key", right.clone().header("X-Security-Token", "token")),
        ("a header with an underscore", right.clone().header("x_internal", "value")),
        ("date missing", right.clone().without("X-Sdk-Date")),
        ("date twice", right.clone().unsigned("x-sdk-DATE", "x").header("X-Sdk-Date", right.get("x-sdk-date"))),
    ];
    for (what, draft) in table {
        let reply = store.send(&draft).await;
        assert_eq!(reply.outcome(), outcome(REFUSED.0, REFUSED.1), "{what}: {}", reply.text);
    }
    assert_eq!(store.huawei.sessions_of("ana"), 2);
}

#[tokio::test]
async fn the_port_belongs_to_the_host_and_the_host_to_the_service() {
    let store = Store::start().await;
    let right = listing(&store);
    let portless = Draft { headers: right.clone().header("Host", "127.0.0.1").headers, ..right.clone() };
    // Signed without the port, sent with it.
    let authorization = portless.authorization(ACCESS_KEY, SECRET_KEY);
    let reply = right.send(&store.huawei.url(), Some(&authorization)).await.expect("an answer");
    assert_eq!(reply.outcome(), outcome(REFUSED.0, REFUSED.1));
    assert!(reply.message().contains(&format!("|host:{}|", right.get("host"))), "{}", reply.text);
    for host in ["127.0.0.1", "identitystore.cn-north-4.myhuaweicloud.com", ""] {
        assert_eq!(store.send(&right.clone().header("Host", host)).await.outcome(), outcome(404, "APIGW.0101"));
    }
    store.huawei.answer_to("identitystore.cn-north-4.myhuaweicloud.com");
    let named = right.clone().header("Host", "identitystore.cn-north-4.myhuaweicloud.com");
    assert_eq!(store.send(&named).await.status, 200);
}

#[tokio::test]
async fn the_authorization_header_has_one_form() {
    let store = Store::start().await;
    let draft = listing(&store);
    let right = draft.authorization(ACCESS_KEY, SECRET_KEY);
    let signature = right.rsplit('=').next().expect("a signature").to_owned();
    let wrong = [
        right.replace("SDK-HMAC-SHA256 ", "SDK-HMAC-SHA256, "),
        right.replace("SDK-HMAC-SHA256", "V11-HMAC-SHA256"),
        right.replace("SDK-HMAC-SHA256", "sdk-hmac-sha256"),
        right.replace("Access=", "Credential="),
        right.replace(", ", ","),
        right.replace(&signature, &signature.to_uppercase()),
        right.replace(&signature, &signature[..62]),
        right.replace(&signature, ""),
        right.replace("content-type;host;x-sdk-date", "host;content-type;x-sdk-date"),
        right.replace("content-type;host;x-sdk-date", "Content-Type;Host;X-Sdk-Date"),
        right.replace("content-type;host;x-sdk-date", "content-type;host;host;x-sdk-date"),
        right.replace("content-type;host;x-sdk-date", "accept;content-type;host;x-sdk-date"),
        right.replace("content-type;host;x-sdk-date", "authorization;content-type;host;x-sdk-date"),
        right.replace("content-type;host;x-sdk-date", ""),
        right.replace(ACCESS_KEY, ""),
        "Bearer token".to_owned(),
        String::new(),
    ];
    for authorization in wrong {
        let reply = draft.send(&store.huawei.url(), Some(&authorization)).await.expect("an answer");
        assert_eq!(reply.outcome(), outcome(REFUSED.0, REFUSED.1), "{authorization}");
    }
    let none = draft.send(&store.huawei.url(), None).await.expect("an answer");
    assert_eq!(none.outcome(), outcome(REFUSED.0, REFUSED.1));
    let twice = draft.clone().unsigned("Authorization", &right).send(&store.huawei.url(), Some(&right)).await;
    assert_eq!(twice.expect("an answer").outcome(), outcome(REFUSED.0, REFUSED.1));
    assert_eq!(draft.send(&store.huawei.url(), Some(&right)).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_signature_is_good_for_fifteen_minutes_either_way() {
    let store = Store::start().await;
    let signed = listing(&store);
    for (skew_s, status) in [(0, 200), (900, 200), (901, 401), (-900, 200), (-901, 401), (86_400, 401)] {
        store.huawei.shift_clock(SignedDuration::from_secs(skew_s));
        let reply = store.send(&signed).await;
        assert_eq!(reply.status, status, "{skew_s}");
        let message = "Incorrect IAM authentication information: calc aksk signature fail:signature expired, \
                       signature time:20261121T221407Z,server time:";
        assert!(status == 200 || reply.message().starts_with(message), "{}", reply.text);
    }
    store.huawei.set_quirks(Quirks { skew_as_app_error: true, ..Quirks::default() });
    let reply = store.send(&signed).await;
    assert_eq!(reply.outcome(), outcome(401, "APIGW.0303"));
    assert_eq!(reply.header("date"), Some("Sun, 22 Nov 2026 22:14:07 GMT"), "the server tells its time");
    for date in ["2026-11-21T22:14:07Z", "20261121T221407", "20261321T221407Z", " 0261121T221407Z", "now", ""] {
        let reply = store.send(&signed.clone().header("X-Sdk-Date", date)).await;
        assert_eq!(reply.outcome(), outcome(REFUSED.0, REFUSED.1), "{date}");
    }
}

#[tokio::test]
async fn keys_are_known_by_name_and_secret_and_can_be_revoked() {
    let store = Store::start().await;
    let draft = listing(&store);
    let with = async |access_key: &str, secret: &str| {
        let authorization = draft.authorization(access_key, secret);
        draft.send(&store.huawei.url(), Some(&authorization)).await.expect("an answer")
    };
    assert_eq!(with(ACCESS_KEY, SECRET_KEY).await.status, 200);
    let wrong = with(ACCESS_KEY, "another").await;
    assert!(wrong.message().contains("verify aksk signature fail"), "{}", wrong.text);
    let stranger = with("HPUASTRANGER", SECRET_KEY).await;
    assert_eq!(stranger.outcome(), outcome(REFUSED.0, REFUSED.1));
    assert!(stranger.message().contains("ak:HPUASTRANGER,err:ak not exist"), "{}", stranger.text);
    store.huawei.revoke_key(ACCESS_KEY);
    assert_eq!(with(ACCESS_KEY, SECRET_KEY).await.outcome(), outcome(REFUSED.0, REFUSED.1));
}

#[tokio::test]
async fn a_temporary_key_needs_its_signed_token_and_ends() {
    let store = Store::start().await;
    let until = store.clock.now() + SignedDuration::from_mins(30);
    store.huawei.accept_temporary_key(ACCESS_KEY, SECRET_KEY, "ggpj/token==", until);
    let bare = listing(&store);
    for (draft, status) in [
        (bare.clone().header("X-Security-Token", "ggpj/token=="), 200),
        (bare.clone().unsigned("X-Security-Token", "ggpj/token=="), 401),
        (bare.clone().header("X-Security-Token", "ggpj/other=="), 401),
        (bare, 401),
    ] {
        assert_eq!(store.send(&draft).await.status, status, "{draft:?}");
    }
    let other = listing(&store).header("X-Security-Token", "ggpj/token==");
    let forged = other.send(&store.huawei.url(), Some(&other.authorization(ACCESS_KEY, "wrong"))).await;
    assert!(forged.expect("an answer").message().contains("|x-security-token:ggpj/token==|"), "the echo shows it");
    store.clock.advance(Duration::from_secs(30 * 60));
    let late = listing(&store).header("X-Security-Token", "ggpj/token==");
    assert_eq!(store.send(&late).await.outcome(), outcome(REFUSED.0, REFUSED.1));
}

#[tokio::test]
async fn the_query_is_signed_in_order_and_decoded_once() {
    let store = Store::start().await;
    let users = |query: &str, signed: &str| {
        let draft = store.draft("GET", &format!("{}?{query}", store.users_path()));
        Draft { signed_query: Some(signed.to_owned()), ..draft }
    };
    for (query, signed, status) in [
        ("limit=5&user_name=ana", "limit=5&user_name=ana", 200),
        ("user_name=ana&limit=5", "limit=5&user_name=ana", 200),
        ("user_name=ana&limit=5", "user_name=ana&limit=5", 401),
        ("user_name=%61na", "user_name=ana", 200),
        ("user_name=%61na", "user_name=%61na", 401),
        ("user_name=a%20b", "user_name=a%20b", 200),
        ("user_name=a+b", "user_name=a%20b", 401),
        ("user_name=a%2Bb", "user_name=a%2Bb", 200),
        ("user_name=a%2bb", "user_name=a%2bb", 401),
        ("user_name=a@b", "user_name=a%40b", 200),
        ("user_name=a@b", "user_name=a@b", 401),
        ("user_name=zo%C3%AB~*", "user_name=zo%C3%AB~%2A", 200),
    ] {
        assert_eq!(store.send(&users(query, signed)).await.status, status, "{query} signed as {signed}");
    }
}

#[tokio::test]
async fn secrets_do_not_print() {
    let store = Store::start().await;
    let until = store.clock.now();
    store.huawei.accept_temporary_key("HPUATEMPORARY", "temporary-secret", "temporary-token", until);
    let printed = format!("{:?}", store.huawei);
    assert!(printed.contains("HPUATEMPORARY"), "{printed}");
    for secret in [SECRET_KEY, "temporary-secret", "temporary-token"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
