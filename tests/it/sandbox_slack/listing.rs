//! Listings of sessions: whose, in which shape, in which pages.

use serde_json::json;
use sever::sandbox::slack::Person;

use super::org::*;

#[tokio::test]
async fn a_row_tells_its_clients_and_no_time() {
    let org = Org::start().await;
    let ids = org.slack.session_ids_in("ana", &org.teams[0]);
    org.slack.change_client(&ids[1]);
    let reply = org.list().await;
    assert_eq!(reply.session_ids(), ids);
    let rows = &reply.json()["active_sessions"];
    let names = |row: usize| rows[row].as_object().expect("a row").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(0), ["created", "session_id", "team_id", "user_id"]);
    assert_eq!(names(1), ["created", "recent", "session_id", "team_id", "user_id"]);
    let client: Vec<&String> = rows[1]["recent"].as_object().expect("a client").keys().collect();
    assert_eq!(client, ["device_hardware", "ip", "os", "os_version", "slack_client_version"]);
    assert_eq!(
        (&rows[0]["user_id"], &rows[0]["team_id"], &rows[0]["created"]["os"], &rows[1]["created"]["os"]),
        (&json!(org.ana), &json!(org.teams[0]), &json!("Mac OS"), &json!("iOS"))
    );
    assert_eq!(reply.json()["response_metadata"], json!({"next_cursor": ""}));
}

#[tokio::test]
async fn a_listing_is_of_one_workspace_or_of_everybody() {
    let org = Org::start().await;
    org.slack.sign_in("owner");
    for (team, count) in [(0, 2), (1, 1)] {
        let fields = [("team_id", org.teams[team].as_str()), ("user_id", &org.ana)];
        assert_eq!(org.form(LIST, &fields).await.session_ids().len(), count);
    }
    let everybody = org.form(LIST, &[("cursor", "")]).await;
    assert_eq!(everybody.session_ids(), [org.slack.session_ids_of("ana"), org.slack.session_ids_of("owner")].concat());
    org.reset().await;
    assert_eq!(org.list().await.code(), "no_active_sessions");
    assert_eq!(org.form(LIST, &[]).await.session_ids(), org.slack.session_ids_of("owner"));
    org.slack.deactivate("owner");
    assert_eq!(org.form(LIST, &[]).await.code(), "no_active_sessions");
}

/// The ids of every page and how many pages there were.
async fn walk(org: &Org, limit: &str, team: &str) -> (Vec<String>, usize) {
    let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let fields = [("team_id", team), ("user_id", &org.ana), ("limit", limit), ("cursor", &cursor)];
        let reply = org.form(LIST, &fields).await;
        seen.extend(reply.session_ids());
        (pages, cursor) = (pages + 1, reply.next_cursor());
        if cursor.is_empty() {
            return (seen, pages);
        }
        assert!(cursor.contains('=') && cursor.contains('+'), "a client has to encode it");
    }
}

#[tokio::test]
async fn pages_follow_the_limit_unless_they_are_short_or_empty() {
    let org = Org::start().await;
    for _ in 0..5 {
        org.slack.sign_in("ana");
    }
    let (team, all) = (&org.teams[0], org.slack.session_ids_in("ana", &org.teams[0]));
    assert_eq!(walk(&org, "3", team).await, (all.clone(), 3));
    assert_eq!(walk(&org, "7", team).await, (all.clone(), 1), "no cursor to a page that would be empty");
    org.slack.cap_pages(2);
    assert_eq!(walk(&org, "1000", team).await, (all.clone(), 4));
    org.slack.insert_empty_pages();
    assert_eq!(walk(&org, "3", team).await, (all.clone(), 8));
    org.slack.omit_last_cursor();
    assert_eq!(walk(&org, "3", team).await, (all, 8));
    org.reset().await;
    assert_eq!(org.list().await.code(), "no_active_sessions");
}

#[tokio::test]
async fn the_end_may_be_told_by_a_missing_field() {
    let org = Org::start().await;
    org.slack.omit_last_cursor();
    assert!(org.list().await.json().get("response_metadata").is_none());
    let first = org.form(LIST, &[("limit", "1")]).await;
    assert!(!first.next_cursor().is_empty());
}

#[tokio::test]
async fn a_cursor_belongs_to_its_listing_and_stands_still_while_sessions_end() {
    let org = Org::start().await;
    org.slack.add_person(Person::new("ben@example.com"));
    org.slack.sign_in("ben");
    let of_ana = [("team_id", org.teams[0].as_str()), ("user_id", &org.ana), ("limit", "1")];
    let first = org.form(LIST, &of_ana).await;
    let cursor = first.next_cursor();
    let ben = org.slack.person("ben").expect("Ben").id;
    for other in [vec![], vec![("team_id", org.teams[0].as_str()), ("user_id", ben.as_str())]] {
        let reply = org.form(LIST, &[other, vec![("cursor", cursor.as_str())]].concat()).await;
        assert_eq!(reply.code(), "invalid_cursor");
    }
    org.invalidate(&first.session_ids()[0]).await;
    let second = org.form(LIST, &[of_ana.to_vec(), vec![("cursor", cursor.as_str())]].concat()).await;
    assert_eq!(second.session_ids(), org.slack.session_ids_in("ana", &org.teams[0]), "none is skipped");
    org.reset().await;
    let rest = org.form(LIST, &[of_ana.to_vec(), vec![("cursor", cursor.as_str())]].concat()).await;
    assert_eq!(rest.session_ids(), [""; 0], "a later page may be empty");
}
