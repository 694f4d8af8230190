//! Names that would reach another path, another person, or the server's insides.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sever::domain::{Account, Look, Scope, SessionRef, Subject};
use sever::provider::Provider;

use super::network::*;

const PIECES: [&str; 32] = [
    "zoe", "bob", "admin", "me", "Zoe", "..", ".", "/", "\\", "%2f", "%2e%2e", "%00", "?", "#", ";", "&", "=", "@",
    "*", "-", "--", "_", " ", "\n", "\u{0}", "\u{202e}", "é", "K", "sessions", "users", "password", "api-keys",
];

fn name() -> impl Strategy<Value = String> {
    let pieces = vec(prop::sample::select(PIECES.to_vec()), 0..6).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => pieces, 1 => any::<String>(), 1 => "[a-z0-9-]{0,40}"]
}

/// Only what an honest client calls: the list of users, a user, and a user's sessions by UUIDs.
fn is_honest(path: &str) -> bool {
    let is_user = |id: &str| {
        (2..=36).contains(&id.len())
            && id.split('-').all(|part| !part.is_empty())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "api", "v3", "users"] => true,
        ["", "api", "v3", "users", id] | ["", "api", "v3", "users", id, "sessions"] => is_user(id),
        ["", "api", "v3", "users", id, "sessions", session] => is_user(id) && uuid::Uuid::try_parse(session).is_ok(),
        _ => false,
    }
}

async fn try_everything(client: &dyn Provider, name: &str) {
    let text = || Some(name.to_owned());
    for subject in [
        Subject { id: text(), ..Subject::default() },
        Subject { email: text(), ..Subject::default() },
        Subject { username: text(), ..Subject::default() },
        Subject { id: text(), email: text(), username: text() },
    ] {
        drop(client.resolve(&subject).await);
    }
    let reference = || vec![SessionRef::Id(name.to_owned())];
    let request = sever::domain::RevokeRequest::new(Scope::Sessions(reference()));
    let look = Look {
        sessions: vec![sever::domain::Session { id: name.to_owned(), ..sever::domain::Session::default() }],
        complete: true,
        at: None,
    };
    let zoe = Account::new("zoe", vec!["zoe".to_owned()]);
    drop(client.revoke(&zoe, &request, None).await);
    drop(client.revoke(&zoe, &request, Some(&look)).await);
    drop(client.revoke(&zoe, &all(), Some(&look)).await);
    // Not one of the people of this network, who would be signed out rightly.
    if !["zoe", "bob", "admin"].contains(&name) {
        let account = Account::new(name, vec![name.to_owned()]);
        drop(client.sessions(&account).await);
        drop(client.revoke(&account, &all(), None).await);
    }
}

#[test]
fn no_name_reaches_a_path_or_a_person_that_it_should_not() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let network = runtime.block_on(Network::start());
    for person in ["zoe", "bob"] {
        network.person(person, 1);
    }
    let client = network.client_with(&serde_json::json!({"send_email": true}));
    let mut runner = TestRunner::new(Config { cases: 128, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&name(), |name| {
        network.tts.clear_ledger();
        runtime.block_on(try_everything(client.as_ref(), &name));
        for call in network.tts.ledger() {
            prop_assert!(is_honest(&call.path), "{:?} led to {} {}", name, call.method, call.path);
            prop_assert!(call.error_code.as_deref() != Some("driver"), "{:?} reached the database", name);
        }
        prop_assert!(network.tts.tripwires().is_empty());
        prop_assert_eq!((network.tts.sessions_of("zoe"), network.tts.sessions_of("bob")), (1, 1), "{:?}", name);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
