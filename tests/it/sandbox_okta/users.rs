//! Finding users.

use serde_json::json;
use sever::sandbox::okta::{Person, Status};

use super::org::*;

#[tokio::test]
async fn a_user_is_read_by_id_login_or_short_name_and_me_is_the_token_s_owner() {
    let org = Org::start().await;
    org.okta().add_person(Person::new("ben@example.com"));
    org.okta().add_person(Person::new("ben@example.org"));
    org.okta().add_person(Person::new("gone@example.com").status(Status::Deprovisioned));
    let table = [
        (org.ana.as_str(), 200, "ana@example.com"),
        ("ana@example.com", 200, "ana@example.com"),
        ("ANA%40EXAMPLE.COM", 200, "ana@example.com"),
        ("ana", 200, "ana@example.com"),
        ("me", 200, "admin@example.com"),
        ("gone@example.com", 200, "gone@example.com"),
        ("ben", 404, ""),
        ("Ana.Silva@Example.com", 404, ""),
    ];
    for (name, status, login) in table {
        let reply = org.call("GET", &format!("/api/v1/users/{name}")).await;
        assert_eq!(reply.status, status, "{name}");
        assert_eq!(reply.json()["profile"]["login"].as_str().unwrap_or_default(), login, "{name}");
    }
}

#[tokio::test]
async fn search_and_filter_follow_their_own_rules() {
    let org = Org::start().await;
    org.okta().add_person(Person::new("gone@example.com").status(Status::Deprovisioned));
    org.okta().add_person(Person::new("o\"neil@example.com"));
    let (admin, ana, gone) = ("admin@example.com", "ana@example.com", "gone@example.com");
    let id = format!("id eq \"{}\"", org.ana);
    let hits: Vec<(&str, &str, Vec<&str>)> = vec![
        ("search", "profile.email eq \"ana.silva@example.com\"", vec![ana]),
        ("search", "profile.email EQ \"ANA.SILVA@EXAMPLE.COM\"", vec![ana]),
        ("filter", "profile.email eq \"Ana.Silva@Example.com\"", vec![ana]),
        ("filter", "profile.email eq \"ana.silva@example.com\"", vec![]),
        ("filter", "profile.login Eq \"ana@example.com\"", vec![ana]),
        ("search", "profile.email eq \"nobody@example.com\"", vec![]),
        ("search", "profile.login eq \"o\\\"neil@example.com\"", vec!["o\"neil@example.com"]),
        ("search", "status eq \"DEPROVISIONED\"", vec![gone]),
        ("filter", "status eq \"DEPROVISIONED\"", vec![gone]),
        ("search", "profile.lastName sw \"silv\" or profile.login eq \"gone@example.com\"", vec![ana, gone]),
        ("search", "profile.login co \"EXAMPLE\" and not_a_name eq \"x\"", vec!["E0000031"]),
        ("search", "(profile.login co \"example\") and (profile.firstName eq \"ana\")", vec![ana]),
        ("search", "created gt \"2020-01-01T00:00:00.000Z\" and profile.login sw \"a\"", vec![admin, ana]),
        ("filter", "lastUpdated lt \"2020-01-01T00:00:00.000Z\"", vec![]),
        ("filter", &id, vec![ana]),
        ("search", "Profile.email eq \"ana.silva@example.com\"", vec!["E0000031"]),
        ("search", "profile.Email eq \"ana.silva@example.com\"", vec!["E0000031"]),
        ("search", "profile.email ne \"x\"", vec!["E0000031"]),
        ("search", "status co \"ACT\"", vec!["E0000031"]),
        ("search", "profile.email eq ana", vec!["E0000031"]),
        ("search", "profile.email eq \"ana", vec!["E0000031"]),
        ("search", "profile.email eq \"a\" extra", vec!["E0000031"]),
        ("search", "(profile.email eq \"a\"", vec!["E0000031"]),
        ("search", "not (profile.email eq \"a\")", vec!["E0000031"]),
        ("search", "", vec!["E0000031"]),
        ("filter", "profile.email sw \"ana\"", vec!["E0000031"]),
        ("filter", "created eq \"2020-01-01T00:00:00.000Z\"", vec!["E0000031"]),
        ("filter", "profile.email gt \"a\"", vec!["E0000031"]),
        ("q", "an", vec![ana]),
        ("q", "silva", vec![ana]),
        ("q", "gone", vec![]),
    ];
    for (parameter, expression, expected) in hits {
        let reply = org.call("GET", &format!("/api/v1/users?{parameter}={}", encoded(expression))).await;
        match expected.as_slice() {
            ["E0000031"] => assert_eq!((reply.status, reply.code().as_str()), (400, "E0000031"), "{expression}"),
            logins => {
                assert_eq!((reply.status, reply.logins().as_slice()), (200, &strings(logins)[..]), "{expression}")
            }
        }
    }
    let everybody = org.call("GET", "/api/v1/users").await.logins();
    assert!(!everybody.contains(&gone.to_owned()), "a bare listing leaves out the deprovisioned");
}

#[tokio::test]
async fn listings_sort_and_project() {
    let org = Org::start().await;
    let search = encoded("profile.login co \"example\"");
    let sorted = org.call("GET", &format!("/api/v1/users?search={search}&sortBy=profile.login&sortOrder=desc")).await;
    assert_eq!(sorted.logins(), ["ana@example.com", "admin@example.com"]);
    let fields = encoded("status,profile:(firstName)");
    let reply = org.call("GET", &format!("/api/v1/users?search={search}&fields={fields}")).await.json();
    assert_eq!(reply[1], json!({"id": org.ana, "status": "ACTIVE", "profile": {"firstName": "Ana"}}));
    let refused = org.call("GET", &format!("/api/v1/users?search={search}&sortBy=profile.login&sortOrder=up")).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn pages_are_followed_by_their_links_in_either_form() {
    for joined in [false, true] {
        let org = Org::start().await;
        (0..3).for_each(|number| org.okta().add_person(Person::new(&format!("person{number}@example.com"))));
        if joined {
            org.okta().join_link_headers();
        }
        let search = encoded("profile.login co \"example\"");
        let (mut path, mut seen, mut pages) = (format!("/api/v1/users?search={search}&limit=2"), Vec::new(), 0);
        loop {
            let reply = org.call("GET", &path).await;
            assert_eq!(reply.all("link").len() == 1, joined || pages == 2, "{:?}", reply.all("link"));
            seen.extend(reply.logins());
            pages += 1;
            let Some(next) = next_link(&reply) else { break };
            path = next.trim_start_matches(&org.okta().url()).to_owned();
        }
        assert_eq!((pages, seen.len()), (3, 5));
        let tampered = org.call("GET", &path.replace("limit=2", "limit=3")).await;
        assert_eq!(tampered.code(), "E0000002", "a cursor belongs to its query");
    }
}

#[tokio::test]
async fn q_ends_after_ten_without_a_next_page() {
    let org = Org::start().await;
    (0..12).for_each(|number| org.okta().add_person(Person::new(&format!("person{number}@example.com"))));
    let reply = org.call("GET", "/api/v1/users?q=person").await;
    assert_eq!((reply.logins().len(), next_link(&reply)), (10, None));
    assert_eq!(org.call("GET", "/api/v1/users?q=person&limit=3").await.logins().len(), 3);
}
