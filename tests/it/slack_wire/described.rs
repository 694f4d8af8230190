//! Our requests held against Slack's published description, and, where that is too old, against those of Slack's own
//! client (`slack_sdk`).

use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use sever::clock::ManualClock;
use sever::domain::{RevokeRequest, Scope};
use sever::provider::Provider;

use super::org::{TOKEN, all, client, email, given};
use super::recorder::{Recorded, Recorder, SESSION, TEAM, USER};
use crate::testapp::START;

/// Archived in 2021, before `list` and `resetBulk`, and before `invalidate` asked for the user.
fn description() -> Value {
    serde_saphyr::from_str(include_str!("../../fixtures/openapi/slack.yaml")).expect("YAML")
}

/// Everything that our client ever calls, once.
async fn our_requests(recorder: &Recorder) -> Vec<Recorded> {
    let clock = Arc::new(ManualClock::new(START.parse().expect("a time")));
    let one_each = json!({"limits": {"rate": "3/1m"}});
    let client: Arc<dyn Provider> = client(&recorder.url, &json!([TEAM]), one_each, clock);
    client.check().await.expect("checked");
    let account = client.resolve(&email("ana@example.com")).await.expect("resolved").expect("found");
    client.sessions(&account).await.expect("looked");
    let (session, team) = (SESSION.to_owned(), TEAM.to_owned());
    client.revoke(&account, &given([(&session, &team)]), None).await.expect("ended");
    // Three single calls, then the common ones.
    for scope in [Scope::All, Scope::Web, Scope::Mobile, Scope::All, Scope::Web, Scope::Mobile] {
        client.revoke(&account, &RevokeRequest::new(scope), None).await.expect("ended");
    }
    assert!(client.revoke(&account, &all(), None).await.is_err(), "that was all within the rate");
    recorder.take()
}

#[tokio::test]
async fn every_request_of_ours_is_as_slack_describes_it() {
    let root = description();
    let recorder = Recorder::start().await;
    let requests = our_requests(&recorder).await;
    let mut held = 0;
    for request in &requests {
        assert_eq!(request.authorization, format!("Bearer {TOKEN}"));
        let everything = request.query.iter().chain(&request.form);
        assert!(everything.clone().all(|(_, value)| !value.contains("xoxp")), "the token stands in the header alone");
        let Some(item) = root["paths"].get(format!("/{}", request.method)) else { continue };
        held += 1;
        assert_as_described(request, item);
    }
    // auth.test, users.lookupByEmail, users.info, reset three times, invalidate.
    assert_eq!((requests.len(), held), (13, 7), "{requests:#?}");
}

fn assert_as_described(request: &Recorded, item: &Value) {
    let (http_method, operation) = item.as_object().expect("an item").iter().next().expect("one method");
    match request.method.as_str() {
        // The archived description has GET; the method's page and Slack's clients have POST.
        "auth.test" => assert_eq!(request.http_method, "POST"),
        _ => assert_eq!(request.http_method, http_method.to_uppercase(), "{}", request.method),
    }
    let consumed = operation["consumes"].as_array().expect("media types");
    assert!(request.http_method == "GET" || consumed.contains(&json!(request.media)), "{request:?}");
    let place = |name: &str| {
        if name == "GET" {
            ("query", &request.query, &request.form)
        } else {
            ("formData", &request.form, &request.query)
        }
    };
    let (place, arguments, others) = place(&request.http_method);
    assert!(others.is_empty(), "{request:?}");
    let parameters = operation["parameters"].as_array().expect("parameters");
    let of_today = |name: &str| request.method == "admin.users.session.invalidate" && name == "user_id";
    for (name, value) in arguments.iter().filter(|(name, _)| !of_today(name)) {
        let parameter =
            parameters.iter().find(|parameter| parameter["name"] == json!(name) && parameter["in"] == place);
        let kind = parameter.unwrap_or_else(|| panic!("{name} is no argument of {}", request.method))["type"].as_str();
        let fits = match kind {
            Some("boolean") => value == "true" || value == "false",
            Some("integer") => value.parse::<i64>().is_ok_and(|number| number.to_string() == *value),
            _ => !value.is_empty(),
        };
        assert!(fits, "{name}={value} is no {kind:?}");
    }
    // The description puts the token into a header of that name; today it is `Authorization`.
    for parameter in parameters.iter().filter(|parameter| parameter["required"] == true && parameter["name"] != "token")
    {
        assert!(arguments.iter().any(|(name, _)| parameter["name"] == json!(name)), "{request:?} lacks {parameter}");
    }
}

const SLACKS_OWN: &str = r#"
import sys
from slack_sdk import WebClient
url, token, user, team, session = sys.argv[1:]
client = WebClient(token=token, base_url=url + "/")
client.admin_users_session_list(team_id=team, user_id=user, limit=1000)
client.admin_users_session_invalidate(session_id=session, team_id=team, user_id=user)
for more in ({}, {"web_only": True}, {"mobile_only": True}):
    client.admin_users_session_reset(user_id=user, **more)
    client.admin_users_session_resetBulk(user_ids=[user], **more)
client.users_lookupByEmail(email="ana@example.com")
client.users_info(user=user)
client.auth_test()
"#;

/// The interpreter that has the `slack_sdk` package.
#[expect(clippy::disallowed_methods, reason = "tests/run says where it put the package")]
fn python() -> String {
    std::env::var("SEVER_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("SEVER_TEST_PYTHON names no Python with the package slack_sdk; run tests/run, which installs it")
    })
}

/// A request without what may differ: Slack's client writes `True` as 1, and sends a POST for everything.
fn essence(request: &Recorded) -> (&str, Vec<(String, String)>) {
    let as_ours = |(name, value): &(String, String)| match (name.as_str(), value.as_str()) {
        ("web_only" | "mobile_only", "1" | "True") => (name.clone(), "true".to_owned()),
        _ => (name.clone(), value.clone()),
    };
    let mut arguments: Vec<_> = request.query.iter().chain(&request.form).map(as_ours).collect();
    arguments.sort();
    (&request.method, arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_ours_is_one_of_slacks_own_client() {
    let recorder = Recorder::start().await;
    let ours = our_requests(&recorder).await;
    let arguments = ["-c", SLACKS_OWN, &recorder.url, TOKEN, USER, TEAM, SESSION];
    let sent = Command::new(python()).args(arguments).output().expect("it runs");
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let theirs = recorder.take();
    assert_eq!(theirs.len(), 11);
    for request in &ours {
        // The check asks for one session of anybody's, which Slack's client was not told to do above.
        if request.form == [("limit".to_owned(), "1".to_owned())] {
            continue;
        }
        let twin = theirs.iter().find(|theirs| essence(theirs) == essence(request));
        let twin = twin.unwrap_or_else(|| panic!("Slack's client sends nothing like {request:?}: {theirs:#?}"));
        assert_eq!(twin.authorization, request.authorization);
        if !request.form.is_empty() {
            assert_eq!((&twin.http_method, &twin.media), (&request.http_method, &request.media));
        }
    }
}
