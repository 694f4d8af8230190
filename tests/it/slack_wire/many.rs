//! Many users at once, within Slack's real rates.

use std::sync::Arc;
use std::time::Duration;

use sever::domain::{Account, RevokeRequest, Scope};
use sever::provider::{Provider, ProviderError};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::slack::{Device, Operation, Person};
use tokio::task::JoinSet;

use super::org::*;

fn people(org: &Org, count: usize) -> Vec<Person> {
    (0..count).map(|number| org.person(&format!("p{number}@example.com"))).collect()
}

/// Ends everybody's sessions at the same time; the classes of the failures by user.
async fn end(client: &Arc<dyn Provider>, people: &[Person], scope: Scope) -> Vec<(String, ProviderError)> {
    let mut tasks = JoinSet::new();
    for person in people {
        let (client, request) = (Arc::clone(client), RevokeRequest::new(scope.clone()));
        let account = Account::new(person.id.clone(), vec![person.id.clone()]);
        tasks.spawn(async move { (account.id.clone(), client.revoke(&account, &request, None).await) });
    }
    let ended = tasks.join_all().await.into_iter();
    ended.filter_map(|(id, result)| result.err().map(|error| (id, error))).collect()
}

#[tokio::test]
async fn a_crowd_is_ended_within_the_rate_in_a_few_calls() {
    let org = Org::new().await;
    org.slack.limit_rate_by_tier();
    let (crowd, other) = (people(&org, 300), org.person("other@example.com"));
    let client = org.client();
    let failed = end(&client, &crowd, Scope::All).await;
    assert!(failed.is_empty(), "{failed:?}");
    assert!(crowd.iter().all(|person| org.slack.sessions_of(&person.id) == 0));
    assert!(crowd.iter().all(|person| org.slack.revocations_of(&person.id) == 1), "each once");
    assert_eq!(org.slack.sessions_of(&other.id), 3);
    assert_eq!(org.calls("admin.users.session.reset"), 20);
    assert!(org.calls("admin.users.session.resetBulk") <= 3);
    assert!(org.slack.ledger().iter().all(|call| call.status == Some(200)), "Slack never had to say no");
    org.assert_honest();
}

#[tokio::test]
async fn a_crowds_phones_stay_signed_in_where_the_web_is_meant() {
    let org = Org::new().await;
    org.slack.limit_rate_by_tier();
    let crowd = people(&org, 60);
    let failed = end(&org.client(), &crowd, Scope::Web).await;
    assert!(failed.is_empty(), "{failed:?}");
    for person in &crowd {
        let left = [Device::Web, Device::Mobile].map(|device| org.slack.session_ids_on(&person.id, device).len());
        assert_eq!(left, [0, 1]);
    }
}

#[tokio::test]
async fn who_fails_in_the_crowd_is_told_apart_and_ended_singly_later() {
    let org = Org::new().await;
    org.slack.limit_rate_by_tier();
    let client = org.client();
    let crowd = people(&org, 20);
    assert!(end(&client, &crowd, Scope::All).await.is_empty(), "that uses the single calls up");
    let crowd = people(&org, 50);
    org.slack.fail_in_bulk(&crowd[7].id, "user_session_reset_failed");
    let failed = end(&client, &crowd, Scope::All).await;
    assert_eq!(failed.len(), 1);
    assert!(failed[0].0 == crowd[7].id && matches!(failed[0].1, ProviderError::Throttled { .. }), "{failed:?}");
    assert_eq!(org.slack.sessions_of(&crowd[7].id), 3);
    assert!(crowd.iter().filter(|one| one.id != crowd[7].id).all(|one| org.slack.sessions_of(&one.id) == 0));
    org.clock.advance(Duration::from_secs(60));
    assert!(end(&client, &crowd[7..8], Scope::All).await.is_empty());
    assert_eq!(org.slack.sessions_of(&crowd[7].id), 0);
}

#[tokio::test]
async fn the_primary_owner_in_the_crowd_spoils_it_for_nobody_else() {
    let org = Org::new().await;
    org.slack.limit_rate_by_tier();
    let client = org.client();
    assert!(end(&client, &people(&org, 20), Scope::All).await.is_empty());
    let owner = org.slack.person("owner").expect("there");
    let mut crowd = people(&org, 100);
    crowd.insert(31, owner.clone());
    let failed = end(&client, &crowd, Scope::All).await;
    assert!(matches!(&failed[..], [(id, ProviderError::Refused(_))] if *id == owner.id), "{failed:?}");
    assert!(crowd.iter().all(|one| org.slack.sessions_of(&one.id) == 0));
    assert!(org.calls("admin.users.session.resetBulk") <= 20);
}

#[tokio::test]
async fn a_lost_answer_of_the_crowd_is_a_failure_for_each_and_its_repeat_is_safe() {
    let org = Org::new().await;
    let client = org.client();
    let crowd = people(&org, 5);
    for (fault, left) in [(Fault::LostBefore, 3), (Fault::LostAfter, 0)] {
        let throttle = Fault::RateLimit { reset_in_s: 1 };
        org.slack.faults().inject(Injection::once(throttle).on(Operation::SessionReset).times(5));
        org.slack.faults().inject(Injection::once(fault).on(Operation::SessionResetBulk));
        let failed = end(&client, &crowd, Scope::All).await;
        assert_eq!(failed.len(), 5);
        assert!(failed.iter().all(|(_, error)| matches!(error, ProviderError::Unavailable(_))), "{failed:?}");
        assert!(failed.iter().all(|(_, error)| error.report().status.is_none()), "it may have worked: {failed:?}");
        assert!(crowd.iter().all(|one| org.slack.sessions_of(&one.id) == left));
        org.slack.faults().clear();
        org.clock.advance(Duration::from_secs(2));
    }
    assert!(end(&client, &crowd, Scope::All).await.is_empty());
}
