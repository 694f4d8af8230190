//! Questions that senders ask over HTTP: each is answered, and nothing of it is stored. And which methods, types and
//! answers go with which scheme.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use sever::clock::Clock;
use sever::domain::SourceName;
use sever::verify::{Signer, Verifier};

use crate::testapp::{Answer, CONFIG, TestApp, by_email};
use crate::verify::{NOW, at};
use crate::verify_sns::{Aws, body, topic};

/// One source more for each scheme with manners of its own.
fn config() -> String {
    let sources = format!(
        r#"
  zoom: {{verify: {{scheme: zoom, secrets: [{{value: zoom-secret}}]}}}}
  hook: {{verify: {{scheme: okta-event-hook, secrets: [{{value: hook-secret}}]}}}}
  pages: {{verify: {{scheme: pagerduty, secrets: [{{value: pages-secret}}]}}}}
  signed: {{verify: {{scheme: rfc9421, secrets: [{{value: whsec_c2lnbmVk}}], key_ids: [siem]}}}}
  aws: {{verify: {{scheme: aws-sns, topic_arns: ["{}"]}}}}
providers:"#,
        topic()
    );
    CONFIG.replace("\nproviders:", &sources)
}

async fn app() -> TestApp {
    TestApp::with(&config()).await
}

fn settings(scheme: &str, secret: &str) -> Value {
    json!({"scheme": scheme, "secrets": [{"value": secret}]})
}

fn signer(settings: Value) -> Signer {
    Signer::new(&serde_json::from_value(settings).expect("settings")).expect("a signer")
}

async fn ask(app: &TestApp, method: Method, source: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::builder().method(method).uri(format!("/v1/alerts/{source}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    app.send(request.body(Body::empty()).expect("a request")).await
}

async fn assert_nothing_stored(app: &TestApp) {
    assert_eq!(app.audit().await, Vec::<String>::new());
    assert!(app.app.store.quarantine(None, 10).await.expect("a list").items.is_empty());
    assert!(app.app.store.alerts(None, 10).await.expect("a list").items.is_empty());
    assert!(app.jobs(None).await.is_empty());
}

fn last_refusal(app: &TestApp, source: &str) -> String {
    let source: SourceName = source.parse().expect("a name");
    app.app.intake.refusals().of(&source)[0].reason.clone()
}

#[tokio::test]
async fn okta_asks_by_get_and_is_answered_with_or_without_the_secret() {
    let app = app().await;
    let question = r#"a"b\c-DlCNYzvXVXQrPnVwCSxW2-s"#;
    for more in [&[][..], &[("authorization", "hook-secret")], &[("authorization", "wrong")]] {
        let headers = [&[("x-okta-verification-challenge", question)], more].concat();
        let answer = ask(&app, Method::GET, "hook", &headers).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({"verification": question})));
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    }
    for wrong in
        [&[][..], &[("x-okta-verification-challenge", "")], &[("x-okta-verification-challenge", &"x".repeat(257))]]
    {
        assert_eq!(ask(&app, Method::GET, "hook", wrong).await.status, StatusCode::BAD_REQUEST, "{wrong:?}");
    }
    assert_nothing_stored(&app).await;
}

#[tokio::test]
async fn a_question_in_a_post_of_okta_has_no_effect() {
    let app = app().await;
    let question = ("x-okta-verification-challenge", "abc");
    let refused = ask(&app, Method::POST, "hook", &[question]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{}", refused.body);
    let alert = by_email("edr-1", "ana@example.com").to_string();
    let request =
        Request::post("/v1/alerts/hook").header(question.0, question.1).header("authorization", "hook-secret");
    app.send(request.body(Body::from(alert)).expect("a request")).await.assert_accepted();
}

#[tokio::test]
async fn each_scheme_has_its_methods() {
    let app = app().await;
    let question = [("x-okta-verification-challenge", "abc")];
    for (method, source, allow) in [
        (Method::GET, "edr", "POST"),
        (Method::GET, "zoom", "POST"),
        (Method::HEAD, "edr", "POST"),
        (Method::PUT, "hook", "GET, POST"),
        (Method::DELETE, "hook", "GET, POST"),
    ] {
        let answer = ask(&app, method.clone(), source, &question).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {source}");
        assert_eq!(answer.headers[header::ALLOW], allow, "{method} {source}");
    }
    assert_eq!(ask(&app, Method::GET, "nobody", &question).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn zoom_asks_for_an_hmac_by_the_key_that_asked() {
    let two_keys =
        config().replace("secrets: [{value: zoom-secret}]", "secrets: [{value: new-secret}, {value: zoom-secret}]");
    let app = TestApp::with(&two_keys).await;
    let question =
        json!({"event": "endpoint.url_validation", "event_ts": 1, "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}});
    let ask = |question: String| {
        let headers = signer(settings("zoom", "zoom-secret")).sign("", app.clock.now(), question.as_bytes());
        app.post("zoom", headers.expect("signed"), question.into_bytes())
    };
    let answer = ask(question.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    // echo -n qgg8vlvZRS6UYooatFL8Aw | openssl dgst -sha256 -hmac zoom-secret
    let encrypted = "b17f0320a1322a509340a1a835b3d9edbc491f0b0790ed2d20d0604d39dfe922";
    assert_eq!(answer.body, json!({"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": encrypted}));

    // A text that could be signed content of its own is not signed for anybody.
    let forging = question.to_string().replace("qgg8vlvZRS6UYooatFL8Aw", "v0:1790000000:{}");
    assert_eq!(ask(forging).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(last_refusal(&app, "zoom"), "malformed_body");
    let unsigned = app.post("zoom", Vec::new(), question.to_string().into_bytes()).await;
    assert_eq!(unsigned.status, StatusCode::UNAUTHORIZED);
    assert_nothing_stored(&app).await;
    ask(by_email("edr-1", "ana@example.com").to_string()).await.assert_accepted();
}

/// A service that finds AWS on this machine, at the hour of the vectors.
async fn with_aws(aws: &std::sync::Arc<Aws>) -> TestApp {
    let config = config();
    let app = TestApp::adjusted(&config, |loaded| {
        let name: SourceName = "aws".parse().expect("a name");
        let verify = &loaded.config.sources[&name].verify;
        let verifier = Verifier::with_download(name.clone(), verify, aws.clone()).expect("a verifier");
        loaded.verifiers.insert(name, verifier);
    });
    let app = app.await;
    app.clock.set_wall(at(NOW));
    app
}

async fn publish(app: &TestApp, source: &str, body: Vec<u8>) -> Answer {
    let request =
        Request::post(format!("/v1/alerts/{source}")).header(header::CONTENT_TYPE, "text/plain; charset=UTF-8");
    app.send(request.body(Body::from(body)).expect("a request")).await
}

#[tokio::test]
async fn a_subscription_of_sns_is_confirmed_once_and_not_stored() {
    let aws = Aws::new();
    let app = with_aws(&aws).await;
    let answer = publish(&app, "aws", body("sns-s-subscription-confirmation")).await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({"status": "confirmed"})));
    let asked = aws.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].starts_with("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&"), "{asked:?}");

    aws.answers(None);
    let answer = publish(&app, "aws", body("sns-s-subscription-confirmation")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "SNS asks again");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(last_refusal(&app, "aws"), "confirmation_unavailable");
    assert_nothing_stored(&app).await;
}

#[tokio::test]
async fn a_notification_of_sns_is_kept_as_far_as_it_is_signed() {
    let aws = Aws::new();
    let app = with_aws(&aws).await;
    // The body is an envelope and no alert of our own format: SNS would take a 4xx amiss.
    let answer = publish(&app, "aws", body("sns-s-v2-valid")).await;
    assert_eq!((answer.status, &answer.body["status"]), (StatusCode::ACCEPTED, &json!("quarantined")));
    let again = publish(&app, "aws", body("sns-s-v2-valid")).await;
    assert_eq!((again.status, &again.body["status"]), (StatusCode::OK, &json!("duplicate")));
    let kept = app.app.store.quarantine(None, 10).await.expect("a list").items;
    assert_eq!(kept.len(), 1);
    let stored = app.app.store.delivery(kept[0].id).await.expect("read").expect("there");
    assert!(!String::from_utf8_lossy(&stored.body).contains("UnsubscribeURL"));

    assert_eq!(publish(&app, "edr", body("sns-s-v2-valid")).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(publish(&app, "aws", body("sns-s-message-altered")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_its_certificate_a_notification_is_asked_for_again_and_many_are_limited() {
    let aws = Aws::new();
    aws.answers(None);
    let app = with_aws(&aws).await;
    let mut limited = 0;
    for _ in 0..30 {
        let answer = publish(&app, "aws", body("sns-s-v2-valid")).await;
        limited += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
        assert!(answer.status == StatusCode::SERVICE_UNAVAILABLE || answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(limited, 11, "20 go through, and the fetch counts as one");
    assert_eq!(last_refusal(&app, "aws"), "certificate_unavailable");
    assert_eq!(aws.asked().len(), 1);
    assert_nothing_stored(&app).await;
}

#[tokio::test]
async fn whoever_names_many_certificates_pays_for_each() {
    let aws = Aws::new();
    aws.answers(None);
    let app = with_aws(&aws).await;
    for number in 0..30 {
        let mut envelope: Value = serde_json::from_slice(&body("sns-s-v2-valid")).expect("JSON");
        let url = format!("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{number:032}.pem");
        envelope["SigningCertURL"] = url.into();
        publish(&app, "aws", envelope.to_string().into_bytes()).await;
    }
    assert_eq!(aws.asked().len(), 10, "half of what there is for all: each costs the fetch and the refusal");
}

#[tokio::test]
async fn pagerduty_gets_202_for_what_is_kept_and_others_422() {
    let app = app().await;
    for (source, scheme, secret, status) in [
        ("pages", "pagerduty", "pages-secret", StatusCode::ACCEPTED),
        ("hook", "okta-event-hook", "hook-secret", StatusCode::ACCEPTED),
        ("zoom", "zoom", "zoom-secret", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let body = format!(r#"{{"no": "alert of {source}"}}"#);
        let headers = signer(settings(scheme, secret)).sign("", app.clock.now(), body.as_bytes()).expect("signed");
        assert_eq!(app.post(source, headers, body.into_bytes()).await.status, status, "{source}");
    }
}

#[tokio::test]
async fn the_address_that_was_signed_is_that_of_the_proxy() {
    let proxied = "listen: {address: 127.0.0.1:0, public_url: 'https://hooks.acme.com/sever'}";
    let proxied = TestApp::with(&config().replace("listen: 127.0.0.1:0", proxied)).await;
    let direct = app().await;
    let body = by_email("edr-1", "ana@example.com").to_string();
    let mut settings = settings("rfc9421", "whsec_c2lnbmVk");
    settings["key_ids"] = json!(["siem"]);
    for (app, address, host, status) in [
        (&proxied, "https://hooks.acme.com/sever/v1/alerts/signed", "10.0.0.7:8080", StatusCode::ACCEPTED),
        (&proxied, "https://hooks.acme.com/v1/alerts/signed", "hooks.acme.com", StatusCode::UNAUTHORIZED),
        (&direct, "http://sever.local:8080/v1/alerts/signed", "sever.local:8080", StatusCode::ACCEPTED),
        (&direct, "http://sever.local:8080/v1/alerts/signed", "other.local:8080", StatusCode::UNAUTHORIZED),
        (&direct, "http://sever.local:8080/v1/alerts/signed", "", StatusCode::UNAUTHORIZED),
    ] {
        let signer = signer(settings.clone()).posting_to(address.parse().expect("a URL"));
        let mut headers = signer.sign("", app.clock.now(), body.as_bytes()).expect("signed");
        headers.push((header::HOST, host.parse().expect("a value")));
        let answer = app.post("signed", headers, body.clone().into_bytes()).await;
        assert_eq!(answer.status, status, "{address} by {host:?}: {}", answer.body);
    }
}
