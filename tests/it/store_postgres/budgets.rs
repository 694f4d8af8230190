//! What two replicas count and try together: people in budgets, and a provider that fails.

use std::time::Duration;

use futures_util::future::join_all;
use sever::domain::{Account, Budget, Claim, HoldReason, Next, Subject};
use sever::store::{Bound, CircuitWait, ClaimRequest, JobFilter, JobStore, Operations, PostgresStore};

use super::{Pair, admit, claim};
use crate::support::store::{LEASE, Mail, at, name, okta, settlement};

fn budget(users: u32) -> Budget {
    let per = Duration::from_secs(600);
    Budget { users, per, source: None, provider: None, rule: None, reserve: None }
}

fn shown(id: &str, address: &str) -> Account {
    Account::new(id, vec![id.to_owned(), address.to_owned()])
}

/// Each at the one or the other.
async fn bind_all(pair: &Pair, claims: &[Claim], account: impl Fn(&Claim) -> Account, budget: &Budget) -> Vec<Bound> {
    let binding = claims.iter().enumerate().map(|(number, claim)| {
        let (store, account) = (pair.both()[number % 2], account(claim));
        async move { store.bind(claim, &account, None, std::slice::from_ref(budget)).await.expect("bound") }
    });
    join_all(binding).await
}

fn proceeding(bound: &[Bound]) -> usize {
    bound.iter().filter(|bound| **bound == Bound::Proceed).count()
}

async fn used(store: &PostgresStore, budget: &Budget) -> u64 {
    store.budget_use(std::slice::from_ref(budget)).await.expect("an answer")[0]
}

fn by_address(claim: &Claim) -> Account {
    let address = claim.subject.email.as_deref().expect("an address");
    shown(&format!("id-{address}"), address)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_share_the_room_of_a_budget() {
    let (pair, budget) = (Pair::new(), budget(50));
    let jobs = (0..200).map(|number| okta(&format!("p{number}@example.com")));
    admit(&pair.one, &pair.clock, &Mail::new("d").alert("a", jobs)).await;
    let claims = claim(&pair.one, 200).await;
    assert_eq!(claims.len(), 200);
    let bound = bind_all(&pair, &claims, by_address, &budget).await;
    assert_eq!(proceeding(&bound), 50);
    assert!(bound.iter().all(|bound| matches!(bound, Bound::Proceed | Bound::Held(_))), "{bound:?}");
    assert_eq!((used(&pair.one, &budget).await, used(&pair.other, &budget).await), (50, 50));
    let held = JobFilter { hold_reason: Some(HoldReason::Budget), limit: 1000, ..JobFilter::default() };
    assert_eq!(pair.other.jobs(held).await.expect("jobs").items.len(), 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_whom_both_act_on_at_once_is_one_person() {
    let (pair, budget) = (Pair::new(), budget(20));
    let person = |provider: &str, number: usize| {
        at(provider, Subject { email: Some(format!("p{number}@example.com")), ..Subject::default() })
    };
    let jobs = (0..20).flat_map(|number| [person("okta", number), person("slack", number)]);
    admit(&pair.one, &pair.clock, &Mail::new("d").alert("a", jobs)).await;
    let slack = ClaimRequest { provider: name("slack"), limit: 20, lease: LEASE };
    let (okta, slack) = (claim(&pair.one, 20).await, pair.other.claim(slack).await.expect("claims"));
    let claims: Vec<Claim> = okta.into_iter().zip(slack).flat_map(|(one, other)| [one, other]).collect();
    let bound = bind_all(&pair, &claims, by_address, &budget).await;
    assert_eq!((claims.len(), proceeding(&bound), used(&pair.one, &budget).await), (40, 40, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_about_other_accounts_are_counted_anew_by_both_without_an_error() {
    let (pair, budget) = (Pair::new(), budget(60));
    let jobs = (0..40).map(|number| okta(&format!("p{number}@example.com")));
    admit(&pair.one, &pair.clock, &Mail::new("d").alert("a", jobs)).await;
    let claims = claim(&pair.one, 40).await;
    assert_eq!(proceeding(&bind_all(&pair, &claims, by_address, &budget).await), 40);
    for claim in &claims {
        let again = settlement(claim, Next::Retry { due_at: claim.created_at, failed: true });
        pair.one.settle(claim, &again).await.expect("settled");
    }
    let fresh = (100..120).map(|number| okta(&format!("p{number}@example.com")));
    admit(&pair.other, &pair.clock, &Mail::new("e").alert("b", fresh)).await;
    let claims = claim(&pair.other, 100).await;
    assert_eq!(claims.len(), 60);
    let another = |claim: &Claim| {
        let address = claim.subject.email.as_deref().expect("an address");
        let prefix = if claim.counted { "another-" } else { "" };
        shown(&format!("{prefix}{address}"), &format!("{prefix}{address}"))
    };
    let bound = bind_all(&pair, &claims, another, &budget).await;
    assert_eq!((proceeding(&bound), used(&pair.one, &budget).await), (20, 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_both_tries_a_provider_that_failed() {
    let pair = Pair::new();
    let wait = CircuitWait { first: Duration::from_secs(5), longest: Duration::from_secs(60) };
    let okta = name("okta");
    let mut trial = None;
    for round in 0..10_u32 {
        // Both have seen it fail.
        let openings =
            join_all(pair.both().map(|store| store.open_circuit(&okta, trial, "503".to_owned(), wait))).await;
        let waits: Vec<_> = openings.into_iter().map(|it| it.expect("an answer").expect("open")).collect();
        let doubled = wait.longest.min(wait.first * 2_u32.pow(round));
        assert_eq!(waits, [doubled, doubled], "round {round}");
        pair.clock.advance(doubled);
        let tries = join_all((0..20).map(|number| pair.both()[number % 2].try_circuit(&okta, LEASE))).await;
        let trials: Vec<_> = tries.into_iter().filter_map(|it| it.expect("an answer")).collect();
        assert_eq!(trials.len(), 1, "round {round}");
        trial = trials.first().copied();
    }
}
