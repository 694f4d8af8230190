//! The operator API against its own document, by a tool that is not ours: `schemathesis` makes up requests, good and bad,
//! follows what answers offer, and finds each answer that the document does not have.

use std::process::Command;

use serde_json::json;

use crate::service::{Setup, python};
use crate::testapp::by_email;
use sever::sandbox::okta::Person;

/// What the document says is tried within this time. A longer run finds more: set `SEVER_TEST_SCHEMATHESIS_SECONDS`.
const SECONDS: &str = "45";

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for by hand")]
fn seconds() -> String {
    std::env::var("SEVER_TEST_SCHEMATHESIS_SECONDS").unwrap_or_else(|_| SECONDS.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_gets_an_answer_that_the_document_does_not_have() {
    let setup = Setup::new().await;
    let server = setup.serve(&[]);
    // Something to look at: jobs that are done, one that is held, one that is dead, and a delivery in quarantine.
    for who in ["ana", "bob", "breakglass-1"] {
        let person = Person::new(&format!("{who}@example.com"));
        setup.sandbox.okta().add_person(person.clone());
        setup.sandbox.okta().sign_in(&person.id);
        let (status, answer) = setup.deliver(&server, &by_email(who, &person.login)).await;
        assert_eq!(status, 202, "{answer}");
    }
    let nameless = json!([{"ids": {"slack": "W012A3CDE"}}]);
    setup.deliver(&server, &crate::testapp::stolen("nameless", nameless)).await;
    let (status, _) = setup.deliver(&server, &json!({"id": "broken"})).await;
    assert_eq!(status, 422);

    let admin = format!("http://{}", server.admin.expect("an operator API"));
    let folder = tempfile::tempdir().expect("a folder");
    let run = Command::new(python())
        .current_dir(folder.path())
        .args(["-m", "schemathesis.cli", "run", &format!("{admin}/openapi.json")])
        .args(["-H", &format!("Authorization: Bearer {}", setup.secret("oncall"))])
        // What a schema allows may still be refused with words: two names where one is wanted.
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        .args(["--continue-on-failure", "--request-timeout", "30", "--no-color"])
        .args(["--max-examples", "15", "--max-time", &seconds(), "--warnings", "off"])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(told.contains("Test cases:"), "it did not get to the API: {told}{errors}");
    assert!(run.status.success(), "{told}{errors}");
}
