//! Every way to an account, and none to anybody else's.

use proptest::prelude::*;
use serde_json::json;
use sever::domain::Subject;
use sever::provider::ProviderError;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::huawei::{LastPage, Operation, Permission, Person};

use super::world::*;

const ISSUER: &str = "https://idp.example";

#[tokio::test]
async fn every_name_leads_to_the_account_with_all_its_names() {
    let world = World::with(json!({"external_id_issuer": ISSUER})).await;
    let zoe = Person::new("zoë o'brien+1").email("Zoe@Example.com").second_email("z@home.example");
    let zoe = zoe.external_id("00u1abc", ISSUER);
    world.huawei.add_person(zoe.clone());
    for number in 0..250 {
        world.huawei.add_person(Person::new(&format!("zoë o'brien+1{number:03}")));
    }
    for subject in
        [id(&zoe.id), id("00u1abc"), username("zoë o'brien+1"), email("zoe@EXAMPLE.com"), email("z@home.example")]
    {
        let account = world.client.resolve(&subject).await.expect("resolved").expect("found");
        assert_eq!(account.id, zoe.id);
        for name in [&zoe.id, "zoë o'brien+1", "Zoe@Example.com", "z@home.example", "00u1abc"] {
            assert!(account.identifiers.iter().any(|known| known == name), "{name}: {account:?}");
        }
    }
    assert!(world.huawei.ledger().iter().all(|call| call.status.is_some_and(|status| status == 200 || status == 404)));
}

#[tokio::test]
async fn strangers_and_near_misses_are_nobody() {
    let world = World::new().await;
    world.person("zoe@example.com.evil.example", 1);
    world.person("zoel", 1);
    for subject in
        [email("zoe@example.com"), email("oe@example.com"), username("zoe"), username("Zoel"), username("zo")]
    {
        assert_eq!(world.client.resolve(&subject).await.expect("an answer"), None, "{subject:?}");
    }
    for unknown in ["1a2b3c4d-0000-1111-2222-333344445555", "zoel"] {
        assert!(matches!(world.client.resolve(&id(unknown)).await, Err(ProviderError::UnknownAccount(_))), "{unknown}");
    }
}

#[tokio::test]
async fn an_address_that_two_have_is_nobodys_also_across_pages() {
    let world = World::new().await;
    world.huawei.add_person(Person::new("first").email("shared@example.com"));
    for number in 0..220 {
        world.huawei.add_person(Person::new(&format!("p{number}")));
    }
    world.huawei.add_person(Person::new("last").email("SHARED@example.com"));
    let error = world.client.resolve(&email("shared@example.com")).await.expect_err("ambiguous");
    assert!(matches!(error, ProviderError::Unclear(_)) && !error.to_string().contains("shared"), "{error:?}");
    assert_eq!(world.calls(Operation::ListUsers), 3);
    let both = Subject { username: Some("last".to_owned()), ..email("p7@example.com") };
    assert!(matches!(world.client.resolve(&both).await, Err(ProviderError::Unclear(_))));
}

#[tokio::test]
async fn pages_of_every_kind_are_read_to_their_end() {
    for last_page in [LastPage::Null, LastPage::Absent, LastPage::Empty] {
        for (moving, empty, cap) in [(false, false, None), (true, false, Some(7)), (false, true, Some(7))] {
            let world = World::new().await;
            world.quirks(|quirks| {
                quirks.last_page = last_page;
                quirks.pages_move = moving;
                quirks.empty_pages = empty;
                quirks.page_cap = cap;
            });
            for number in 0..30 {
                world.huawei.add_person(Person::new(&format!("p{number}")));
            }
            for name in ["p0", "p6", "p7", "p29"] {
                let found = world.client.resolve(&email(&format!("{name}@example.com"))).await.expect("an answer");
                assert!(found.is_some(), "{last_page:?} {moving} {empty} {name}");
            }
            assert_eq!(world.client.resolve(&email("nobody@example.com")).await.expect("an answer"), None);
        }
    }
}

#[tokio::test]
async fn pages_without_an_end_are_left() {
    let world = World::new().await;
    world.person("zoe", 1);
    world.quirks(|quirks| quirks.endless_pages = true);
    assert!(matches!(world.client.resolve(&email("zoe@example.com")).await, Err(ProviderError::Unclear(_))));
    assert!(world.huawei.ledger().len() < 10);
}

#[tokio::test]
async fn a_user_name_is_found_whatever_the_attribute_is_called() {
    let world = World::new().await;
    let zoe = world.person("zoe", 1);
    world.person("zoel", 1);
    world.quirks(|quirks| quirks.attribute_path = "userName".to_owned());
    let found = world.client.resolve(&username("zoe")).await.expect("an answer").expect("found");
    assert_eq!((found.id, world.calls(Operation::ListUsers)), (zoe.id.clone(), 1));
    let told = world.client.check().await.expect("checked").unchecked.join(" ");
    assert!(told.contains("attribute_path"), "{told}");
    let right = client(&world.huawei, &world.clock, json!({"attribute_path": "userName"}));
    let found = right.resolve(&username("zoe")).await.expect("an answer").expect("found");
    assert_eq!((found.id, world.calls(Operation::ListUsers)), (zoe.id.clone(), 2), "the check alone listed");
    world.huawei.deny(AK, Permission::GetUserId);
    assert!(right.resolve(&username("zoe")).await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_page_that_lags_finds_nobody_and_a_user_name_does_not_need_it() {
    let world = World::new().await;
    let zoe = world.person("zoe", 1);
    let hide = || Fault::StaleSearch { user_id: Some(zoe.id.clone()) };
    world.huawei.faults().inject(Injection::once(hide()).on(Operation::ListUsers));
    assert_eq!(world.client.resolve(&email("zoe@example.com")).await.expect("an answer"), None);
    assert!(world.client.resolve(&email("zoe@example.com")).await.expect("an answer").is_some());
    world.huawei.faults().inject(Injection::once(hide()).on(Operation::GetUserId));
    assert!(world.client.resolve(&username("zoe")).await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_store_that_is_not_there_makes_nobody_unknown() {
    let world = World::with(json!({"identity_store_id": "d-0000000000", "external_id_issuer": ISSUER})).await;
    world.person("zoe", 1);
    let unknown = id("1a2b3c4d-0000-1111-2222-333344445555");
    for subject in [unknown, email("zoe@example.com"), username("zoe")] {
        let error = world.client.resolve(&subject).await.expect_err("no store");
        assert!(matches!(&error, ProviderError::Misconfigured(_)), "{subject:?}: {error:?}");
        assert!(error.to_string().contains("identity_store_id"), "{error}");
    }
    assert!(matches!(world.client.check().await, Err(ProviderError::Misconfigured(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever is given as a name, every call stays where users are looked for, and none ends anything.
    #[test]
    fn no_name_leads_to_another_path(
        name in prop_oneof!["\\PC{0,40}", "[./%2eE5cC;?#a-z\\\\]{1,30}", "(\\.\\./){1,4}[a-z]{0,8}", "[a-z0-9-]{1,60}"],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let world = World::with(json!({"external_id_issuer": ISSUER})).await;
            let zoe = world.person("zoe", 1);
            for subject in [id(&name), email(&name), username(&name)] {
                let _ = world.client.resolve(&subject).await;
            }
            let account = sever::domain::Account::new(name.clone(), vec![name.clone()]);
            let _ = world.client.sessions(&account).await;
            let _ = world.client.revoke(&account, &all(), None).await;
            let hers = world.account(&zoe).await;
            let _ = world.client.revoke(&hers, &given(std::slice::from_ref(&name)), None).await;
            let users = format!("/v1/identity-stores/{}/users", world.huawei.identity_store_id());
            let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            for call in world.huawei.ledger() {
                let rest: Vec<&str> = call.path.strip_prefix(users.as_str()).expect("users").split('/').skip(1).collect();
                let known = match (call.method.as_str(), rest.as_slice()) {
                    ("GET", []) | ("POST", ["retrieve-user-id"]) => true,
                    ("GET", [one]) | ("GET", [one, "sessions"]) => plain(one) && *one != "retrieve-user-id",
                    _ => false,
                };
                assert!(known, "{name:?} led to {} {}", call.method, call.path);
            }
            assert_eq!((world.huawei.tripwires(), world.huawei.sessions_of("zoe")), (Vec::new(), 1));
        });
    }
}
