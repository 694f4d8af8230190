//! Finding people, and checking the credential.

use serde_json::json;
use sever::domain::Subject;
use sever::provider::ProviderError;
use sever::sandbox::faults::Fault;
use sever::sandbox::slack::{Permission, Person};

use super::org::*;

#[tokio::test]
async fn each_door_leads_to_the_account_with_every_name_and_workspace() {
    let org = Org::new().await;
    let ana = org.person("Ana.Silva+slack@example.com");
    let client = org.client();
    for subject in [id(&ana.id), email(&ana.email), email("ana.silva+SLACK@EXAMPLE.com")] {
        let account = client.resolve(&subject).await.expect("resolved").expect("found");
        assert_eq!(account.id, ana.id);
        assert!([&ana.id, &ana.name, &ana.email].iter().all(|name| account.identifiers.contains(name)));
        assert_eq!(account.teams, org.teams);
    }
    org.assert_honest();
}

#[tokio::test]
async fn strangers_near_misses_and_user_names_are_nobody() {
    let org = Org::new().await;
    org.person("ana@example.com");
    let client = org.client();
    for near in ["an@example.com", "ana@example.com.evil.example", "ana@example", "аna@example.com", "ana"] {
        assert!(matches!(client.resolve(&email(near)).await, Ok(None)), "{near}");
    }
    assert!(matches!(client.resolve(&id("W0NOBODY000")).await, Err(ProviderError::UnknownAccount(_))));
    assert!(matches!(client.resolve(&id("ana")).await, Err(ProviderError::Unclear(_))));
    let by_name = Subject { username: Some("ana".to_owned()), ..Subject::default() };
    assert!(matches!(client.resolve(&by_name).await, Err(ProviderError::Unclear(_))));
}

#[tokio::test]
async fn who_was_deactivated_is_found_by_id_alone() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    org.slack.deactivate("ana");
    assert!(matches!(client.resolve(&email(&ana.email)).await, Ok(None)));
    assert_eq!(account(&client, &ana).await.id, ana.id);
}

#[tokio::test]
async fn an_organization_whose_lookups_are_restricted_is_no_unknown_person() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    org.slack.refuse_org_lookups();
    let error = client.resolve(&email(&ana.email)).await.expect_err("refused");
    assert!(matches!(error, ProviderError::Forbidden(_)), "{error:?}");
    assert_eq!(account(&client, &ana).await.id, ana.id, "by id it works");
}

#[tokio::test]
async fn a_user_without_workspaces_to_be_seen_is_never_wholly_seen() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    assert!(client.sessions(&account(&client, &ana).await).await.expect("a look").expect("some").complete);
    org.slack.withhold_workspaces();
    let account = account(&client, &ana).await;
    assert!(account.teams.is_empty());
    let look = client.sessions(&account).await.expect("a look").expect("some");
    assert_eq!((look.complete, look.sessions.len()), (false, 3));
}

#[tokio::test]
async fn a_check_tells_what_a_token_lacks() {
    let org = Org::new().await;
    let client = org.client();
    let report = client.check().await.expect("a report");
    assert!(
        report.identity.contains("admin") && report.missing.is_empty() && report.unchecked.is_empty(),
        "{report:?}"
    );
    assert!(report.excess.is_empty(), "{report:?}");
    for (denied, word) in
        [(Permission::UsersReadEmail, "users:read.email"), (Permission::AdminUsersRead, "admin.users:read")]
    {
        org.slack.deny(TOKEN, denied);
        let missing = client.check().await.expect("a report").missing;
        assert!(missing.iter().any(|missing| missing.starts_with(word)), "{missing:?}");
        org.slack.allow(TOKEN, denied);
    }
    for denied in [Permission::AdminUsersWrite, Permission::UsersRead, Permission::AdminRole] {
        org.slack.deny(TOKEN, denied);
        let error = client.check().await.expect_err("of no use");
        assert!(matches!(error, ProviderError::Unauthorized(_)), "{denied:?}: {error:?}");
        org.slack.allow(TOKEN, denied);
    }
    assert_eq!(org.calls("admin.users.session.reset"), 0);
    org.assert_honest();
}

#[tokio::test]
async fn wrong_kinds_of_token_and_plan_are_told_apart() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client();
    let account = account(&client, &ana).await;
    org.slack.use_business_plan();
    assert!(matches!(client.check().await, Err(ProviderError::Misconfigured(_))));
    let error = client.revoke(&account, &all(), None).await.expect_err("no such feature");
    assert!(matches!(error, ProviderError::Misconfigured(_)), "{error:?}");

    let org = Org::new().await;
    org.slack.accept_workspace_token(TOKEN, "admin@example.com", &org.teams[0]);
    assert!(matches!(org.client().check().await, Err(ProviderError::Forbidden(_))));
    org.slack.accept_bot_token(TOKEN, "admin@example.com");
    let error = org.client().check().await.expect_err("a bot");
    assert!(matches!(&error, ProviderError::Unauthorized(_)) && error.to_string().contains("bot"), "{error:?}");
}

#[tokio::test]
async fn a_search_that_lags_finds_nobody_and_says_so() {
    let org = Org::new().await;
    let ana = org.person("ana@example.com");
    let client = org.client_with(json!({"team_ids": []}));
    org.slack.faults().inject(Fault::StaleSearch { user_id: Some(ana.id.clone()) });
    assert!(matches!(client.resolve(&email(&ana.email)).await, Ok(None)));
    assert!(matches!(client.resolve(&email(&ana.email)).await, Ok(Some(_))));
    let moved = Person { email: "ana.new@example.com".to_owned(), ..ana.clone() };
    org.slack.add_person(moved);
    assert!(matches!(client.resolve(&email(&ana.email)).await, Ok(None)), "the address is nobody's any more");
}
