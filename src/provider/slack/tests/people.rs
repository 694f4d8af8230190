//! Finding people.

use super::support::*;
use crate::domain::Subject;
use crate::provider::script::Canned;
use crate::provider::{Provider, ProviderError};

#[tokio::test]
async fn an_id_is_read_with_every_name_and_workspace() {
    let world = World::new().await;
    world.server.then([user(ANA, "ana@example.com", &[TEAM, OTHER_TEAM])]);
    let subject = Subject { email: Some("bob@example.com".to_owned()), ..by_id(ANA) };
    let found = world.slack.resolve(&subject).await.expect("an answer").expect("an account");
    assert_eq!((found.id.as_str(), found.teams.len()), (ANA, 2));
    assert_eq!(found.identifiers, [ANA, "ana", "ana@example.com"]);
    let seen = world.server.seen();
    assert_eq!(seen[0].line, format!("GET /api/users.info?user={ANA}"), "an id wins over an address");
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {TOKEN}"));
}

#[tokio::test]
async fn what_a_user_lacks_is_not_made_up() {
    let world = World::new().await;
    let profile = r#""profile":{"email":"bob@example.com"}"#;
    world.server.then([Canned::new(200, format!(r#"{{"ok":true,"user":{{"id":"{ANA}",{profile}}}}}"#))]);
    let found = world.slack.resolve(&by_id(ANA)).await.expect("an answer").expect("an account");
    assert_eq!((found.identifiers, found.teams), (vec![ANA.to_owned(), "bob@example.com".to_owned()], Vec::new()));
    let organization = r#""enterprise_user":{"id":"W777","teams":[]}"#;
    world.server.then([Canned::new(200, format!(r#"{{"ok":true,"user":{{"id":"{BOB}",{profile},{organization}}}}}"#))]);
    let found = world.slack.resolve(&by_id(BOB)).await.expect("an answer").expect("an account");
    assert_eq!(found.identifiers, [BOB, "W777", "bob@example.com"], "the organization's id is a name as well");
}

#[tokio::test]
async fn whoever_is_read_without_an_address_may_be_protected() {
    let world = World::new().await;
    for profile in ["", r#","profile":{}"#, r#","profile":{"email":""}"#] {
        world
            .server
            .then([Canned::new(200, format!(r#"{{"ok":true,"user":{{"id":"{ANA}","name":"ana"{profile}}}}}"#))]);
        let error = world.slack.resolve(&by_id(ANA)).await.expect_err("nobody knows");
        assert!(
            matches!(&error, ProviderError::Refused(report) if report.message.contains("users:read.email")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn an_id_that_slack_does_not_know_or_knows_as_another_is_a_wrong_mapping() {
    let world = World::new().await;
    world.server.then([no("user_not_found"), user(BOB, "bob@example.com", &[])]);
    for _ in 0..2 {
        let error = world.slack.resolve(&by_id(ANA)).await.expect_err("unknown");
        assert!(matches!(error, ProviderError::UnknownAccount(_)), "{error:?}");
    }
}

#[tokio::test]
async fn an_address_is_looked_up_encoded_and_read_again() {
    let world = World::new().await;
    let address = "ana+spam&limit=1@example.com";
    world.server.then([user(ANA, address, &[TEAM]), user(ANA, address, &[TEAM])]);
    let found = world.slack.resolve(&by_email("Ana+spam&limit=1@Example.com")).await.expect("an answer");
    assert_eq!(found.expect("an account").id, ANA);
    let lines = world.server.lines();
    assert_eq!(lines[0], "GET /api/users.lookupByEmail?email=Ana%2Bspam%26limit%3D1%40Example.com");
    assert_eq!(lines[1], format!("GET /api/users.info?user={ANA}"));
}

#[tokio::test]
async fn an_address_that_is_nobodys_or_no_longer_theirs_is_nobodys() {
    let world = World::new().await;
    world.server.then([no("users_not_found")]);
    assert_eq!(world.slack.resolve(&by_email("ana@example.com")).await.expect("an answer"), None);
    for near in ["ana@example.com.evil.example", "ana.new@example.com", "аna@example.com"] {
        world.server.then([user(ANA, "ana@example.com", &[]), user(ANA, near, &[])]);
        assert_eq!(world.slack.resolve(&by_email("ana@example.com")).await.expect("an answer"), None, "{near}");
    }
    // The plural is documented here, the singular is not: it may mean anything.
    world.server.then([no("user_not_found")]);
    let error = world.slack.resolve(&by_email("ana@example.com")).await.expect_err("another code");
    assert!(matches!(error, ProviderError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_user_whose_address_does_not_show_is_unclear() {
    let world = World::new().await;
    let bare = || Canned::new(200, format!(r#"{{"ok":true,"user":{{"id":"{ANA}","profile":{{}}}}}}"#));
    world.server.then([bare(), bare()]);
    let error = world.slack.resolve(&by_email("ana@example.com")).await.expect_err("not certain");
    assert!(matches!(error, ProviderError::Unclear(_)), "{error:?}");
    world.server.then([Canned::new(200, r#"{"ok":true,"user":{"id":"../x"}}"#)]);
    let error = world.slack.resolve(&by_email("ana@example.com")).await.expect_err("no id");
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn no_hostile_name_ever_leaves() {
    let world = World::new().await;
    for name in ["", " ", ".", "..", "me", "%2e%2e", "a\nb", "a\u{202e}b", " a", "*"] {
        for subject in [by_id(name), by_email(name)] {
            let error = world.slack.resolve(&subject).await.expect_err("hostile");
            assert!(matches!(error, ProviderError::Unclear(_)), "{name:?}: {error:?}");
        }
    }
    for id in
        ["ana", "w0123ana", "W0123ANA,U0123BOB", "W0123ANA&user_id=U1", "T0123ABCD", "W", "W0123AN\u{c4}", "W1/../x"]
    {
        let unclear = |error: &ProviderError| matches!(error, ProviderError::Unclear(_));
        assert!(unclear(&world.slack.resolve(&by_id(id)).await.expect_err("hostile")), "{id}");
        assert!(unclear(&world.slack.revoke(&account(id), &all(), None).await.expect_err("hostile")), "{id}");
        assert!(unclear(&world.slack.sessions(&account(id)).await.expect_err("hostile")), "{id}");
        let request = given(&[("1", Some(TEAM))]);
        assert!(unclear(&world.slack.revoke(&account(id), &request, None).await.expect_err("hostile")), "{id}");
    }
    let by_username = Subject { username: Some("ana".to_owned()), ..Subject::default() };
    let error = world.slack.resolve(&by_username).await.expect_err("no such way");
    assert!(matches!(&error, ProviderError::Unclear(_)) && error.to_string().contains("e-mail"), "{error}");
    assert!(matches!(world.slack.resolve(&Subject::default()).await, Err(ProviderError::Unclear(_))));
    assert_eq!(world.server.lines(), Vec::<String>::new());
}
