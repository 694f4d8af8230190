//! Changes that share a commit: what one of them does, the others see, also where all that they ask was asked before.

use sever::domain::{Next, Outcome, Settlement};
use sever::store::{Admitted, Bound};

use crate::support::store::{Bench, Mail, account, contract_tests, okta, settlement};

async fn a_repeat_takes_no_alert_from_a_new_delivery_beside_it(bench: Bench) {
    let mail = Mail::new("d").alert("a", [okta("ana@example.com")]);
    let first = bench.admit(&mail).await;
    let other = Mail::new("e").alert("a", [okta("ana@example.com"), okta("ben@example.com")]);
    let (again, new) = tokio::join!(bench.try_admit(&mail), bench.try_admit(&other));
    assert!(matches!(again, Ok(Admitted::Duplicate(_))), "{again:?}");
    let Ok(Admitted::New(new)) = new else { panic!("not stored: {new:?}") };
    assert_eq!(new.alerts[0].id, first.alerts[0].id);
    assert_eq!(new.alerts[0].jobs[0].id, first.alerts[0].jobs[0].id);
    assert_eq!(new.alerts[0].jobs.len(), 2, "the new person has no job");
}

async fn two_deliveries_of_one_new_alert_make_one_job(bench: Bench) {
    let mail = |id: &str| Mail::new(id).alert("a", [okta("ana@example.com")]);
    let (one, other) = (mail("d"), mail("e"));
    let (one, other) = tokio::join!(bench.admit(&one), bench.admit(&other));
    assert_eq!(one.alerts[0].jobs[0].id, other.alerts[0].jobs[0].id);
    assert_eq!(bench.all_jobs().await.len(), 1);
}

async fn no_call_begins_for_an_account_that_an_end_beside_it_was_about(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com"), okta("ana@example.org")])).await;
    let claims = bench.claim("okta", 2).await;
    let done = Settlement { account: Some(account("00u1")), ..settlement(&claims[0], Next::Done(Outcome::Confirmed)) };
    let (ended, bound) = tokio::join!(bench.jobs().settle(&claims[0], &done), bench.bind(&claims[1], "00u1"));
    ended.expect("settled");
    assert_eq!(bound, Bound::Merged(claims[0].job), "one alert cost a second revocation");
}

async fn no_call_begins_whose_attempt_has_ended_beside_it(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com")])).await;
    let claim = bench.claim_one("okta").await;
    let end = settlement(&claim, Next::Done(Outcome::Confirmed));
    let account = account("00u1");
    let (ended, bound) =
        tokio::join!(bench.jobs().settle(&claim, &end), bench.jobs().bind(&claim, &account, None, &[]));
    ended.expect("settled");
    assert!(bound.is_err(), "the call may begin: {bound:?}");
}

contract_tests!(
    a_repeat_takes_no_alert_from_a_new_delivery_beside_it,
    two_deliveries_of_one_new_alert_make_one_job,
    no_call_begins_for_an_account_that_an_end_beside_it_was_about,
    no_call_begins_whose_attempt_has_ended_beside_it,
);
