//! The `verify` key: what is refused, in which words, and that no secret is among them.

use schemars::schema_for;
use serde_json::{Value, json};
use sever::verify::{SignatureScheme, Verifier, VerifySettings};

use crate::verify::{NOW, all_examples, at, delivery, secrets, settings, signed, signer, source};

/// The fields that are complained about.
fn fields(value: Value) -> Vec<String> {
    let problems = Verifier::new(source(), &settings(value)).expect_err("these settings cannot work");
    problems.into_iter().map(|problem| problem.field).collect()
}

#[test]
fn every_problem_is_told_at_once() {
    let none: [&str; 0] = [];
    for (value, wanted) in [
        (json!({"scheme": "github", "secrets": []}), &["secrets"][..]),
        (json!({"scheme": "github", "secrets": secrets(), "tolerance": "0s"}), &["tolerance"]),
        (json!({"scheme": "github", "secrets": secrets(), "tolerance": "2years"}), &["tolerance"]),
        (
            json!({"scheme": "github", "secrets": secrets(), "header": "x", "header_prefix": "svix"}),
            &["header_prefix", "header"],
        ),
        (json!({"scheme": "standard-webhooks", "secrets": [], "signed": "{body}"}), &["signed", "secrets"]),
        (json!({"scheme": "hmac", "secrets": secrets()}), &["header"]),
        (
            json!({"scheme": "hmac", "secrets": secrets(), "header": "a b", "prefix": " x", "signed": "{body}{body}"}),
            &["signed", "header", "prefix"],
        ),
        (
            json!({"scheme": "hmac", "secrets": secrets(), "header": "x", "signed": "{id}.{timestamp}.{body}"}),
            &["id_header", "timestamp_header"],
        ),
        (
            json!({"scheme": "hmac", "secrets": secrets(), "header": "x", "id_header": "i", "timestamp_header": "t",
            "timestamp_format": "unix"}),
            &["id_header", "timestamp_header", "timestamp_format"],
        ),
        (
            json!({"scheme": "hmac", "secrets": secrets(), "header": "X", "signed": "{id}.{timestamp}.{body}",
            "id_header": "x", "timestamp_header": "Cookie"}),
            &["id_header", "timestamp_header"],
        ),
        (
            json!({"scheme": "hmac", "secrets": secrets(), "header": "x", "signed": "{id}{timestamp}.{body}",
            "id_header": "i", "timestamp_header": "t"}),
            &["signed"],
        ),
        (json!({"scheme": "static-header", "secrets": secrets()}), &["header"]),
        (
            json!({"scheme": "stripe", "secrets": secrets(), "header": "a b", "encoding": "hex"}),
            &["encoding", "header"],
        ),
        (
            json!({"scheme": "crowdstrike", "secrets": secrets(), "signed": "{timestamp}", "prefix": "x"}),
            &["prefix", "signed"],
        ),
        (json!({"scheme": "aws-sns", "secrets": secrets()}), &["secrets", "topic_arns"]),
        (
            json!({"scheme": "aws-sns", "topic_arns": ["arn:aws:sns:us-east-1:111122223333:*"], "signature_versions": []}),
            &["topic_arns[0]", "signature_versions"],
        ),
        (json!({"scheme": "rfc9421", "secrets": secrets(), "key_ids": ["a"]}), &["key_ids"]),
        (
            json!({"scheme": "rfc9421", "secrets": [secrets()[0]], "key_ids": ["\""], "components": ["Date", "@status"]}),
            &["key_ids[0]", "components", "components[0]", "components[1]"],
        ),
    ] {
        assert_eq!(fields(value.clone()), wanted, "{value}");
        let shape: Vec<_> = settings(value.clone()).validate().into_iter().map(|problem| problem.field).collect();
        assert_eq!(shape, wanted, "{value}");
    }
    for example in all_examples(&secrets()) {
        let problems: Vec<_> = settings(example).validate().into_iter().map(|problem| problem.field).collect();
        assert_eq!(problems, none);
    }
}

#[test]
fn a_foreign_key_is_refused_in_the_name_of_its_scheme() {
    let foreign = settings(json!({"scheme": "github", "secrets": secrets(), "signed": "{body}"}));
    let problem = foreign.validate().remove(0).to_string();
    assert_eq!(problem, "signed: belongs to crowdstrike, hmac and means nothing to github; remove it");
    let unknown = json!({"scheme": "github", "secrets": secrets(), "tolerence": "5m"});
    let error = serde_json::from_value::<VerifySettings>(unknown).expect_err("an unknown key");
    assert!(error.to_string().contains("tolerence"), "{error}");
}

#[test]
fn every_unusable_secret_is_named_by_its_reference_and_never_shown() {
    let value = json!({"scheme": "standard-webhooks", "secrets": [
        {"value": "whsec_canary!"}, {"value": "whsec_"}, {"env": "SEVER_TEST_NEVER_SET"}, {"value": ""},
        {"file": "/nonexistent/canary-free"}, {"value": "whpk_canary"}, {"value": "whsec_Y2FuYXJ5Cg"}, secrets()[0],
    ]});
    let problems = Verifier::new(source(), &settings(value)).expect_err("most of them cannot be used");
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let named: Vec<_> = told.iter().map(|problem| problem.split(": ").next().unwrap_or_default()).collect();
    let wanted = ["secrets[0]", "secrets[1]", "secrets[2]", "secrets[3]", "secrets[4]", "secrets[5]", "secrets[6]"];
    assert_eq!(named, wanted);
    assert!(told[2].contains("SEVER_TEST_NEVER_SET") && told[4].contains("/nonexistent/canary-free"), "{told:?}");
    let all = format!("{told:?} {problems:?}").replace("canary-free", "");
    assert!(!all.contains("canary") && !all.contains("Y2FuYXJ5"), "{all}");
}

#[test]
fn nothing_printable_shows_a_secret() {
    // The same in every spelling that a key or a signature could take.
    let canary = "canary-of-twenty-four-by";
    let coded = "Y2FuYXJ5LW9mLXR3ZW50eS1mb3VyLWJ5";
    for example in all_examples(&json!([{"value": coded}])) {
        let settings = settings(example.clone());
        let verifier = Verifier::new(source(), &settings).expect("a verifier");
        let signer = signer(example.clone());
        let headers = signed(example, "msg_1", NOW, canary.as_bytes());
        let signature = headers.iter().map(|(_, value)| value.to_str().expect("ASCII")).max_by_key(|text| text.len());
        let signature = signature.expect("a signature");
        let good = verifier.verify(delivery(&headers, canary.as_bytes()), at(NOW));
        let bad = verifier.verify(delivery(&headers, b"altered"), at(NOW));
        let stale = verifier.verify(delivery(&headers, canary.as_bytes()), at(NOW + 1_000_000));
        let shown = format!("{settings:?} {verifier:?} {signer:?} {good:?} {bad:?} {stale:?} {bad:#?} {stale:#?}");
        for hidden in [canary, coded, signature] {
            assert!(!shown.contains(hidden), "{hidden} is shown in {shown}");
        }
    }
}

#[test]
fn secrets_that_no_header_could_bring_are_refused() {
    for (scheme, secret) in [
        ("bearer", "two words"),
        ("bearer", "\u{e9}"),
        ("basic", "no-colon"),
        ("okta-event-hook", " blank"),
        ("okta-event-hook", "line\nbreak"),
    ] {
        let value = json!({"scheme": scheme, "secrets": [{"value": secret}]});
        assert_eq!(fields(value), ["secrets[0]"], "{scheme}: {secret:?}");
    }
}

#[test]
fn a_scheme_that_signs_nothing_is_mentioned_where_another_could_be_chosen() {
    for example in all_examples(&secrets()) {
        let warned = settings(example.clone())
            .warnings(false)
            .iter()
            .any(|warning| warning.to_string().contains("signs nothing"));
        let wanted = ["bearer", "basic", "static-header"].contains(&example["scheme"].as_str().expect("a name"));
        assert_eq!(warned, wanted, "{example}");
    }
}

#[test]
fn a_tolerance_without_effect_is_mentioned() {
    let warnings = |value| settings(value).warnings(false).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(warnings(json!({"scheme": "github", "secrets": secrets(), "tolerance": "5m"})).len(), 1);
    assert_eq!(warnings(json!({"scheme": "github", "secrets": secrets()})).len(), 0);
    assert_eq!(warnings(json!({"scheme": "standard-webhooks", "secrets": secrets(), "tolerance": "5m"})).len(), 0);
}

#[test]
fn the_schema_lists_every_key_and_takes_what_the_types_take() {
    let schema = serde_json::to_value(schema_for!(VerifySettings)).expect("a schema");
    let properties = schema["properties"].as_object().expect("properties");
    assert_eq!(properties.len(), 16);
    assert_eq!(schema["additionalProperties"], json!(false));
    let validator = jsonschema::validator_for(&schema).expect("a valid schema");
    for example in all_examples(&secrets()) {
        for key in example.as_object().expect("settings").keys() {
            assert!(properties.contains_key(key), "{key} is not in the schema");
        }
        assert!(validator.is_valid(&example), "{example}");
        let written = serde_json::to_value(settings(example.clone())).expect("settings can be written");
        assert_eq!(settings(written), settings(example));
    }
    for scheme in SignatureScheme::ALL {
        assert_eq!(serde_json::to_value(scheme).expect("a name"), json!(scheme.as_str()));
    }
}

#[test]
fn the_documentation_has_every_scheme_and_its_examples_work() {
    let page = include_str!("../../docs/sources/signatures.md");
    let examples = page.lines().filter(|line| line.starts_with('|')).filter_map(|line| {
        let cell = line.split(" | ").nth(1)?;
        cell.strip_prefix("`{").map(|_| cell.trim_matches('`'))
    });
    let mut seen = Vec::new();
    for example in examples {
        let settings: VerifySettings =
            serde_saphyr::from_str(example).unwrap_or_else(|wrong| panic!("{example}: {wrong}"));
        assert_eq!(settings.validate(), Vec::new(), "{example}");
        seen.push(settings.scheme);
    }
    let missing: Vec<_> = SignatureScheme::ALL.into_iter().filter(|scheme| !seen.contains(scheme)).collect();
    assert_eq!(missing, Vec::new());
}
