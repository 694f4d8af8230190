//! Finding users.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::huawei::{LastPage, Operation, Person, Quirks};

use super::store::*;
use super::wire::Reply;

impl Store {
    async fn users(&self, query: &str) -> Reply {
        self.get(&format!("{}{query}", self.users_path())).await
    }

    fn add_people(&self, count: usize) {
        (0..count).for_each(|number| self.huawei.add_person(Person::new(&format!("person{number:03}"))));
    }

    /// Every page, with `limit`; gives up after a hundred.
    async fn pages(&self, limit: usize) -> Vec<Vec<String>> {
        let (mut pages, mut marker) = (Vec::new(), String::new());
        while pages.len() < 100 {
            let reply = self.users(&format!("?limit={limit}{marker}")).await;
            let info = reply.json()["page_info"].clone();
            pages.push(user_names(&reply));
            assert_eq!(info["current_count"], json!(pages[pages.len() - 1].len()));
            match info["next_marker"].as_str() {
                None | Some("") => break,
                Some(next) => marker = format!("&marker={next}"),
            }
            assert_eq!(marker.len(), "&marker=".len() + 24);
        }
        pages
    }
}

#[tokio::test]
async fn a_user_is_shown_with_all_fields_alone_and_in_a_listing() {
    let store = Store::start().await;
    let listed = store.users("").await.json();
    let ana = json!({
        "user_id": store.ana, "user_name": "ana", "display_name": "ana", "enabled": true,
        "identity_store_id": store.huawei.identity_store_id(), "external_id": "00uana",
        "emails": [{"primary": true, "type": "work", "value": "Ana.Silva@Example.com", "verification_status": "VERIFIED"}],
        "name": {"family_name": "Silva", "given_name": "Ana"},
        "created_at": START_S * 1000, "updated_at": START_S * 1000,
    });
    assert_eq!(listed["users"][0], ana);
    assert_eq!(listed["page_info"], json!({"next_marker": null, "current_count": 2}));
    assert_eq!(store.users(&format!("/{}", store.ana)).await.json(), ana);
    let ben = store.users(&format!("/{}", store.ben)).await.json();
    assert!(ben.get("emails").is_none() && ben.get("external_id").is_none(), "what is not there is left out: {ben}");
    for (target, status, code) in [
        ("/nobody".to_owned(), 404, "IIC.404"),
        ("/ana".into(), 404, "IIC.404"),
        ("/retrieve-user-id".into(), 404, "IIC.404"),
        (format!("/{}", "x".repeat(48)), 400, "IIC.400"),
        (format!("/{}?limit=1", store.ana), 400, "IIC.400"),
    ] {
        assert_eq!(store.users(&target).await.outcome(), outcome(status, code), "{target}");
    }
}

#[tokio::test]
async fn listings_know_three_parameters_and_their_limits() {
    let store = Store::start().await;
    for query in [
        "?limit=0",
        "?limit=101",
        "?limit=-1",
        "?limit=ten",
        "?limit=",
        "?limit=1.0",
        "?limit=%2B1",
        "?limit",
        "?limit=1&limit=1",
        "?marker=",
        "?marker=AAAAAAAAAAAAAAAAAAAAAAAA",
        "?user_name=",
        "?email=ana%40example.com",
        "?offset=1",
        "?Limit=1",
    ] {
        let draft = store.draft("GET", &format!("{}{query}", store.users_path()));
        let signed = if query == "?limit" { Some("limit=".to_owned()) } else { None };
        let reply = store.send(&super::wire::Draft { signed_query: signed, ..draft }).await;
        assert_eq!(reply.outcome(), outcome(400, "IIC.400"), "{query}: {}", reply.text);
    }
    store.add_people(110);
    assert_eq!(user_names(&store.users("").await).len(), 100, "the default is the largest");
    assert_eq!(user_names(&store.users("?limit=100").await).len(), 100);
    assert_eq!(user_names(&store.users("?limit=1").await), ["ana"]);
}

#[tokio::test]
async fn the_filter_by_name_may_find_more_than_it_was_asked_for() {
    let store = Store::start().await;
    store.huawei.add_person(Person::new("ana.two"));
    store.huawei.add_person(Person::new("Anabel"));
    assert_eq!(user_names(&store.users("?user_name=ana").await), ["ana", "ana.two", "Anabel"]);
    assert_eq!(user_names(&store.users("?user_name=nobody").await), Vec::<String>::new());
    let first = store.users("?limit=2&user_name=ana").await;
    assert_eq!(user_names(&first), ["ana", "ana.two"]);
    let marker = first.json()["page_info"]["next_marker"].as_str().expect("a marker").to_owned();
    assert_eq!(user_names(&store.users(&format!("?limit=2&marker={marker}&user_name=ana")).await), ["Anabel"]);
    for query in [format!("?marker={marker}"), format!("?marker={marker}&user_name=ben")] {
        assert_eq!(store.users(&query).await.outcome(), outcome(400, "IIC.400"), "a marker belongs to its filter");
    }
    store.huawei.set_quirks(Quirks { fuzzy_user_names: false, ..Quirks::default() });
    assert_eq!(user_names(&store.users("?user_name=ana").await), ["ana"]);
    assert_eq!(user_names(&store.users("?user_name=ANA").await), Vec::<String>::new());
}

#[tokio::test]
async fn pages_lead_through_everybody_and_end_in_every_way() {
    for last_page in [LastPage::Null, LastPage::Absent, LastPage::Empty] {
        let store = Store::with(Quirks { last_page, ..Quirks::default() }).await;
        store.add_people(3);
        let pages = store.pages(2).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1], "{last_page:?}");
        assert_eq!(pages.concat().iter().collect::<BTreeSet<_>>().len(), 5);
        let info = store.users("").await.json()["page_info"].clone();
        let end = [(LastPage::Null, Some(Value::Null)), (LastPage::Absent, None), (LastPage::Empty, Some(json!("")))];
        let expected = end.into_iter().find(|(form, _)| *form == last_page).and_then(|(_, value)| value);
        assert_eq!(info.get("next_marker").cloned(), expected);
    }
}

#[tokio::test]
async fn pages_misbehave() {
    let sizes = |pages: &[Vec<String>]| pages.iter().map(Vec::len).collect::<Vec<_>>();
    let store = Store::with(Quirks { page_cap: Some(2), ..Quirks::default() }).await;
    store.add_people(3);
    assert_eq!(sizes(&store.pages(100).await), [2, 2, 1], "a short page is not the last");
    store.huawei.set_quirks(Quirks { empty_pages: true, ..Quirks::default() });
    assert_eq!(sizes(&store.pages(3).await), [0, 3, 0, 2], "nor is an empty one");
    store.huawei.set_quirks(Quirks { pages_move: true, ..Quirks::default() });
    let moving = store.pages(3).await;
    assert_eq!((sizes(&moving), moving[0].last()), (vec![3, 3], moving[1].first()));
    assert_eq!(store.pages(1).await.len(), 5, "pages of one get on nevertheless");
    store.huawei.set_quirks(Quirks { endless_pages: true, ..Quirks::default() });
    assert_eq!(store.pages(3).await.len(), 100);
}

#[tokio::test]
async fn an_id_is_had_for_a_name_or_an_external_id() {
    let store = Store::start().await;
    let store_id = store.huawei.identity_store_id();
    let by_name =
        |path: &str, value: &str| json!({"unique_attribute": {"attribute_path": path, "attribute_value": value}});
    let by_external = |id: &str, issuer: &str| json!({"external_id": {"id": id, "issuer": issuer}});
    let ana = json!({"identity_store_id": store_id, "user_id": store.ana});
    assert_eq!(store.find_name("ana").await.json(), ana);
    assert_eq!(store.find(&by_external("00uana", "https://idp.example")).await.json(), ana);
    let both = json!({"unique_attribute": by_name("user_name", "ana")["unique_attribute"],
                      "external_id": {"id": "00uana", "issuer": "https://idp.example"}});
    let table = [
        (by_name("user_name", "nobody"), 404),
        (by_name("user_name", "ANA"), 404),
        (by_name("user_name", "an"), 404),
        (by_name("user_name", &"x".repeat(255)), 404),
        (by_name("user_name", &"x".repeat(256)), 400),
        (by_name("user_name", ""), 400),
        (by_name("userName", "ana"), 400),
        (by_name("emails.value", "Ana.Silva@Example.com"), 400),
        (by_name("", "ana"), 400),
        (by_external("00uana", "https://other.example"), 404),
        (by_external(&"x".repeat(256), "y"), 404),
        (by_external(&"x".repeat(257), "y"), 400),
        (by_external("x", &"y".repeat(101)), 400),
        (by_external("", "y"), 400),
        (by_external("x", ""), 400),
        (both, 400),
        (json!({}), 400),
        (json!({"email": "ana"}), 400),
        (json!({"unique_attribute": {"attribute_path": "user_name"}}), 400),
        (json!({"external_id": {"id": "00uana"}}), 400),
        (json!("ana"), 400),
    ];
    for (identifier, status) in table {
        let code = if status == 404 { "IIC.404" } else { "IIC.400" };
        assert_eq!(store.find(&identifier).await.outcome(), outcome(status, code), "{identifier}");
    }
    store.huawei.set_quirks(Quirks { attribute_path: "userName".into(), ..Quirks::default() });
    assert_eq!(store.find(&by_name("userName", "ana")).await.json(), ana);
    assert_eq!(store.find_name("ana").await.status, 400);
}

#[tokio::test]
async fn a_stale_index_hides_a_person_from_searches_only() {
    let store = Store::start().await;
    let stale = Fault::StaleSearch { user_id: Some(store.ana.clone()) };
    store.huawei.faults().inject(Injection::once(stale.clone()).on(Operation::ListUsers));
    store.huawei.faults().inject(Injection::once(stale).on(Operation::GetUserId));
    assert_eq!(store.users(&format!("/{}", store.ana)).await.status, 200);
    assert_eq!(user_names(&store.users("").await), ["ben"]);
    assert_eq!(store.find_name("ana").await.status, 404);
    assert_eq!(user_names(&store.users("").await), ["ana", "ben"]);
    assert_eq!(store.find_name("ana").await.status, 200);
    store.huawei.faults().inject(Injection::once(Fault::StaleSearch { user_id: None }).on(Operation::ListUsers));
    assert_eq!(
        store.users("").await.json(),
        json!({"users": [], "page_info": {"next_marker": null, "current_count": 0}})
    );
}

#[tokio::test]
async fn people_are_replaced_and_removed_with_all_their_names() {
    let store = Store::start().await;
    store.huawei.add_person(Person::new("ana.new").id(&store.ana).second_email("a@example.org").disabled());
    assert_eq!((store.find_name("ana").await.status, store.find_name("ana.new").await.status), (404, 200));
    assert_eq!(user_names(&store.users("").await), ["ben", "ana.new"]);
    let ana = store.huawei.person("a@example.org").expect("found by any address");
    assert_eq!((ana.id.as_str(), ana.enabled, store.huawei.sessions_of(&ana.id)), (store.ana.as_str(), false, 0));
    store.huawei.remove_person("ben");
    assert_eq!(user_names(&store.users("").await), ["ana.new"]);
    assert_eq!(store.huawei.people().len(), 1);
}
