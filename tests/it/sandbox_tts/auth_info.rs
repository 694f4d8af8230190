//! What `auth_info` says of a credential: 200 tells nothing, the body does.

use jiff::SignedDuration;
use serde_json::{Value, json};
use sever::clock::Clock;
use sever::sandbox::the_things_stack::{Entity, Person, Right, State};

use super::stack::*;

const APPLICATION_KEY: &str = "NNSXS.APPLICATION.SECRET";

fn rights(body: &Value, pointer: &str) -> Vec<String> {
    let listed = body.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    listed.iter().map(|right| right.as_str().expect("a word").to_owned()).collect()
}

#[tokio::test]
async fn nobody_gets_an_empty_success() {
    let stack = Stack::start().await;
    for headers in [&[][..], &[("authorization", "")], &[("authorization", "Bearer")], &[("authorization", KEY)]] {
        let reply = stack.send("GET", "/auth_info", headers).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "{}"), "{headers:?}");
    }
}

#[tokio::test]
async fn bad_credentials_are_refused_each_in_its_own_way() {
    let stack = Stack::start().await;
    let expired = stack.tts.issue_key("admin");
    stack.tts.expire_key(&expired, stack.clock.now() - SignedDuration::from_secs(1));
    let revoked = stack.tts.issue_key("admin");
    stack.tts.revoke_key(&revoked);
    let (id, wrong) = (KEY.split('.').nth(1).expect("an id"), "QTN3C5ZJ7M2XW4KH6DRAVYLS2GFPE7BIOUNC3T5ZJ7M2XW4KH6DA");
    let table = [
        ("Bearer NNSXS".to_owned(), 400, "token"),
        ("Bearer NNSXS.A".to_owned(), 400, "token"),
        ("Bearer NNSXS.A.B.C".to_owned(), 400, "token"),
        ("Bearer ABCDE.A.B".to_owned(), 400, "token"),
        (format!("Bearer  {KEY}"), 400, "token"),
        (format!("Bearer {}", KEY.to_lowercase()), 400, "token"),
        ("Bearer OJSWM.A.B".to_owned(), 401, "unsupported_authorization"),
        (format!("Key {KEY}"), 401, "unsupported_authorization"),
        ("Basic YWRtaW46YWRtaW4=".to_owned(), 401, "unsupported_authorization"),
        ("Bearer NNSXS.A.B".to_owned(), 401, "api_key_not_found"),
        (format!("Bearer {revoked}"), 401, "api_key_not_found"),
        (format!("Bearer {}", KEY.replace("NNSXS", "MFRWG")), 401, "token_not_found"),
        (format!("Bearer ONSXG.{}.B", stack.first_session()), 401, "token_not_found"),
        (format!("Bearer NNSXS.{id}.{wrong}"), 401, "invalid_authorization"),
        (format!("Bearer {expired}"), 401, "api_key_expired"),
    ];
    for (value, status, name) in table {
        let reply = stack.send("GET", "/auth_info", &[("authorization", &value)]).await;
        let code = if status == 400 { 3 } else { 16 };
        assert_eq!(reply.error(), (status, name.into(), code), "{value}");
        let listed = stack.send("GET", "/users", &[("authorization", &value)]).await;
        assert_eq!(
            listed.error(),
            (403, "permission_denied".into(), 7),
            "a listing of users hides the reason: {value}"
        );
    }
    let twice = [("authorization", &*format!("Bearer {KEY}")), ("authorization", "Bearer x.y.z")];
    assert_eq!(stack.send("GET", "/auth_info", &twice).await.name(), "unsupported_authorization");
    assert!(!format!("{:?}", stack.tts.ledger()).contains(wrong), "the ledger keeps no credential");
}

#[tokio::test]
async fn the_cause_of_an_unknown_key_is_not_what_it_means() {
    let stack = Stack::start().await;
    let details = stack.with("NNSXS.A.B", "GET", "/auth_info").await.json()["details"][0].clone();
    assert_eq!((&details["namespace"], &details["code"]), (&json!("pkg/identityserver"), &json!(16)));
    assert_eq!((&details["cause"]["name"], &details["cause"]["code"]), (&json!("entity_not_found"), &json!(5)));
}

#[tokio::test]
async fn the_word_bearer_is_read_in_any_case() {
    let stack = Stack::start().await;
    for word in ["Bearer", "bearer", "BEARER"] {
        let reply = stack.send("GET", "/auth_info", &[("authorization", &format!("{word} {KEY}"))]).await;
        assert!(reply.json()["api_key"].is_object(), "{word}");
    }
}

#[tokio::test]
async fn universal_rights_tell_what_a_key_is_good_for() {
    let stack = Stack::start().await;
    let body = stack.get("/auth_info").await.json();
    assert_eq!(body["api_key"]["entity_ids"], json!({"user_ids": {"user_id": "admin"}}));
    assert_eq!(body["api_key"]["api_key"]["id"], KEY.split('.').nth(1).expect("an id"));
    assert_eq!(body["is_admin"], true);
    assert!(!body.to_string().contains(KEY.split('.').next_back().expect("a secret")));
    assert!(rights(&body, "/universal_rights/rights").contains(&"RIGHT_USER_ALL".to_owned()));

    stack.tts.give_admins_all_rights(false);
    let plain = stack.get("/auth_info").await.json();
    let universal = rights(&plain, "/universal_rights/rights");
    assert!(universal.contains(&"RIGHT_USER_INFO".to_owned()));
    assert!(universal.iter().all(|right| !right.ends_with("_ALL") && !right.ends_with("_KEYS")), "{universal:?}");
    assert!(rights(&plain, "/api_key/api_key/rights").contains(&"RIGHT_USER_ALL".to_owned()), "the key has it still");

    stack.tts.give_admins_all_rights(true);
    stack.tts.set_rights(KEY, &[Right::UserInfo]);
    assert_eq!(rights(&stack.get("/auth_info").await.json(), "/universal_rights/rights"), ["RIGHT_USER_INFO"]);
    stack.tts.set_rights(KEY, &[Right::UserAll]);
    let implied = rights(&stack.get("/auth_info").await.json(), "/universal_rights/rights");
    assert!(implied.contains(&"RIGHT_USER_DELETE".to_owned()) && !implied.contains(&"RIGHT_ALL".to_owned()));

    stack.tts.write_enums_as_numbers(true);
    stack.tts.set_rights(KEY, &[Right::All]);
    let numbers = stack.get("/auth_info").await.json()["universal_rights"]["rights"].clone();
    assert!([14, 55].iter().all(|number| numbers.as_array().expect("a list").contains(&json!(number))), "{numbers}");
}

#[tokio::test]
async fn every_access_method_is_told_apart() {
    let stack = Stack::start().await;
    stack.tts.accept_entity_key(APPLICATION_KEY, Entity::Application("weather".into()));
    let key = stack.with(APPLICATION_KEY, "GET", "/auth_info").await.json();
    assert_eq!(key["api_key"]["entity_ids"], json!({"application_ids": {"application_id": "weather"}}));
    assert!(key.get("universal_rights").is_none() && key.get("is_admin").is_none());
    stack.tts.accept_entity_key(APPLICATION_KEY, Entity::Organization("acme".into()));
    let key = stack.with(APPLICATION_KEY, "GET", "/auth_info").await.json();
    assert_eq!(key["api_key"]["entity_ids"], json!({"organization_ids": {"organization_id": "acme"}}));

    let token = stack.tts.issue_access_token("admin", "console");
    let body = stack.with(&token, "GET", "/auth_info").await.json();
    assert_eq!(body["oauth_access_token"]["client_ids"], json!({"client_id": "console"}));
    assert!(body["oauth_access_token"]["expires_at"].is_string() && body["is_admin"] == true);

    let session = stack.tts.sign_in("admin");
    let body = stack.with(&stack.tts.session_token("admin", &session), "GET", "/auth_info").await.json();
    assert_eq!((&body["user_session"]["session_id"], &body["is_admin"]), (&json!(session), &json!(true)));
}

#[tokio::test]
async fn an_account_that_is_not_in_order_has_reduced_rights_and_a_warning() {
    let stack = Stack::start().await;
    let table = [
        (State::Requested, "Restricted rights while account pending", 3),
        (State::Rejected, "Restricted rights after account rejection", 2),
        (State::Suspended, "Restricted rights after account suspension", 1),
    ];
    for (state, warning, count) in table {
        stack.tts.set_state("admin", state);
        let reply = stack.get("/auth_info").await;
        assert_eq!((reply.status, reply.header("x-warning").as_str()), (200, warning));
        let body = reply.json();
        assert_eq!(rights(&body, "/api_key/api_key/rights").len(), count, "{body}");
        assert!(body.get("is_admin").is_none() && body.get("universal_rights").is_none());
    }
    stack.tts.set_state("admin", State::Flagged);
    let flagged = stack.get("/auth_info").await;
    assert_eq!((flagged.header("x-warning").as_str(), flagged.json().get("is_admin")), ("", None));

    stack.tts.add_person(Person::new("admin").admin().unvalidated());
    assert_eq!(stack.get("/auth_info").await.header("x-warning"), "");
    stack.tts.require_validated_email(true);
    let reply = stack.get("/auth_info").await;
    assert_eq!(reply.header("x-warning"), "Restricted rights until email address validated");
    assert!(!rights(&reply.json(), "/universal_rights/rights").contains(&"RIGHT_USER_ALL".to_owned()));
    let listed = stack.get("/users/zoe/sessions").await;
    assert_eq!((listed.name().as_str(), listed.all("x-warning").len()), ("insufficient_user_rights", 1));
}

#[tokio::test]
async fn an_oauth_client_that_is_not_in_order_takes_its_tokens_with_it() {
    let stack = Stack::start().await;
    let token = stack.tts.issue_access_token("admin", "console");
    stack.tts.suspend_client("console");
    assert_eq!(stack.with(&token, "GET", "/auth_info").await.error(), (403, "oauth_client_suspended".into(), 7));
    stack.tts.reject_client("console");
    assert_eq!(stack.with(&token, "GET", "/auth_info").await.error(), (403, "oauth_client_rejected".into(), 7));
}
