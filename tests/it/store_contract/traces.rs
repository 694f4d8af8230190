//! Traces go through the store with the jobs that go on with them.

use sever::domain::{Next, TraceContext};
use sever::store::Bound;

use crate::support::store::{Bench, Mail, SECOND, contract_tests, okta, okta_id};

fn trace(number: u8) -> TraceContext {
    TraceContext::root([0xaa; 16], [number; 8], number % 2 == 1)
}

fn spans(claim: &sever::domain::Claim) -> Vec<u8> {
    claim.traces.iter().map(|trace| trace.span_id()[0]).collect()
}

async fn a_job_keeps_the_trace_of_its_alert(mut bench: Bench) {
    let mut headers = http::HeaderMap::new();
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().expect("a value"));
    headers.insert("tracestate", "acme=x y,b=2".parse().expect("a value"));
    let sent = TraceContext::from_headers(&headers).expect("a context");
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com")]).traced(&sent)).await;
    bench.job("b", okta("ben@example.com")).await;
    // Another process, and another attempt.
    bench.reopen();
    let claims = bench.claim("okta", 2).await;
    assert_eq!(claims[0].traces.iter().collect::<Vec<_>>(), [&sent]);
    assert!(claims[1].traces.is_empty());
    bench.settle(&claims[0], Next::Retry { due_at: bench.now() + SECOND, failed: true }).await;
    bench.advance(SECOND);
    assert_eq!(bench.claim_one("okta").await.traces, claims[0].traces);
}

async fn a_job_that_takes_in_an_alert_keeps_both_traces(bench: Bench) {
    let mail = |name: &str, number| Mail::new(name).alert(name, [okta("ana@example.com")]).traced(&trace(number));
    bench.admit(&mail("a", 1)).await;
    bench.admit(&mail("b", 2)).await;
    bench.job("c", okta("ana@example.com")).await;
    // Two alerts of one delivery have one trace.
    let both = Mail::new("d").alert("d", [okta("ana@example.com")]).alert("e", [okta("ana@example.com")]);
    bench.admit(&both.traced(&trace(3))).await;
    assert_eq!(spans(&bench.claim_one("okta").await), [1, 2, 3]);
}

async fn alerts_that_wait_for_one_commit_are_kept_apart(bench: Bench) {
    let mails: Vec<_> = (1..=40)
        .map(|number| {
            let email = format!("p{}@example.com", number % 4);
            Mail::new(&number.to_string()).alert(&number.to_string(), [okta(&email)]).traced(&trace(number))
        })
        .collect();
    futures_util::future::join_all(mails.iter().map(|mail| bench.admit(mail))).await;
    let claims = bench.claim("okta", 10).await;
    assert_eq!(claims.len(), 4);
    for claim in claims {
        let mut found = spans(&claim);
        found.sort_unstable();
        let remainder = found[0] % 4;
        assert_eq!(found, (1..=40).filter(|number| number % 4 == remainder).collect::<Vec<_>>());
    }
}

async fn a_job_that_is_merged_into_another_brings_its_traces(bench: Bench) {
    bench.admit(&Mail::new("a").alert("a", [okta("ana@example.com")]).traced(&trace(1))).await;
    let first = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&first, "00u1").await, Bound::Proceed);
    bench.settle(&first, Next::Retry { due_at: bench.now() + SECOND, failed: true }).await;
    bench.admit(&Mail::new("b").alert("b", [okta_id("00u1")]).traced(&trace(2))).await;
    let second = bench.claim_one("okta").await;
    assert_eq!(bench.bind(&second, "00u1").await, Bound::Merged(first.job));
    bench.advance(SECOND);
    assert_eq!(spans(&bench.claim_one("okta").await), [1, 2]);
}

async fn any_number_of_alerts_leaves_a_job_of_bounded_size(bench: Bench) {
    let id = |number: u64| TraceContext::root([0xaa; 16], number.to_be_bytes(), true);
    for number in 1..=200 {
        let mail = Mail::new(&number.to_string()).alert(&number.to_string(), [okta("a@x.org")]);
        bench.admit(&mail.traced(&id(number))).await;
    }
    assert_eq!(bench.claim_one("okta").await.traces.len(), 128);
}

contract_tests!(
    a_job_keeps_the_trace_of_its_alert,
    a_job_that_takes_in_an_alert_keeps_both_traces,
    alerts_that_wait_for_one_commit_are_kept_apart,
    a_job_that_is_merged_into_another_brings_its_traces,
    any_number_of_alerts_leaves_a_job_of_bounded_size,
);
