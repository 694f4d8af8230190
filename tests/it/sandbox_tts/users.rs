//! Finding people: by id, by paging through everybody, by search.

use std::time::Duration;

use serde_json::json;
use sever::sandbox::the_things_stack::{Person, State};

use super::stack::*;

async fn populated() -> Stack {
    let stack = Stack::start().await;
    stack.clock.advance(Duration::from_secs(1));
    stack.tts.add_person(Person::new("ben").email("a@example.com").name("Zoe's friend").state(State::Suspended));
    stack.clock.advance(Duration::from_secs(1));
    let carl = Person::new("carl-zoe").description("Works with ZOE").attribute("room", "Blue 7");
    stack.tts.add_person(carl.unvalidated().state(State::Requested));
    stack
}

#[tokio::test]
async fn a_user_shows_what_the_mask_asks_for() {
    let stack = populated().await;
    let at = "2026-01-15T08:30:00.000000Z";
    let bare = json!({"ids": {"user_id": "zoe"}, "created_at": at, "updated_at": at});
    assert_eq!(stack.get("/users/zoe").await.json(), bare);
    assert_eq!(stack.get("/users/zoe?field_mask=description,admin,ids.user_id").await.json(), bare, "default values");
    let full = stack.get("/users/zoe?field_mask=name%2Cstate,primary_email_address").await.json();
    assert_eq!(full["name"], "Zoe Example");
    assert_eq!((&full["state"], &full["primary_email_address"]), (&json!("STATE_APPROVED"), &json!("Zoe@Example.com")));
    let admin = stack.get("/users/admin?field_mask=admin,primary_email_address_validated_at").await.json();
    assert_eq!((&admin["admin"], admin["primary_email_address_validated_at"].is_string()), (&json!(true), true));
    let carl = stack.get("/users/carl-zoe?field_mask=state,attributes,primary_email_address_validated_at").await.json();
    assert_eq!(carl["attributes"], json!({"room": "Blue 7"}));
    assert!(carl.get("state").is_none() && carl.get("primary_email_address_validated_at").is_none(), "0 and none");
    stack.tts.write_enums_as_numbers(true);
    assert_eq!(stack.get("/users/zoe?field_mask=state").await.json()["state"], 1);
}

#[tokio::test]
async fn a_mask_may_name_known_paths_only() {
    let stack = Stack::start().await;
    for path in ["/users/zoe", "/users", "/search/users"] {
        for mask in ["email", "name,", "Name", "primaryEmailAddress", "", "name;state"] {
            let reply = stack.get(&format!("{path}?field_mask={mask}")).await;
            assert_eq!(reply.error(), (400, "field_mask_paths".into(), 3), "{path} {mask}");
        }
    }
}

#[tokio::test]
async fn everybody_is_listed_in_pages() {
    let stack = populated().await;
    let everybody = strings(&["admin", "ben", "carl-zoe", "zoe"]);
    let listed = stack.get("/users?field_mask=primary_email_address&limit=1000").await;
    assert_eq!((listed.user_ids(), listed.header("x-total-count")), (everybody.clone(), "4".into()));
    let emails = listed.column("users", "/primary_email_address");
    assert_eq!(emails, ["admin@example.com", "a@example.com", "carl-zoe@example.com", "Zoe@Example.com"]);
    assert_eq!(stack.get("/users?limit=3&page=2&field_mask=name").await.user_ids(), ["zoe"]);
    let beyond = stack.get("/users?limit=3&page=3").await;
    assert_eq!((beyond.text.as_str(), beyond.header("x-total-count").as_str()), ("{}", "4"));
    stack.tts.set_default_limit(2);
    assert_eq!(stack.get("/users").await.user_ids(), everybody[..2]);
    assert_eq!(stack.get("/users?limit=0&page=2").await.user_ids(), everybody[2..]);
}

#[tokio::test]
async fn listings_are_sorted_as_asked() {
    let stack = populated().await;
    let table = [
        ("user_id", ["admin", "ben", "carl-zoe", "zoe"]),
        ("-user_id", ["zoe", "carl-zoe", "ben", "admin"]),
        ("primary_email_address", ["zoe", "ben", "admin", "carl-zoe"]),
        ("-name", ["ben", "zoe", "carl-zoe", "admin"]),
        ("state", ["carl-zoe", "admin", "zoe", "ben"]),
        ("-admin", ["admin", "zoe", "carl-zoe", "ben"]),
        ("-created_at", ["carl-zoe", "ben", "zoe", "admin"]),
    ];
    for (order, ids) in table {
        for path in ["/users", "/search/users"] {
            assert_eq!(stack.get(&format!("{path}?order={order}")).await.user_ids(), ids, "{path} {order}");
        }
    }
}

#[tokio::test]
async fn searches_see_ids_names_and_descriptions_and_no_addresses() {
    let stack = populated().await;
    let table: [(&str, &[&str]); 14] = [
        ("query=zoe", &["ben", "carl-zoe", "zoe"]),
        ("query=ZOE&state=STATE_SUSPENDED", &["ben"]),
        ("id_contains=zoe", &["carl-zoe", "zoe"]),
        ("name_contains=zoe", &["ben", "zoe"]),
        ("description_contains=with%20zoe", &["carl-zoe"]),
        ("query=zoe%40example", &[]),
        ("query=%40", &[]),
        ("state=STATE_REQUESTED&state=STATE_SUSPENDED", &["ben", "carl-zoe"]),
        ("state=4", &["ben"]),
        ("attributes_contain%5Broom%5D=blue", &["carl-zoe"]),
        ("attributes_contain[room]=red", &[]),
        ("attributes_contain[floor]=", &[]),
        ("query=zoe&limit=1&page=2", &["carl-zoe"]),
        ("deleted=true", &[]),
    ];
    for (query, ids) in table {
        assert_eq!(stack.get(&format!("/search/users?{query}")).await.user_ids(), ids, "{query}");
    }
}

#[tokio::test]
async fn deleted_users_are_shown_where_asked_for_only() {
    let stack = populated().await;
    stack.tts.sign_in("ben");
    let key = stack.tts.issue_key("ben");
    stack.tts.delete_person("ben");
    assert_eq!((stack.tts.sessions_of("ben"), stack.tts.person("ben")), (0, None));
    for path in ["/users/ben", "/users/ben/sessions"] {
        assert_eq!(stack.get(path).await.error(), (404, "user_not_found".into(), 5), "{path}");
    }
    assert_eq!(stack.get("/users?deleted=false").await.user_ids(), ["admin", "carl-zoe", "zoe"]);
    for path in ["/users", "/search/users"] {
        let deleted = stack.get(&format!("{path}?deleted=true")).await;
        assert_eq!(deleted.user_ids(), ["ben"]);
        assert!(deleted.json()["users"][0]["deleted_at"].is_string());
    }
    assert_eq!(stack.with(&key, "GET", "/auth_info").await.name(), "api_key_not_found", "it dies with its owner");
}

#[tokio::test]
async fn people_are_set_up_and_named_by_id_or_address() {
    let stack = Stack::start().await;
    stack.tts.add_person(Person::new("Eva.Maria@example.com"));
    assert_eq!(stack.tts.person("eva.maria@EXAMPLE.com").map(|person| person.id), Some("eva-maria".into()));
    stack.tts.sign_in("Eva.Maria@example.com");
    assert_eq!((stack.tts.sessions_of("eva-maria"), stack.tts.people().len()), (1, 3));
    assert_eq!((stack.tts.sessions_of("nobody"), stack.tts.revocations_of("nobody")), (0, 0));
    stack.tts.add_person(Person::new("zoe").email("new@example.com"));
    assert!(stack.tts.person("zoe@example.com").is_none(), "the former address is free again");
    assert_eq!(stack.tts.sessions_of("new@example.com"), 0, "a replaced person has no sessions");
}
