//! What no part of a config can see alone.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sever::clock::Clock;
use sever::config::Loaded;

/// What is said of these sources: errors, or else warnings.
fn told(sources: &Value) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sever.yaml");
    let text = json!({"store": "sqlite:///tmp/never-opened.db", "sources": sources}).to_string();
    std::fs::write(&file, text).expect("written");
    let clock: Arc<dyn Clock> = crate::testapp::clock();
    match Loaded::from_file(&file, &clock) {
        Ok(loaded) => Ok(loaded.warnings.to_string()),
        Err(problems) => Err(problems.to_string()),
    }
}

fn pair(one: (&str, &str), other: (&str, &str)) -> Result<String, String> {
    let source = |(scheme, secret): (&str, &str)| json!({"verify": {"scheme": scheme, "secrets": [{"value": secret}]}});
    told(&json!({"edr": source(one), "siem": source(other)}))
}

#[test]
fn a_secret_is_one_however_it_is_written() {
    let (public, pem) = {
        let key = [7_u8; 32];
        // RFC 8410 section 4: the algorithm, and the key as a bit string.
        let der = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0], &key[..]].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        (format!("whpk_{}", STANDARD.encode(key)), pem)
    };
    let coded = STANDARD.encode("a secret of thirty-two bytes, so");
    let prefixed = format!("whsec_{coded}");
    let of_standard = |secret| ("standard-webhooks", secret);
    for (one, other) in [
        (of_standard(&*prefixed), of_standard(&*prefixed)),
        (of_standard(&prefixed), of_standard(&coded)),
        (of_standard(&coded), ("github", &prefixed)),
        (of_standard(&prefixed), ("github", "a secret of thirty-two bytes, so")),
        (of_standard(&public), of_standard(&pem)),
    ] {
        let said = pair(one, other).expect_err("they are one");
        assert!(said.contains("sources.siem.verify.secrets[0]") && said.contains("is also a secret of edr"), "{said}");
        assert!(!said.contains(&coded), "{said}");
    }
    let other = STANDARD.encode("another secret of as many bytes!");
    pair(of_standard(&prefixed), of_standard(&other)).expect("they are two");
}

#[test]
fn a_body_that_would_never_be_mapped_is_warned_of() {
    let source = |format: &str, most: &str| {
        json!({"edr": {"format": format, "webhook": {"max_body": most},
            "verify": {"scheme": "github", "secrets": [{"value": "a secret of thirty-two bytes, so"}]}}})
    };
    let warned = |format: &str, most: &str| {
        told(&source(format, most)).expect("it may be used").contains("a mapping reads at most 1 MiB")
    };
    assert!(warned("grafana", "2MiB"));
    assert!(!warned("grafana", "1MiB") && !warned("sever", "2MiB"));
}
