//! Bad days: limits, failures, lost answers, lies.

use std::time::Duration;

use sever::provider::ProviderError;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::the_things_stack::Operation;

use super::network::*;

const CALLS: [Operation; 2] = [Operation::ListSessions, Operation::DeleteSession];

#[tokio::test]
async fn all_forms_of_429_wait_and_none_for_ever() {
    let forms = [
        (Fault::RateLimit { reset_in_s: 20 }, Some(20)),
        (Fault::ConcurrencyLimit { reset_in_s: -5 }, Some(1)),
        (Fault::ConcurrencyLimit { reset_in_s: 0 }, Some(1)),
        (Fault::ThrottleWithoutHint, None),
        (Fault::RepeatedReset { resets_in_s: vec![10, 300, 60] }, Some(300)),
        (Fault::RateLimit { reset_in_s: 1_000_000_000 }, Some(900)),
        (Fault::Error { status: 429, code: "resource_exhausted".to_owned() }, None),
        (Fault::Error { status: 429, code: String::new() }, None),
    ];
    for (form, seconds) in forms {
        for operation in CALLS {
            let network = Network::start().await;
            let zoe = network.person("zoe", 1);
            network.tts.faults().inject(Injection::once(form.clone()).on(operation));
            let error = network.client().revoke(&account(&zoe), &all(), None).await.expect_err("throttled");
            let ProviderError::Throttled { retry_after, .. } = error else { panic!("{form:?} gave {error:?}") };
            assert_eq!(retry_after, seconds.map(Duration::from_secs), "{form:?} {operation:?}");
            assert_eq!(network.tts.sessions_of("zoe"), 1);
        }
    }
}

#[tokio::test]
async fn an_operators_own_limit_is_kept_to() {
    let network = Network::start().await;
    let zoe = network.person("zoe", 4);
    network.tts.limit_rate_of(Operation::DeleteSession, 6, 2);
    let client = network.client();
    let error = client.revoke(&account(&zoe), &all(), None).await.expect_err("throttled");
    let ProviderError::Throttled { retry_after, .. } = error else { panic!("{error:?}") };
    assert_eq!((retry_after, network.tts.sessions_of("zoe")), (Some(Duration::from_secs(10)), 2));
    assert_eq!(client.wait(), Some(Duration::from_secs(10)));
    let calls = network.calls().len();
    assert!(client.revoke(&account(&zoe), &all(), None).await.is_err());
    assert_eq!(network.calls().len(), calls + 1, "it is listed, and no deletion goes out");
    network.clock.advance(Duration::from_secs(20));
    client.revoke(&account(&zoe), &all(), None).await.expect("revoked").expect("something");
    assert_eq!(network.tts.sessions_of("zoe"), 0);
}

#[tokio::test]
async fn no_answer_but_the_documented_one_is_a_success_and_the_next_call_works() {
    let error = |status, code: &str| Fault::Error { status, code: code.to_owned() };
    let faults = [
        Fault::Html,
        Fault::MalformedJson,
        Fault::HugeBody { size_bytes: 8 << 20 },
        Fault::SlowBody { size_bytes: 100, every_ms: 500 },
        Fault::LateAnswer { duration_ms: 3000 },
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Redirect { to: "http://127.0.0.1:9/".to_owned() },
        error(500, "driver"),
        error(500, "internal"),
        error(501, "unimplemented"),
        error(502, ""),
        error(503, "database_unavailable"),
        error(503, "unavailable"),
        error(504, "deadline_exceeded"),
        error(499, "canceled"),
        error(409, "aborted"),
        error(404, "not_found"),
        error(404, ""),
    ];
    for fault in faults {
        for operation in [Operation::GetUser, Operation::ListSessions, Operation::DeleteSession] {
            let network = Network::start().await;
            let zoe = network.person("zoe", 1);
            let client = network.client();
            network.tts.faults().inject(Injection::once(fault.clone()).on(operation));
            let error = match operation {
                Operation::GetUser => client.resolve(&by_id("zoe")).await.expect_err("no success"),
                _ => client.revoke(&account(&zoe), &all(), None).await.expect_err("no success"),
            };
            let retryable = matches!(error, ProviderError::Unavailable(_) | ProviderError::Misconfigured(_));
            assert!(retryable, "{fault:?} on {operation:?} gave {error:?}");
            client.resolve(&by_id("zoe")).await.expect("the next call works");
            client.revoke(&account(&zoe), &all(), None).await.expect("the next call works");
            assert_eq!(network.tts.sessions_of("zoe"), 0, "{fault:?} on {operation:?}");
        }
    }
}

#[tokio::test]
async fn a_failure_after_the_deed_is_no_yes_and_the_repeat_ends_the_rest() {
    for fault in [Fault::Partial { status: 504 }, Fault::Partial { status: 500 }] {
        let network = Network::start().await;
        let zoe = network.person("zoe", 3);
        let client = network.client();
        network.tts.faults().inject(Injection::once(fault.clone()).on(Operation::DeleteSession));
        let error = client.revoke(&account(&zoe), &all(), None).await.expect_err("no yes");
        assert!(matches!(error, ProviderError::Unavailable(_)), "{fault:?}: {error:?}");
        assert_eq!(network.tts.sessions_of("zoe"), 0, "the others are ended all the same");
        assert_eq!(client.revoke(&account(&zoe), &all(), None).await.expect("safe to repeat"), None);
    }
}

#[tokio::test]
async fn a_lie_is_the_providers_word_and_shows_in_a_look() {
    let network = Network::start().await;
    let zoe = network.person("zoe", 2);
    let client = network.client();
    network.tts.faults().inject(Injection::once(Fault::LyingSuccess).on(Operation::DeleteSession));
    client.revoke(&account(&zoe), &all(), None).await.expect("it says so").expect("something");
    let left = client.sessions(&account(&zoe)).await.expect("a look").expect("one");
    assert_eq!(left.sessions.len(), 1);
}

#[tokio::test]
async fn somebody_who_is_deleted_meanwhile_is_unknown() {
    let network = Network::start().await;
    let zoe = network.person("zoe", 2);
    let client = network.client();
    let look = client.sessions(&account(&zoe)).await.expect("a look");
    network.tts.delete_person("zoe");
    for seen in [None, look.as_ref()] {
        let error = client.revoke(&account(&zoe), &all(), seen).await.expect_err("nobody");
        assert!(matches!(error, ProviderError::UnknownAccount(_)), "{error:?}");
    }
}
