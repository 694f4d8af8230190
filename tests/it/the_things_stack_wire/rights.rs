//! What our key may do, as `check` finds out and as each call does.

use std::time::Duration;

use sever::clock::Clock;
use sever::provider::ProviderError;
use sever::sandbox::the_things_stack::{Entity, Person, Right, State};

use super::network::*;

#[tokio::test]
async fn an_admins_key_with_the_one_right_is_all_that_it_takes() {
    let network = Network::start().await;
    let zoe = network.person("zoe", 2);
    network.tts.set_rights(KEY, &[Right::UserAll]);
    for numbers in [false, true] {
        network.tts.write_enums_as_numbers(numbers);
        let report = network.client().check().await.expect("a report");
        assert!(report.identity.starts_with("admin (API key VEEB"), "{report:?}");
        assert!(report.missing.is_empty() && report.excess.is_empty() && report.unchecked.is_empty(), "{report:?}");
    }
    let account = network.client().resolve(&by_email(&zoe.email)).await.expect("resolved").expect("found");
    network.client().revoke(&account, &all(), None).await.expect("revoked").expect("something");
    assert_eq!(network.tts.sessions_of("zoe"), 0);
    network.tts.set_rights(KEY, &[Right::All]);
    network.tts.write_enums_as_numbers(false);
    let excess = network.client().check().await.expect("a report").excess;
    assert_eq!(excess, ["RIGHT_ALL"]);
}

#[tokio::test]
async fn the_servers_default_gives_admins_too_little_and_that_is_said() {
    let network = Network::start().await;
    let zoe = network.person("zoe", 1);
    network.tts.give_admins_all_rights(false);
    let client = network.client();
    let error = client.check().await.expect_err("too little");
    assert!(matches!(&error, ProviderError::Unauthorized(_)), "{error:?}");
    assert!(error.to_string().contains("is.admin-rights.all: true"), "{error}");
    for error in [
        client.sessions(&account(&zoe)).await.expect_err("forbidden"),
        client.revoke(&account(&zoe), &all(), None).await.expect_err("forbidden"),
    ] {
        assert!(matches!(error, ProviderError::Unauthorized(_)), "{error:?}");
    }
    assert_eq!(network.tts.sessions_of("zoe"), 1);
}

#[tokio::test]
async fn keys_of_no_admin_reach_nobody_else() {
    let network = Network::start().await;
    let (zoe, _) = (network.person("zoe", 1), network.person("bob", 0));
    let bobs = network.tts.issue_key("bob");
    let organizations = network.tts.issue_key("bob");
    network.tts.accept_entity_key(&organizations, Entity::Organization("lab".to_owned()));
    for key in [bobs, organizations] {
        let client = network.client_of(&key);
        assert!(matches!(client.check().await, Err(ProviderError::Unauthorized(_))));
        assert!(matches!(client.resolve(&by_id("zoe")).await, Err(ProviderError::Forbidden(_))));
        assert!(matches!(client.resolve(&by_email(&zoe.email)).await, Err(ProviderError::Unauthorized(_))));
        assert!(matches!(client.revoke(&account(&zoe), &all(), None).await, Err(ProviderError::Forbidden(_))));
    }
    assert_eq!(network.tts.sessions_of("zoe"), 1);
}

#[tokio::test]
async fn a_key_that_is_gone_ended_or_wrong_is_our_credential() {
    let network = Network::start().await;
    let zoe = network.person("zoe", 1);
    let (gone, ended, good) =
        (network.tts.issue_key("admin"), network.tts.issue_key("admin"), network.tts.issue_key("admin"));
    network.tts.revoke_key(&gone);
    network.tts.expire_key(&ended, network.clock.now() - Duration::from_secs(1));
    let (start, _) = good.rsplit_once('.').expect("three parts");
    let wrong = format!("{start}.WRONGSECRET");
    for key in [gone, ended, wrong] {
        let client = network.client_of(&key);
        for error in [
            client.check().await.expect_err("refused"),
            client.resolve(&by_id("zoe")).await.expect_err("refused"),
            client.resolve(&by_email(&zoe.email)).await.expect_err("refused"),
            client.revoke(&account(&zoe), &all(), None).await.expect_err("refused"),
        ] {
            assert!(matches!(error, ProviderError::Unauthorized(_)), "{error:?}");
            assert!(!format!("{error:?}").contains("WRONGSECRET") && !format!("{error:?}").contains(&key), "{error:?}");
        }
    }
}

#[tokio::test]
async fn an_admin_whose_account_is_not_in_order_is_told_why() {
    let network = Network::start().await;
    network.tts.add_person(Person::new("chief").admin().unvalidated());
    let key = network.tts.issue_key("chief");
    let client = network.client_of(&key);
    assert!(client.check().await.is_ok());
    network.tts.require_validated_email(true);
    let error = client.check().await.expect_err("restricted").to_string();
    assert!(error.contains("until email address validated"), "{error}");
    network.tts.require_validated_email(false);
    network.tts.set_state("chief", State::Suspended);
    let error = client.check().await.expect_err("restricted").to_string();
    assert!(error.contains("suspension"), "{error}");
    assert!(matches!(client.resolve(&by_id("admin")).await, Err(ProviderError::Unauthorized(_))));
}
