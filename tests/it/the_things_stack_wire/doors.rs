//! Whose account a subject is.

use sever::domain::Subject;
use sever::provider::ProviderError;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::the_things_stack::{Operation, Person, State};

use super::network::*;

#[tokio::test]
async fn every_door_leads_to_the_same_account_with_every_name() {
    let network = Network::start().await;
    network.tts.add_person(Person::new("zoe").email("Zoe@Example.com").name("Zoe Example"));
    let client = network.client();
    for subject in [by_id("zoe"), by_username("zoe"), by_email("zoe@example.com"), by_email("ZOE@EXAMPLE.COM")] {
        let found = client.resolve(&subject).await.expect("resolved").expect("found");
        assert_eq!((found.id.as_str(), found.identifiers.join(" ")), ("zoe", "zoe Zoe@Example.com".to_owned()));
    }
}

#[tokio::test]
async fn strangers_near_misses_and_the_deleted_are_nobody() {
    let network = Network::start().await;
    network.tts.add_person(Person::new("zoe").name("ana@example.com").description("ana@example.com"));
    network.tts.add_person(Person::new("ana-2").email("ana+2@example.com"));
    network.tts.add_person(Person::new("gone"));
    network.tts.delete_person("gone");
    let client = network.client();
    for address in ["ana@example.com", "zoe@example.co", "oe@example.com", "gone@example.com"] {
        assert_eq!(client.resolve(&by_email(address)).await.expect("resolved"), None, "{address}");
    }
    for name in ["ana", "zo", "gone"] {
        assert_eq!(client.resolve(&by_username(name)).await.expect("resolved"), None, "{name}");
        let unknown = client.resolve(&by_id(name)).await.expect_err("a given id has to exist");
        assert!(matches!(unknown, ProviderError::UnknownAccount(_)), "{name}: {unknown:?}");
    }
}

#[tokio::test]
async fn an_address_that_two_have_is_nobodys() {
    let network = Network::start().await;
    network.tts.add_person(Person::new("zoe").email("shared@example.com"));
    network.tts.add_person(Person::new("ana").email("SHARED@example.com"));
    let unclear = network.client().resolve(&by_email("shared@example.com")).await.expect_err("ambiguous");
    assert!(matches!(unclear, ProviderError::Unclear(_)), "{unclear:?}");
    network.tts.add_person(Person::new("bob"));
    let both = Subject { email: Some("bob@example.com".to_owned()), ..by_username("zoe") };
    assert!(matches!(network.client().resolve(&both).await, Err(ProviderError::Unclear(_))));
}

#[tokio::test]
async fn everybody_is_compared_however_many_there_are_and_whatever_the_servers_page_is() {
    let network = Network::start().await;
    network.tts.set_default_limit(3);
    for number in 0..1100 {
        network.tts.add_person(Person::new(&format!("user-{number:04}")));
    }
    let client = network.client();
    for number in [0, 999, 1000, 1099] {
        let address = format!("user-{number:04}@example.com");
        let found = client.resolve(&by_email(&address)).await.expect("resolved").expect("found");
        assert_eq!(found.identifiers[1], address);
    }
    assert_eq!(client.resolve(&by_email("user-1100@example.com")).await.expect("resolved"), None);
}

#[tokio::test]
async fn a_listing_that_lags_hides_nobody_from_the_other_doors() {
    let network = Network::start().await;
    network.person("zoe", 1);
    let stale = Fault::StaleSearch { user_id: None };
    network.tts.faults().inject(Injection::once(stale).on(Operation::ListUsers));
    let client = network.client();
    assert_eq!(client.resolve(&by_email("zoe@example.com")).await.expect("resolved"), None);
    assert!(client.resolve(&by_email("zoe@example.com")).await.expect("resolved").is_some());
    assert!(client.resolve(&by_id("zoe")).await.expect("resolved").is_some());
}

#[tokio::test]
async fn people_in_any_state_are_found_and_signed_out() {
    let network = Network::start().await;
    let client = network.client();
    for (number, state) in State::ALL.into_iter().enumerate() {
        let person = Person::new(&format!("zoe-{number}")).state(state).unvalidated();
        network.tts.add_person(person.clone());
        network.tts.sign_in(&person.id);
        let found = client.resolve(&by_email(&person.email)).await.expect("resolved").expect("found");
        client.revoke(&found, &all(), None).await.expect("revoked").expect("something");
        assert_eq!(network.tts.sessions_of(&person.id), 0, "{state:?}");
    }
}
