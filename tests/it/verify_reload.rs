//! A secret in a file is changed while the service runs.

use std::path::Path;

use serde_json::{Value, json};
use sever::verify::Verifier;

use crate::verify::{NOW, at, delivery, settings, signed, source};

const OLD: &str = "whsec_b2xkIHNlY3JldCBvZiAyNCBieXRlcw==";
const NEW: &str = "whsec_bmV3IHNlY3JldCBvZiAyNCBieXRlcw==";

fn from_file(path: &Path) -> Value {
    json!({"scheme": "standard-webhooks", "secrets": [{"file": path}], "tolerance": "1h"})
}

fn accepts(verifier: &Verifier, secret: &str, second: i64) -> bool {
    let sender = json!({"scheme": "standard-webhooks", "secrets": [{"value": secret}]});
    verifier.verify(delivery(&signed(sender, "msg_1", second, b"{}"), b"{}"), at(second)).is_ok()
}

#[test]
fn a_changed_file_rotates_the_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{OLD}\n")).expect("written");
    let verifier = Verifier::new(source(), &settings(from_file(&file))).expect("a verifier");
    assert!(accepts(&verifier, OLD, NOW) && !accepts(&verifier, NEW, NOW));

    std::fs::write(&file, format!("{NEW}\n")).expect("written");
    assert!(accepts(&verifier, NEW, NOW + 1) && !accepts(&verifier, OLD, NOW + 1), "one second later at the latest");

    // As Kubernetes does it: another file takes the place of the first.
    let other = folder.path().join("other");
    std::fs::write(&other, OLD).expect("written");
    std::fs::rename(&other, &file).expect("moved");
    assert!(accepts(&verifier, OLD, NOW + 2) && !accepts(&verifier, NEW, NOW + 2));
}

#[test]
fn a_file_that_cannot_be_used_leaves_the_old_key_and_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, OLD).expect("written");
    let verifier = Verifier::new(source(), &settings(from_file(&file))).expect("a verifier");
    let mut second = NOW;
    let mut later = || {
        second += 2;
        second
    };
    for broken in [Some(""), Some("whsec_canary!"), None] {
        match broken {
            Some(text) => std::fs::write(&file, text).expect("written"),
            None => std::fs::remove_file(&file).expect("removed"),
        }
        let log = log_of(|| assert!(accepts(&verifier, OLD, later()), "{broken:?}"));
        assert!(log.contains("the old stay") && log.contains("secrets[0]"), "{broken:?}: {log}");
        assert!(!log.contains("canary") && !log.contains("b2xk"), "{log}");
        let log = log_of(|| assert!(accepts(&verifier, OLD, later())));
        assert_eq!(log, "", "it is told once");
    }
    std::fs::write(&file, NEW).expect("written");
    assert!(accepts(&verifier, NEW, later()));
}

/// What is logged meanwhile by this thread.
fn log_of(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Sink(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("unpoisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = sink.0.lock().expect("unpoisoned").clone();
    String::from_utf8(bytes).expect("text")
}
