//! Budgets: distinct people in a sliding time, counted in the transaction before the first call, whatever happens.

use std::time::Duration;

use sever::audit::Actor;
use sever::domain::{
    Account, Budget, Claim, DeadReason, HoldReason, JobId, JobState, NewJob, Next, Outcome, Reserve, Severity, Subject,
};
use sever::store::{Bound, Consent, StoreError};

use crate::support::store::{Bench, Changed, DAY, LEASE, Mail, SECOND, at, contract_tests, okta, okta_id, operator};

const PER: Duration = Duration::from_secs(600);

fn budget(users: u32) -> Budget {
    Budget { users, per: PER, source: None, provider: None, rule: None, reserve: None }
}

fn of_source(source: &str, users: u32) -> Budget {
    Budget { source: Some(source.parse().expect("a name")), ..budget(users) }
}

fn of_provider(provider: &str, users: u32) -> Budget {
    Budget { provider: Some(provider.parse().expect("a name")), ..budget(users) }
}

fn of_rule(rule: &str, users: u32) -> Budget {
    Budget { rule: Some(rule.to_owned()), ..budget(users) }
}

/// An account that the provider shows with these names.
fn shown(id: &str, names: &[&str]) -> Account {
    Account::new(id, names.iter().map(|&name| name.to_owned()).collect())
}

async fn bind(bench: &Bench, claim: &Claim, account: &Account, budgets: &[Budget]) -> Bound {
    bench.jobs().bind(claim, account, None, budgets).await.expect("bound")
}

/// A job of its own, up to the moment before its call.
async fn act(bench: &Bench, job: NewJob, account: &Account, budgets: &[Budget]) -> Bound {
    act_through(bench, "edr", job, account, budgets).await.1
}

async fn act_through(
    bench: &Bench,
    source: &str,
    job: NewJob,
    account: &Account,
    budgets: &[Budget],
) -> (Claim, Bound) {
    let provider = job.provider.to_string();
    let name = JobId::new().to_string();
    bench.admit(&Mail::new(&name).through(source).alert(&name, [job])).await;
    let claim = bench.claim_one(&provider).await;
    let bound = bind(bench, &claim, account, budgets).await;
    if bound == Bound::Proceed {
        bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    }
    (claim, bound)
}

/// Somebody whom nobody else shares a name with.
async fn act_on(bench: &Bench, who: &str, budgets: &[Budget]) -> Bound {
    let address = format!("{who}@example.com");
    act(bench, okta(&address), &shown(who, &[who, &address]), budgets).await
}

async fn used(bench: &Bench, budget: &Budget) -> u64 {
    bench.ops().budget_use(std::slice::from_ref(budget)).await.expect("an answer")[0]
}

#[track_caller]
fn assert_held(bound: &Bound) -> String {
    match bound {
        Bound::Held(words) => words.clone(),
        other => panic!("not held: {other:?}"),
    }
}

async fn whoever_finds_no_room_waits_for_a_person(bench: Bench) {
    let budgets = [budget(2)];
    for who in ["ana", "bob"] {
        assert_eq!(act_on(&bench, who, &budgets).await, Bound::Proceed);
    }
    let words = assert_held(&act_on(&bench, "eve", &budgets).await);
    let job = bench.all_jobs().await.remove(0);
    assert_eq!((job.state, job.hold_reason, job.due_at), (JobState::Held, Some(HoldReason::Budget), None));
    assert_eq!((job.account_id.as_deref(), job.note.as_deref()), (Some("eve"), Some(words.as_str())));
    assert!(words.contains("2 people per 10m") && words.contains("2 of 2") && words.contains("approve"), "{words}");
    assert_eq!(bench.story(job.id).await, ["claimed", "held"]);
    let row = bench.audit().await.pop().expect("a row");
    assert_eq!((row.detail["hold_reason"].as_str(), row.detail["reason"].as_str()), (Some("budget"), Some(&*words)));

    bench.advance(DAY);
    assert!(bench.claim("okta", 10).await.is_empty(), "time releases nobody");
    assert!(matches!(bench.ops().requeue(job.id, operator(), String::new()).await, Err(StoreError::Conflict(_))));
    assert_eq!(used(&bench, &budgets[0]).await, 0);
}

async fn approval_goes_past_the_budget_and_counts(bench: Bench) {
    let budgets = [budget(1), of_provider("okta", 1)];
    act_on(&bench, "ana", &budgets).await;
    assert_held(&act_on(&bench, "eve", &budgets).await);
    let held = bench.all_jobs().await.remove(0).id;
    bench.ops().approve(held, operator(), Consent::default()).await.expect("approved");
    let claim = bench.claim_one("okta").await;
    assert_eq!(bind(&bench, &claim, &shown("eve", &["eve@example.com"]), &budgets).await, Bound::Proceed);
    assert_eq!((used(&bench, &budgets[0]).await, used(&bench, &budgets[1]).await), (2, 2));
    assert_held(&act_on(&bench, "bob", &budgets).await);
    bench.advance(PER);
    assert_eq!(act_on(&bench, "cyd", &budgets).await, Bound::Proceed, "one that is over its size empties all the same");
    assert_eq!(used(&bench, &budgets[0]).await, 1);
}

async fn consent_to_a_rule_is_no_consent_to_pass_a_budget(bench: Bench) {
    let budgets = [budget(1)];
    act_on(&bench, "ana", &budgets).await;
    let job = bench.job("b", okta("eve@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Held(HoldReason::Approval)).await;
    bench.ops().approve(job, operator(), Consent::default()).await.expect("approved");
    let claim = bench.claim_one("okta").await;
    assert_held(&bind(&bench, &claim, &shown("eve", &["eve@example.com"]), &budgets).await);
}

async fn one_person_at_many_providers_takes_one_place(bench: Bench) {
    let budgets = [budget(1), of_provider("slack", 1)];
    assert_eq!(act_on(&bench, "ana", &budgets).await, Bound::Proceed);
    let spellings = [("slack", "W1", "ANA@Example.com"), ("chat", "c1", "ana@example.com")];
    for (provider, id, address) in spellings {
        let job = at(provider, Subject { email: Some(address.to_owned()), ..Subject::default() });
        assert_eq!(act(&bench, job, &shown(id, &[id, address]), &budgets).await, Bound::Proceed, "{provider}");
    }
    assert_eq!((used(&bench, &budgets[0]).await, used(&bench, &budgets[1]).await), (1, 1));
    // A further address that one of them shows is theirs too.
    let more = shown("l1", &["home@example.com", "ana@example.com"]);
    let job = |provider: &str| at(provider, Subject { id: Some("x1".to_owned()), ..Subject::default() });
    assert_eq!(act(&bench, job("lorawan"), &more, &budgets).await, Bound::Proceed);
    let other = shown("h1", &["home@example.com"]);
    assert_eq!(act(&bench, job("cloud"), &other, &budgets).await, Bound::Proceed);
    assert_eq!(used(&bench, &budgets[0]).await, 1);
}

async fn whoever_may_be_somebody_else_is_counted(bench: Bench) {
    let budgets = [budget(1)];
    act_on(&bench, "ana", &budgets).await;
    let slack = |name: &str| at("slack", Subject { email: Some(name.to_owned()), ..Subject::default() });
    // The alert says that it is her, and the provider does not; user names are somebody else's everywhere.
    assert_held(&act(&bench, slack("ana@example.com"), &shown("W1", &["W1"]), &budgets).await);
    assert_held(&act(&bench, slack("ana@example.com"), &shown("W2", &["ana"]), &budgets).await);
    assert_held(&act(&bench, slack("x@example.com"), &shown("ana", &["ana"]), &budgets).await);
}

async fn an_address_that_two_accounts_share_makes_them_no_person(bench: Bench) {
    let budgets = [budget(3)];
    let shared = "helpdesk@example.com";
    for id in ["00u1", "00u2"] {
        assert_eq!(act(&bench, okta_id(id), &shown(id, &[id, shared]), &budgets).await, Bound::Proceed);
    }
    assert_eq!(used(&bench, &budgets[0]).await, 2);
    // Each is known again by its account.
    assert_eq!(act(&bench, okta_id("00u2"), &shown("00u2", &["00u2", shared]), &budgets).await, Bound::Proceed);
    assert_eq!(used(&bench, &budgets[0]).await, 2);
    assert_eq!(act(&bench, okta_id("00u3"), &shown("00u3", &["00u3", shared]), &budgets).await, Bound::Proceed);
    assert_held(&act(&bench, okta_id("00u4"), &shown("00u4", &["00u4", shared]), &budgets).await);
}

async fn no_chain_of_addresses_gives_a_person_two_accounts_at_one_provider(bench: Bench) {
    let budgets = [budget(1)];
    let chain = |number: usize| [format!("a{number}@example.com"), format!("a{}@example.com", number + 1)];
    let mut acted = 0;
    for number in 0..10 {
        let [one, next] = chain(number);
        let (provider, id) = (["okta", "slack"][number % 2], format!("x{number}"));
        let job = at(provider, Subject { id: Some(id.clone()), ..Subject::default() });
        if act(&bench, job, &shown(&id, &[&one, &next]), &budgets).await == Bound::Proceed {
            acted += 1;
        }
    }
    assert_eq!(acted, 2, "one account at each of two providers");
}

async fn a_retry_is_not_counted_again(bench: Bench) {
    let budgets = [budget(1)];
    let ana = shown("ana", &["ana@example.com"]);
    bench.job("a", okta("ana@example.com")).await;
    for round in 0..4 {
        let claim = bench.claim_one("okta").await;
        assert_eq!(bind(&bench, &claim, &ana, &budgets).await, Bound::Proceed, "round {round}");
        bench.settle(&claim, Next::Retry { due_at: bench.now() + PER, failed: true }).await;
        assert_eq!(used(&bench, &budgets[0]).await, u64::from(round == 0));
        bench.advance(PER);
    }
    // Her place is free, and her retry needs none.
    assert_eq!(act_on_urgently(&bench, "eve", &budgets).await, Bound::Proceed);
    let claim = bench.claim_one("okta").await;
    assert_eq!(bind(&bench, &claim, &ana, &budgets).await, Bound::Proceed);
}

async fn act_on_urgently(bench: &Bench, who: &str, budgets: &[Budget]) -> Bound {
    let address = format!("{who}@example.com");
    let job = okta(&address).severity(Severity::Critical);
    let name = JobId::new().to_string();
    bench.admit(&Mail::new(&name).alert(&name, [job])).await;
    let claims = bench.claim("okta", 10).await;
    let mut bound = Bound::Busy;
    for claim in &claims {
        if claim.subject.email.as_deref() == Some(&address) {
            bound = bind(bench, claim, &shown(who, &[&address]), budgets).await;
            bench.settle(claim, Next::Done(Outcome::Confirmed)).await;
        } else {
            bench.settle(claim, Next::Release).await;
        }
    }
    bound
}

async fn the_time_slides_from_the_last_call(bench: Bench) {
    let budgets = [budget(2)];
    act_on(&bench, "ana", &budgets).await;
    bench.advance(PER / 2);
    act_on(&bench, "bob", &budgets).await;
    // She is called for again: she is one of those of the last ten minutes for longer.
    assert_eq!(act_on(&bench, "ana", &budgets).await, Bound::Proceed);
    bench.advance(PER / 2);
    assert_held(&act_on(&bench, "eve", &budgets).await);
    assert_eq!(used(&bench, &budgets[0]).await, 2);
    bench.advance(PER / 2 - SECOND);
    assert_held(&act_on(&bench, "eve", &budgets).await);
    bench.advance(SECOND);
    assert_eq!(act_on(&bench, "eve", &budgets).await, Bound::Proceed);
    assert_eq!(used(&bench, &budgets[0]).await, 1);
}

async fn a_budget_counts_what_it_names(bench: Bench) {
    let budgets = [of_source("edr", 1), of_provider("slack", 1), of_rule("stolen session", 3)];
    let slack = |name: &str| at("slack", Subject { email: Some(name.to_owned()), ..Subject::default() });
    let through = async |source: &str, job: NewJob, who: &str| {
        act_through(&bench, source, job, &shown(who, &[who]), &budgets).await.1
    };
    assert_eq!(through("edr", okta("a@x"), "a").await, Bound::Proceed);
    assert!(assert_held(&through("edr", okta("b@x"), "b").await).contains("from edr"));
    assert_eq!(through("siem", okta("b@x"), "b").await, Bound::Proceed);
    assert_eq!(through("siem", slack("c@x"), "c").await, Bound::Proceed);
    assert!(assert_held(&through("siem", slack("d@x"), "d").await).contains("at slack"));
    assert!(assert_held(&through("siem", okta("e@x"), "e").await).contains("stolen session"));
    let other = NewJob { rules: vec!["other".to_owned()], ..okta("f@x") };
    assert_eq!(through("siem", other, "f").await, Bound::Proceed);
    let both = NewJob { rules: vec!["other".to_owned(), "stolen session".to_owned()], ..okta("g@x") };
    assert_held(&through("siem", both, "g").await);
}

async fn a_flooded_budget_of_one_source_keeps_no_other_from_being_heard(bench: Bench) {
    let budgets = [of_source("edr", 1)];
    act_on(&bench, "ana", &budgets).await;
    let job = bench.job("flood", okta("bob@example.com")).await;
    let asked = bench.admit(&Mail::new("honest").through("siem").alert("honest", [okta("bob@example.com")])).await;
    assert_eq!(asked.alerts[0].jobs[0].id, job, "one job for both");
    let claim = bench.claim_one("okta").await;
    assert_eq!(bind(&bench, &claim, &shown("bob", &["bob"]), &budgets).await, Bound::Proceed);
    let and_siem = [of_source("edr", 1), of_source("siem", 0)];
    bench.job("more", okta("eve@example.com")).await;
    bench.admit(&Mail::new("too").through("siem").alert("too", [okta("eve@example.com")])).await;
    let claim = bench.claim_one("okta").await;
    assert_held(&bind(&bench, &claim, &shown("eve", &["eve"]), &and_siem).await);
}

async fn a_reserve_is_for_the_grave(bench: Bench) {
    let reserve = Some(Reserve { severity: Severity::Critical, users: 1 });
    let budgets = [Budget { reserve, ..budget(3) }];
    for who in ["ana", "bob"] {
        assert_eq!(act_on(&bench, who, &budgets).await, Bound::Proceed);
    }
    assert!(assert_held(&act_on(&bench, "cyd", &budgets).await).contains("1 are kept"));
    assert_eq!(act_on_urgently(&bench, "dan", &budgets).await, Bound::Proceed);
    let job = okta("eve@example.com").severity(Severity::Critical);
    assert_held(&act(&bench, job, &shown("eve", &["eve"]), &budgets).await);
}

async fn a_restart_forgets_nobody(mut bench: Bench) {
    let budgets = [budget(2)];
    act_on(&bench, "ana", &budgets).await;
    bench.reopen();
    assert_eq!(used(&bench, &budgets[0]).await, 1);
    assert_eq!(act_on(&bench, "ana", &budgets).await, Bound::Proceed);
    assert_eq!(act_on(&bench, "bob", &budgets).await, Bound::Proceed);
    bench.reopen();
    assert_held(&act_on(&bench, "eve", &budgets).await);
}

async fn a_crash_after_the_call_counts_once(mut bench: Bench) {
    let budgets = [budget(1)];
    let ana = shown("ana", &["ana@example.com"]);
    bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(bind(&bench, &claim, &ana, &budgets).await, Bound::Proceed);
    bench.reopen();
    // With replicas a lease outlives the process that holds it.
    bench.advance(LEASE);
    let claim = bench.claim_one("okta").await;
    assert!(claim.counted);
    assert_eq!(bind(&bench, &claim, &ana, &budgets).await, Bound::Proceed);
    assert_eq!(used(&bench, &budgets[0]).await, 1);
    bench.advance(LEASE);
    let claim = bench.claim_one("okta").await;
    assert_eq!(bind(&bench, &claim, &ana, &budgets).await, Bound::Proceed, "a lost lease is no second person");
    assert_eq!(used(&bench, &budgets[0]).await, 1);
}

async fn workers_that_race_share_the_room(bench: Bench) {
    let budgets = [budget(5), of_provider("okta", 7)];
    let mail = (0..40).map(|number| okta(&format!("p{number}@example.com")));
    bench.admit(&Mail::new("d").alert("a", mail)).await;
    let claims = bench.claim("okta", 40).await;
    let binding = claims.iter().map(|claim| {
        let id = claim.subject.email.clone().expect("an address");
        let (jobs, budgets) = (bench.jobs().clone(), &budgets);
        async move { jobs.bind(claim, &shown(&id, &[&id]), None, budgets).await.expect("bound") }
    });
    let bound = futures_util::future::join_all(binding).await;
    assert_eq!(bound.iter().filter(|bound| **bound == Bound::Proceed).count(), 5);
    let held = bench.all_jobs().await.into_iter().filter(|job| job.hold_reason == Some(HoldReason::Budget)).count();
    assert_eq!((held, used(&bench, &budgets[0]).await, used(&bench, &budgets[1]).await), (35, 5, 5));
}

async fn without_budgets_nobody_is_counted(bench: Bench) {
    for who in ["ana", "bob"] {
        assert_eq!(act_on(&bench, who, &[]).await, Bound::Proceed);
    }
    assert_eq!(used(&bench, &budget(1)).await, 0);
    assert_eq!(act_on(&bench, "cyd", &[of_provider("slack", 1)]).await, Bound::Proceed);
    assert_eq!(used(&bench, &of_provider("slack", 1)).await, 0);
}

async fn whatever_is_requeued_is_counted_anew(bench: Bench) {
    let budgets = [budget(1)];
    let (first, bound) =
        act_through(&bench, "edr", okta("ana@example.com"), &shown("ana", &["ana@example.com"]), &budgets).await;
    assert_eq!(bound, Bound::Proceed);
    bench.advance(PER);
    act_on(&bench, "bob", &budgets).await;
    bench.ops().requeue(first.job, operator(), String::new()).await.expect("requeued");
    let claim = bench.claim_one("okta").await;
    assert_held(&bind(&bench, &claim, &shown("ana", &["ana@example.com"]), &budgets).await);
}

async fn another_account_is_another_person(bench: Bench) {
    let budgets = [budget(1)];
    let job = bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(bind(&bench, &claim, &shown("00u1", &["ana@example.com"]), &budgets).await, Bound::Proceed);
    bench.settle(&claim, Next::Retry { due_at: bench.now(), failed: true }).await;
    let claim = bench.claim_one("okta").await;
    assert_held(&bind(&bench, &claim, &shown("00u2", &["bob@example.com"]), &budgets).await);
    assert_eq!(bench.view(job).await.account_id.as_deref(), Some("00u2"));
    bench.ops().approve(job, operator(), Consent::default()).await.expect("approved");
    let claim = bench.claim_one("okta").await;
    assert_eq!(bind(&bench, &claim, &shown("00u2", &["bob@example.com"]), &budgets).await, Bound::Proceed);
    assert_eq!(used(&bench, &budgets[0]).await, 2);
}

async fn whoever_is_merged_or_waits_takes_no_place(bench: Bench) {
    let budgets = [budget(1)];
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com"), okta_id("00u1")])).await;
    bench.job("b", okta("ANA@example.com")).await;
    let claims = bench.claim("okta", 3).await;
    let ana = shown("00u1", &["ana@example.com"]);
    assert_eq!(bind(&bench, &claims[0], &ana, &budgets).await, Bound::Proceed);
    assert_eq!(bind(&bench, &claims[1], &ana, &budgets).await, Bound::Merged(claims[0].job));
    assert_eq!(bind(&bench, &claims[2], &ana, &budgets).await, Bound::Busy);
    assert_eq!(used(&bench, &budgets[0]).await, 1);
}

async fn a_lease_that_is_over_counts_and_holds_nobody(bench: Bench) {
    for budgets in [[budget(9)], [budget(0)]] {
        let job = bench.job(&JobId::new().to_string(), okta(&format!("{}@x", JobId::new()))).await;
        let claim = bench.claim_one("okta").await;
        bench.advance(LEASE);
        let answer = bench.jobs().bind(&claim, &shown("00u9", &["00u9"]), None, &budgets).await;
        assert!(matches!(answer, Err(StoreError::LeaseLost)), "{answer:?}");
        assert_eq!((bench.state(job).await, used(&bench, &budgets[0]).await), (JobState::Leased, 0));
        let claim = bench.claim_one("okta").await;
        bench.settle(&claim, Next::Dead(DeadReason::Refused)).await;
    }
}

async fn those_whose_time_is_up_go_however_many_they_are(bench: Bench) {
    let budgets = [budget(1200), of_source("edr", 1200)];
    let everyone: Vec<NewJob> = (0..1200).map(|number| okta(&format!("p{number}@example.com"))).collect();
    bench.admit(&Mail::new("d").alert("a", everyone)).await;
    for claim in bench.claim("okta", 1200).await {
        let id = claim.subject.email.clone().expect("an address");
        assert_eq!(bind(&bench, &claim, &shown(&id, &[&id]), &budgets).await, Bound::Proceed);
        bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    }
    assert_held(&act_on(&bench, "eve", &budgets).await);
    bench.advance(PER);
    assert_eq!(used(&bench, &budgets[0]).await, 0);
    assert_eq!(act_on(&bench, "ana", &budgets).await, Bound::Proceed);
    bench.prune().await;
    assert_eq!((used(&bench, &budgets[0]).await, used(&bench, &budgets[1]).await), (1, 1));
    // Known again after others were removed.
    assert_eq!(act_on(&bench, "ana", &budgets).await, Bound::Proceed);
    assert_eq!(used(&bench, &budgets[0]).await, 1);
    bench.advance(PER);
    assert!(bench.prune().await > 0);
    assert_eq!(bench.prune().await, 0);
}

async fn a_new_size_forgets_nobody(bench: Bench) {
    act_on(&bench, "ana", &[budget(5)]).await;
    act_on(&bench, "bob", &[budget(5)]).await;
    assert_held(&act_on(&bench, "eve", &[budget(2)]).await);
    assert_eq!(act_on(&bench, "cyd", &[budget(3)]).await, Bound::Proceed);
}

async fn a_cancelled_job_waits_for_consent_again(bench: Bench) {
    let budgets = [budget(1)];
    act_on(&bench, "ana", &budgets).await;
    assert_held(&act_on(&bench, "eve", &budgets).await);
    let held = bench.all_jobs().await.remove(0).id;
    bench.ops().cancel(held, operator(), String::new()).await.expect("cancelled");
    bench.ops().requeue(held, Actor::operator("second"), String::new()).await.expect("requeued");
    assert_eq!(bench.view(held).await.hold_reason, Some(HoldReason::Budget));
    assert!(bench.claim("okta", 10).await.is_empty());
}

contract_tests!(
    whoever_finds_no_room_waits_for_a_person,
    approval_goes_past_the_budget_and_counts,
    consent_to_a_rule_is_no_consent_to_pass_a_budget,
    one_person_at_many_providers_takes_one_place,
    whoever_may_be_somebody_else_is_counted,
    an_address_that_two_accounts_share_makes_them_no_person,
    no_chain_of_addresses_gives_a_person_two_accounts_at_one_provider,
    a_retry_is_not_counted_again,
    the_time_slides_from_the_last_call,
    a_budget_counts_what_it_names,
    a_flooded_budget_of_one_source_keeps_no_other_from_being_heard,
    a_reserve_is_for_the_grave,
    a_restart_forgets_nobody,
    a_crash_after_the_call_counts_once,
    workers_that_race_share_the_room,
    without_budgets_nobody_is_counted,
    whatever_is_requeued_is_counted_anew,
    another_account_is_another_person,
    whoever_is_merged_or_waits_takes_no_place,
    a_lease_that_is_over_counts_and_holds_nobody,
    those_whose_time_is_up_go_however_many_they_are,
    a_new_size_forgets_nobody,
    a_cancelled_job_waits_for_consent_again,
);
