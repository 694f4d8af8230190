//! Traces over OTLP: from the sender's trace through intake, store and attempts to each call, and what must never be in
//! them or depend on them.

#[cfg(feature = "otel")]
mod faults;
#[cfg(feature = "otel")]
mod privacy;
#[cfg(feature = "otel")]
mod process;
#[cfg(feature = "otel")]
mod tree;

use std::sync::Arc;

use sever::clock::Clock;
use sever::config::Loaded;

/// What the other build says is tried wherever the tests run in that one.
#[test]
fn a_build_without_traces_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sever.yaml");
    std::fs::write(&file, "telemetry: {otlp: {endpoint: \"http://127.0.0.1:4318\"}}\n").expect("written");
    let clock: Arc<dyn Clock> = crate::testapp::clock();
    let is_built = cfg!(feature = "otel");
    match Loaded::from_file(&file, &clock) {
        Ok(loaded) => assert_eq!((is_built, loaded.collector.is_some()), (true, true)),
        Err(problems) => {
            let said = problems.to_string();
            assert!(!is_built, "{said}");
            assert!(said.contains("telemetry.otlp") && said.contains("--features otel"), "{said}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_collector_is_told_by_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sever.yaml");
    let text =
        "telemetry: {otlp: {endpoint: \"otel:4318\", sample_ratio: 7, headers: {a b: {value: x}}, protocol: grpc}}\n";
    std::fs::write(&file, text).expect("written");
    let clock: Arc<dyn Clock> = crate::testapp::clock();
    let told = |file: &std::path::Path| match Loaded::from_file(file, &clock) {
        Ok(_) => panic!("it is taken"),
        Err(problems) => problems.to_string(),
    };
    let said = told(&file);
    assert!(said.contains("telemetry.otlp.protocol") && said.contains("http/protobuf"), "{said}");
    std::fs::write(&file, text.replace(", protocol: grpc", "")).expect("written");
    let said = told(&file);
    for key in ["endpoint", "sample_ratio", "headers"] {
        assert!(said.contains(&format!("telemetry.otlp.{key}")), "{said}");
    }
}

/// A sender's place in a trace.
pub(crate) const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[cfg(feature = "otel")]
mod deliver {
    use axum::http::{HeaderName, HeaderValue};
    use serde_json::Value;
    use sever::clock::Clock;
    use sever::verify::Signer;

    use crate::testapp::{Answer, TestApp, signing, uuid};

    impl TestApp {
        /// Signs an alert and posts it with more headers.
        pub(super) async fn deliver_with(&self, headers: &[(&str, &str)], alert: Value) -> Answer {
            self.deliver_again(&uuid(), headers, alert).await
        }

        pub(super) async fn deliver_again(&self, id: &str, headers: &[(&str, &str)], alert: Value) -> Answer {
            let body = alert.to_string();
            let signer = Signer::new(&signing()).expect("a signer");
            let mut all = signer.sign(id, self.clock.now(), body.as_bytes()).expect("signed");
            let parse = |(name, value): &(&str, &str)| {
                let name: HeaderName = name.parse().expect("a name");
                (name, value.parse::<HeaderValue>().expect("a value"))
            };
            all.extend(headers.iter().map(parse));
            self.post("edr", all, body.into_bytes()).await
        }

        /// Spans by what became of them.
        pub(super) fn counted(&self, result: &str) -> u64 {
            let metrics = self.app.metrics.render();
            let name = format!("sever_trace_spans_total{{result=\"{result}\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
        }
    }
}
