//! What revocations change.

use std::sync::Arc;

use sever::sandbox::ledger::Effect;
use sever::sandbox::okta::Status;

use super::org::*;

#[tokio::test]
async fn both_flags_of_revoke_all_do_what_they_say() {
    // query, classic engine, tokens left, devices left
    let table = [
        ("", false, 2, 0),
        ("", true, 2, 1),
        ("?oauthTokens=true", false, 0, 0),
        ("?oauthTokens=true&forgetDevices=false", false, 0, 1),
        ("?oauthTokens=false&forgetDevices=true", true, 2, 0),
    ];
    for (query, classic, tokens, devices) in table {
        let org = Org::start().await;
        if classic {
            org.okta().use_classic_engine();
        }
        org.okta().issue_tokens(&org.ana, "0oaPortal");
        org.okta().remember_device(&org.ana);
        let reply = org.call("DELETE", &format!("/api/v1/users/{}/sessions{query}", org.ana)).await;
        assert_eq!((reply.status, reply.text.as_str()), (204, ""), "{query}");
        let left = (org.okta().sessions_of(&org.ana), org.okta().tokens_of(&org.ana));
        assert_eq!(left, (0, tokens), "{query}");
        assert_eq!(org.okta().remembered_devices_of(&org.ana), devices, "{query}");
    }
}

#[tokio::test]
async fn revoking_again_is_another_204_and_the_ledger_counts_both() {
    let org = Org::start().await;
    assert_eq!(org.revoke().await.status, 204);
    assert_eq!(org.revoke().await.status, 204);
    assert_eq!(org.okta().revocations_of("ana@example.com"), 2);
    let ended: Vec<Effect> = org.okta().ledger().into_iter().map(|call| call.effect).collect();
    let revoked = |sessions| Effect::UserRevoked { user_id: org.ana.clone(), sessions, tokens: 0, devices: 0 };
    assert_eq!(ended, [revoked(2), revoked(0)]);
}

#[tokio::test]
async fn single_sessions_are_read_and_ended() {
    let org = Org::start().await;
    let id = org.okta().session_ids_of(&org.ana).remove(0);
    let path = format!("/api/v1/sessions/{id}");
    let read = org.call("GET", &path).await.json();
    assert_eq!((read["userId"].as_str(), read["login"].as_str()), (Some(org.ana.as_str()), Some("ana@example.com")));
    assert_eq!(org.call("DELETE", &path).await.status, 204);
    assert_eq!(org.okta().sessions_of(&org.ana), 1);
    assert_eq!(org.call("DELETE", &path).await.code(), "E0000007");
    assert_eq!(org.call("GET", &path).await.code(), "E0000007");
}

#[tokio::test]
async fn a_client_s_refresh_tokens_end_and_its_access_tokens_stay() {
    let org = Org::start().await;
    org.okta().issue_tokens(&org.ana, "0oaPortal");
    org.okta().issue_tokens(&org.ana, "0oaWiki");
    let base = format!("/api/v1/users/{}/clients", org.ana);
    let clients = org.call("GET", &base).await.json();
    let ids: Vec<&str> =
        clients.as_array().expect("a list").iter().filter_map(|one| one["client_id"].as_str()).collect();
    assert_eq!(ids, ["0oaPortal", "0oaWiki"]);
    assert_eq!(org.call("DELETE", &format!("{base}/0oaWiki/tokens")).await.status, 204);
    assert_eq!((org.okta().tokens_of(&org.ana), org.okta().sessions_of(&org.ana)), (3, 2));
}

#[tokio::test]
async fn many_clients_at_once_are_all_counted() {
    let org = Arc::new(Org::start().await);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let org = Arc::clone(&org);
        calls.spawn(async move { org.revoke().await.status });
    }
    assert_eq!(calls.join_all().await, [204; 40]);
    assert_eq!(org.okta().revocations_of(&org.ana), 40);
}

#[tokio::test]
async fn suspending_a_person_ends_their_sessions() {
    let org = Org::start().await;
    org.okta().set_status(&org.ana, Status::Suspended);
    assert_eq!(org.okta().sessions_of(&org.ana), 0);
    assert_eq!(org.revoke().await.status, 204);
}
