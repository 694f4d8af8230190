//! What is old goes, and nothing else.

use sever::domain::{JobState, Next, Outcome};

use crate::support::store::{Bench, DAY, Mail, RETENTION, SECOND, contract_tests, name, okta, operator, settlement};

async fn finish(bench: &Bench) {
    for claim in bench.claim("okta", 100).await {
        bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    }
}

async fn nothing_open_is_removed(bench: Bench) {
    let mut open = Vec::new();
    for (number, next) in
        [None, Some(Next::Release), Some(Next::Held(sever::domain::HoldReason::Approval))].into_iter().enumerate()
    {
        open.push(bench.job(&format!("a{number}"), okta(&format!("p{number}@x"))).await);
        let claims = bench.claim("okta", 100).await;
        if let (Some(next), Some(claim)) = (next, claims.last()) {
            bench.settle(claim, next).await;
        }
    }
    bench.advance(1000 * DAY);
    bench.prune().await;
    for job in open {
        let view = bench.view(job).await;
        assert!(!view.state.is_final());
        assert_eq!(view.alert_ids.len(), 1, "its alert is gone");
        let alert = view.alert_ids[0];
        assert!(bench.ops().delivery_of(alert).await.expect("an answer").is_some(), "its delivery is gone");
    }
}

async fn each_kind_has_its_own_time(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    finish(&bench).await;
    let ignored = bench.admit(&Mail::new("i").alert("i", [])).await.alerts[0].id;
    bench.admit(&Mail::new("q").quarantined("no")).await;
    let kept = async || {
        (
            bench.ops().job(job).await.expect("an answer").is_some(),
            bench.ops().alert(ignored).await.expect("an answer").is_some(),
            bench.ops().quarantine(None, 10).await.expect("a page").items.len(),
        )
    };
    let table = [(6, (true, true, 1)), (2, (true, false, 1)), (23, (true, false, 0)), (58, (true, false, 0))];
    for (days, expected) in table {
        bench.advance(days * DAY);
        bench.prune().await;
        assert_eq!(kept().await, expected, "{days} days later");
    }
    bench.advance(2 * DAY);
    bench.prune().await;
    assert_eq!(kept().await, (false, false, 0));
    assert!(bench.ops().alerts(None, 10).await.expect("alerts").items.is_empty());
    let backlog = bench.jobs().backlog().await.expect("a backlog");
    assert!(backlog.jobs.is_empty() && backlog.quarantine.is_empty(), "{backlog:?}");
}

async fn a_requeued_job_is_open_again(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com")).await;
    finish(&bench).await;
    bench.advance(91 * DAY);
    bench.ops().requeue(job, operator(), String::new()).await.expect("requeued");
    bench.prune().await;
    assert_eq!(bench.state(job).await, JobState::Queued);
}

async fn quarantine_shrinks_and_takes_again(bench: Bench) {
    for id in ["1", "2", "3"] {
        bench.admit(&Mail::new(id).quarantined("no")).await;
        bench.advance(SECOND);
    }
    bench.advance(30 * DAY - 2 * SECOND);
    bench.prune().await;
    let source = "edr".parse().expect("a name");
    assert_eq!(bench.jobs().backlog().await.expect("a backlog").quarantine, [(source, 2, 16)]);
    bench.admit(&Mail::new("4").quarantined("no")).await;
}

async fn guards_go_only_after_their_time(bench: Bench) {
    let (short, ever) = (Mail::new("short").alert("a", []), Mail::new("ever").alert("b", []).guarded_for_ever());
    bench.admit(&short).await;
    bench.admit(&ever).await;
    bench.advance(600 * SECOND);
    bench.prune().await;
    bench.repeat(&short).await;
    bench.advance(SECOND);
    bench.prune().await;
    bench.admit(&short).await;
    bench.repeat(&ever).await;
    bench.advance(10_000 * DAY);
    bench.prune().await;
    bench.repeat(&ever).await;
}

async fn a_repeat_of_what_was_pruned_shows_nobody_elses_alerts(bench: Bench) {
    let mail = Mail::new("ever").alert("a", [okta("ana@example.com")]).guarded_for_ever();
    bench.admit(&mail).await;
    finish(&bench).await;
    bench.advance(91 * DAY);
    bench.prune().await;
    // Another delivery under the same id, for the sender's ids need not be unique.
    bench.admit(&Mail::new("ever").body(b"else").alert("c", [okta("cleo@example.com")])).await;
    bench.admit(&Mail::new("other").alert("b", [okta("ben@example.com")])).await;
    assert!(bench.repeat(&mail).await.alerts.is_empty());
}

async fn the_number_of_what_was_pruned_means_nothing_else(bench: Bench) {
    let stale_job = bench.job("a", okta("ana@example.com")).await;
    let stale = bench.claim_one("okta").await;
    bench.settle(&stale, Next::Done(Outcome::Confirmed)).await;
    bench.advance(91 * DAY);
    bench.prune().await;
    assert!(bench.ops().job(stale_job).await.expect("an answer").is_none());
    let job = bench.job("b", okta("ben@example.com")).await;
    bench.claim_one("okta").await;
    let late = bench.jobs().settle(&stale, &settlement(&stale, Next::Done(Outcome::Confirmed))).await;
    assert!(late.is_err(), "a claim of long ago ended somebody else's job");
    assert_eq!(bench.state(job).await, JobState::Leased);
}

async fn an_alert_never_shows_somebody_elses_delivery(bench: Bench) {
    let alert = bench.admit(&Mail::new("d").alert("a", [])).await.alerts[0].id;
    bench.admit(&Mail::new("e").through("soc-queue").alert("a", [okta("ana@example.com")])).await;
    bench.admit(&Mail::new("i").alert("i", [])).await;
    bench.advance(8 * DAY);
    bench.prune().await;
    bench.admit(&Mail::new("f").body(b"about ben").alert("b", [okta("ben@example.com")])).await;
    let found = bench.ops().delivery_of(alert).await.expect("an answer").expect("the delivery with the job");
    assert_eq!(found.delivery_id, "e");
}

async fn gates_of_long_ago_are_forgotten_and_closed_ones_stay(bench: Bench) {
    for _ in 0..10 {
        bench.ops().pause(Some(name("okta")), operator(), String::new()).await.expect("paused");
        bench.advance(SECOND);
        bench.ops().resume(Some(name("okta")), operator()).await.expect("resumed");
    }
    bench.ops().pause(Some(name("okta")), operator(), String::new()).await.expect("paused");
    bench.advance(1000 * DAY);
    assert_eq!(bench.prune().await, 10);
    assert_eq!(bench.jobs().gates().await.expect("gates").len(), 1);
}

async fn a_delivery_with_an_alert_that_never_had_a_job_goes_with_the_others(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com")]).alert("b", [])).await;
    finish(&bench).await;
    bench.advance(91 * DAY);
    bench.prune().await;
    assert!(bench.ops().alerts(None, 10).await.expect("alerts").items.is_empty());
    assert!(bench.ops().delivery(1).await.expect("an answer").is_none(), "it would stay for ever");
}

async fn what_was_done_for_an_alert_with_open_jobs_is_not_done_again_after_pruning(bench: Bench) {
    let mail = Mail::new("d").alert("a", [okta("ana@example.com"), okta("ben@example.com")]);
    bench.admit(&mail).await;
    let claims = bench.claim("okta", 2).await;
    bench.settle(&claims[0], Next::Done(Outcome::Confirmed)).await;
    bench.settle(&claims[1], Next::Held(sever::domain::HoldReason::Approval)).await;
    bench.advance(91 * DAY);
    bench.prune().await;
    let again = bench.admit(&Mail::new("e").alert("a", [okta("ana@example.com"), okta("ben@example.com")])).await;
    assert_eq!(again.alerts[0].jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [claims[1].job]);
    assert!(bench.claim("okta", 10).await.is_empty(), "one alert cost a second revocation");
    assert_eq!(bench.state(claims[1].job).await, JobState::Held);
}

/// More than are walked past in one stretch.
async fn old_deliveries_whose_jobs_are_open_keep_no_later_one(bench: Bench) {
    let many = 120;
    for number in 0..many {
        let job = okta(&format!("p{number}@example.com"));
        bench.admit(&Mail::new(&format!("d{number}")).alert(&format!("a{number}"), [job])).await;
    }
    let last = bench.admit(&Mail::new("e").alert("z", [okta("ana@example.com")]).alert("y", [])).await;
    bench.ops().cancel(last.alerts[0].jobs[0].id, operator(), String::new()).await.expect("cancelled");
    bench.advance(91 * DAY);
    bench.prune().await;
    for alert in &last.alerts {
        assert!(bench.ops().alert(alert.id).await.expect("an answer").is_none(), "it would stay for ever");
    }
    assert_eq!(bench.ops().status().await.expect("a status").jobs[&name("okta")][&JobState::Queued], many as u64);
}

/// Where jobs grow old faster than they are removed, as many deliveries go: also those that have an alert which never had a job,
/// and those that told of the same alert as others.
async fn deliveries_go_with_their_jobs_while_more_old_jobs_are_left(bench: Bench) {
    for number in 0..8 {
        let (alert, person) = (format!("a{number}"), okta(&format!("p{number}@example.com")));
        let mail = Mail::new(&format!("d{number}")).alert(&alert, [person.clone()]);
        bench.admit(&mail.alert(&format!("b{number}"), [])).await;
        bench.admit(&Mail::new(&format!("e{number}")).alert(&alert, [person])).await;
    }
    finish(&bench).await;
    let many: u64 = 250;
    for number in 0..many {
        bench.job(&format!("c{number}"), okta(&format!("q{number}@example.com"))).await;
    }
    while bench.ops().status().await.expect("a status").jobs[&name("okta")].contains_key(&JobState::Queued) {
        finish(&bench).await;
    }
    bench.advance(91 * DAY);
    let mut from = 0;
    for _ in 0..2 {
        from = bench.jobs().prune(&RETENTION, from).await.expect("pruned").next.expect("there is more");
        let status = bench.ops().status().await.expect("a status");
        let jobs = status.jobs[&name("okta")][&JobState::Done];
        assert!(jobs < many, "the oldest jobs go first");
        let mut left = 0;
        for row in 1..=i64::try_from(many).expect("few") + 16 {
            left += u64::from(bench.ops().delivery(row).await.expect("an answer").is_some());
        }
        assert_eq!(left, jobs, "deliveries stay behind");
    }
}

contract_tests!(
    deliveries_go_with_their_jobs_while_more_old_jobs_are_left,
    old_deliveries_whose_jobs_are_open_keep_no_later_one,
    a_delivery_with_an_alert_that_never_had_a_job_goes_with_the_others,
    what_was_done_for_an_alert_with_open_jobs_is_not_done_again_after_pruning,
    nothing_open_is_removed,
    each_kind_has_its_own_time,
    a_requeued_job_is_open_again,
    quarantine_shrinks_and_takes_again,
    guards_go_only_after_their_time,
    a_repeat_of_what_was_pruned_shows_nobody_elses_alerts,
    the_number_of_what_was_pruned_means_nothing_else,
    an_alert_never_shows_somebody_elses_delivery,
    gates_of_long_ago_are_forgotten_and_closed_ones_stay,
);
