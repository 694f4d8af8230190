//! Documents as people write and mistype them, against types that are built like the settings.
#![expect(dead_code, reason = "most fields are here to be decoded")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Document, Problems};
use crate::domain::SourceName;
use crate::settings::{Duration, SecretRef};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Root {
    listen: String,
    #[serde(default)]
    store: Option<Store>,
    #[serde(default)]
    sources: BTreeMap<SourceName, Source>,
    #[serde(default)]
    providers: BTreeMap<String, Provider>,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    anything: serde_json::Value,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Store {
    Url(String),
    Reference { url: SecretRef },
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Source {
    verify: Verify,
    #[serde(default)]
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "scheme", rename_all = "kebab-case", deny_unknown_fields)]
enum Verify {
    StandardWebhooks {
        secrets: Vec<SecretRef>,
        #[serde(default)]
        tolerance: Option<Duration>,
    },
    Hmac {
        header: String,
        #[serde(default)]
        algorithm: Algorithm,
        #[serde(default)]
        owner: Option<SourceName>,
    },
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    /// With a description, which makes a `oneOf` of the schema.
    #[default]
    Sha256,
    Sha512,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Provider {
    #[serde(default)]
    timeout: Option<Duration>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind {
    Okta(Okta),
    Slack {
        #[serde(default)]
        team_ids: Vec<String>,
    },
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Okta {
    url: String,
    #[serde(default)]
    oauth_tokens: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    #[serde(default)]
    revoke: Vec<Target>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Target {
    provider: SourceName,
}

fn read(text: &str) -> Result<Root, Problems> {
    Document::parse(text, "sever.yaml")?.decode()
}

#[track_caller]
fn taken(text: &str) -> Root {
    read(text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[track_caller]
fn told(text: &str) -> Vec<String> {
    let problems = read(text).expect_err("the document was taken");
    problems.to_string().lines().map(str::to_owned).collect()
}

const GOOD: &str = r#"
listen: 0.0.0.0:8080
store: {url: {env: DATABASE_URL}}
sources:
  edr:
    verify: {scheme: standard-webhooks, secrets: [{env: EDR}, {file: /run/edr}], tolerance: 5m}
  other:
    verify: {scheme: hmac, header: X-Sig, algorithm: sha512, owner: edr}
    limit: 12
providers:
  okta: {kind: okta, url: "https://acme.okta.com", oauth_tokens: true, timeout: 10s}
  slack: {kind: slack, team_ids: [T0123ABCD, "0123"]}
rules:
  - name: "1e3"
    revoke: [{provider: okta}]
anything: {whatever: [1, no, 0123, 1e3]}
"#;

#[test]
fn a_good_document_decodes() {
    let root = taken(GOOD);
    assert_eq!(root.rules[0].name, "1e3");
    assert_eq!(root.rules[0].revoke[0].provider.as_str(), "okta");
    assert_eq!(root.anything, serde_json::json!({"whatever": [1, "no", "0123", 1000.0]}));
    assert!(matches!(root.store, Some(Store::Reference { url: SecretRef::Env(_) })));
    let Kind::Slack { team_ids } = &root.providers["slack"].kind else { panic!("{:?}", root.providers) };
    assert_eq!(team_ids, &["T0123ABCD", "0123"]);
    let Kind::Okta(okta) = &root.providers["okta"].kind else { panic!("{:?}", root.providers) };
    assert!(okta.oauth_tokens && okta.url.starts_with("https:"));
    assert!(matches!(root.sources[&"edr".parse().expect("a name")].verify, Verify::StandardWebhooks { .. }));
    assert!(read("listen: a\nstore: sqlite:///x\n").is_ok());
}

#[test]
fn every_unknown_key_is_told_at_once_with_its_line() {
    let text = r"
listen: x
sorces: {}
sources:
  edr:
    verify:
      scheme: standard-webhooks
      secrets: [{evn: EDR}]
      tolerence: 5m
providers:
  okta:
    kind: okta
    url: https://acme.okta.com
    team_ids: [T1]
    oauth-tokens: true
rules:
  - name: a
    revokes: []
";
    assert_eq!(
        told(text),
        [
            "sever.yaml:3: sorces: unknown key; did you mean `sources`?",
            "sever.yaml:8: sources.edr.verify.secrets[0].evn: unknown key; did you mean `env`?",
            "sever.yaml:9: sources.edr.verify.tolerence: unknown key; did you mean `tolerance`?",
            "sever.yaml:14: providers.okta.team_ids: unknown key; give one of `kind`, `oauth_tokens`, `timeout`, `url`",
            "sever.yaml:15: providers.okta.oauth-tokens: unknown key; did you mean `oauth_tokens`?",
            "sever.yaml:18: rules[0].revokes: unknown key; did you mean `revoke`?",
        ]
    );
}

#[test]
fn wrong_kinds_and_names_are_told_at_once() {
    let text = r"
listen: 8080
sources:
  a: {verify: {scheme: standard-webhoks, secrets: []}}
  b: {verify: {secrets: []}}
  c: {verify: {scheme: hmac, algorithm: sha265, header: no}}
  d: {verify: {scheme: standard-webhooks, secrets: whsec_c2VjcmV0, tolerance: 300}, limit: many}
  e: {verify: }
  f: {}
  g: {verify: {scheme: standard-webhooks, secrets: [{}], tolerance: 5 parsecs}, limit: 0123}
providers:
  okta: {kind: okta, url: https://a, oauth_tokens: yes}
  slack: {kind: slack, team_ids: [0123, 1e3, true]}
rules: {name: a}
";
    let told = told(text);
    let quote = "text is expected here; quote it, for YAML reads it as something else";
    let number = "write a plain decimal number, without leading zeros, underscores or another base";
    for expected in [
        &format!("sever.yaml:2: listen: {quote}"),
        "sever.yaml:4: sources.a.verify.scheme: `standard-webhoks` is not known; did you mean `standard-webhooks`?",
        "sever.yaml:5: sources.b.verify: `scheme` is missing; give one of `standard-webhooks`, `hmac`",
        "sever.yaml:6: sources.c.verify.algorithm: `sha265` is not known; did you mean `sha256`?",
        &format!("sever.yaml:6: sources.c.verify.header: {quote}"),
        "sever.yaml:7: sources.d.verify.secrets: a list is expected here, and text is given",
        "sever.yaml:7: sources.d.limit: a whole number is expected here, and text is given",
        "sever.yaml:8: sources.e.verify: nothing is given here; give a mapping or remove the key",
        "sever.yaml:9: sources.f: `verify` is missing",
        "sever.yaml:10: sources.g.verify.secrets[0]: a key is missing; give one of `env`, `file`, `value`",
        &format!("sever.yaml:10: sources.g.limit: {number}"),
        "sever.yaml:12: providers.okta.oauth_tokens: write true or false",
        &format!("sever.yaml:13: providers.slack.team_ids[0]: {quote}"),
        &format!("sever.yaml:13: providers.slack.team_ids[1]: {quote}"),
        &format!("sever.yaml:13: providers.slack.team_ids[2]: {quote}"),
        "sever.yaml:14: rules: a list is expected here, and a mapping is given",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}\nis not among\n{}", told.join("\n"));
    }
    let units: Vec<_> = told.iter().filter(|line| line.contains("is not a length of time")).collect();
    assert!(units.len() == 2 && units[0].contains(".tolerance: \"300\""), "{units:?}");
    assert_eq!(told.len(), 18, "{}", told.join("\n"));
    assert!(!told.concat().contains("whsec_"), "a secret in the wrong place is not shown");
}

#[test]
fn typed_errors_of_all_entries_are_told_with_their_lines() {
    let text = r"
listen: x
sources:
  Bad Name: {verify: {scheme: hmac, header: X}}
  good:
    verify:
      scheme: hmac
      header: X
      owner: Not A Name
  big: {verify: {scheme: hmac, header: X}, limit: 4294967296}
rules:
  - {name: a, revoke: [{provider: fine}, {provider: NOT}]}
  - {name: b, revoke: [{provider: also-fine}]}
  - {name: c, revoke: [{provider: NEITHER}, {provder: x}, {provider: NOR}]}
";
    let told = told(text);
    let places: Vec<_> = told.iter().map(|line| line.splitn(4, ": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        places,
        [
            "sever.yaml:4 sources.Bad Name",
            "sever.yaml:9 sources.good.verify.owner",
            "sever.yaml:10 sources.big.limit",
            "sever.yaml:12 rules[0].revoke[1].provider",
            "sever.yaml:14 rules[2].revoke[0].provider",
            "sever.yaml:14 rules[2].revoke[1].provder",
            "sever.yaml:14 rules[2].revoke[2].provider",
        ],
        "{}",
        told.join("\n")
    );
}

#[test]
fn keys_given_twice_are_refused() {
    let text = "listen: a\nsources:\n  x: 1\n  'x': 2\nlisten: b\n";
    assert_eq!(
        told(text),
        [
            "sever.yaml:4: sources.x: `x` is given twice; keep one of them",
            "sever.yaml:5: listen: `listen` is given twice; keep one of them"
        ]
    );
}

#[test]
fn what_is_not_one_yaml_document_is_refused() {
    for empty in ["", "\n\n", "# only a comment\n", "---\n", "~"] {
        assert_eq!(told(empty), ["sever.yaml: the file is empty"], "{empty:?}");
    }
    for (text, message) in [
        ("a: 1\n---\nb: 2\n", "a second document starts here"),
        ("sources:\n\tedr: 1\n", "this is not YAML"),
        ("signed: {timestamp}.{body}\n", "this is not YAML"),
        ("a: [1, 2\n", "this is not YAML"),
        ("%YAML 1.1\n---\na: 1\n", "this is not YAML"),
        ("a: !include b.yaml\n", "tags are not supported"),
        ("? [a]\n: 1\n", "a key is plain text"),
        ("base: &b {x: 1}\nlisten:\n  <<: *b\n", "merge keys are not supported"),
    ] {
        let told = told(text).concat();
        assert!(told.contains(message) && told.starts_with("sever.yaml:"), "{text:?}: {told}");
    }
    assert_eq!(told("listen\n"), ["sever.yaml:1: a mapping is expected here, and text is given"]);
    assert!(
        told("sources:\n\tedr: 1\n").concat().contains(":2: this is not YAML"),
        "{:?}",
        told("sources:\n\tedr: 1\n")
    );
}

#[test]
fn size_depth_and_aliases_are_bounded() {
    let refused = |text: &[u8]| Document::parse(text, "f").expect_err("it was taken").to_string();
    assert!(refused(&vec![b'a'; 10 << 20]).contains("larger than"));
    assert!(refused(b"a: 1\nb: \xff\n").contains("line 2 is not UTF-8"));
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let nested = format!("{}{}", open.repeat(10_000), close.repeat(10_000));
        refused(nested.as_bytes());
    }
    let stairs: String = (0..5_000).map(|depth| format!("{}a:\n", " ".repeat(depth.min(200)))).collect();
    refused(stairs.as_bytes());
    let laughs: String =
        (1..30).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(","))).collect();
    assert!(refused(format!("a0: &a0 [x]\n{laughs}").as_bytes()).contains("aliases counted in full"));
    let chain: String = (1..200).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
    assert!(refused(format!("a0: &a0 [x]\n{chain}").as_bytes()).contains("levels deep"));
    assert!(refused(b"a: &a [*a]\n").contains("inside its own anchor"));
    assert!(refused(b"a: *nobody\n").contains("not YAML"));
}

#[test]
fn an_alias_stands_for_its_value() {
    let text = "listen: x\nsources:\n  a: &a {verify: {scheme: hmac, header: X}}\n  b: *a\n";
    assert_eq!(taken(text).sources.len(), 2);
}

#[test]
fn a_path_is_located_or_its_nearest_ancestor() {
    let document = Document::parse(GOOD, "sever.yaml").expect("it is YAML");
    assert_eq!(document.locate("sources.edr.verify.secrets[1]"), Some((6, 63)));
    assert_eq!(document.locate("sources.other.limit"), Some((9, 5)));
    assert_eq!(document.locate("sources.other.absent[3].x"), Some((7, 3)));
    assert_eq!(document.locate("nothing.of.it"), None);
    let mut problems = document.problems();
    problems.push(document.problem("sources.other.limit", "too many"));
    problems.push(document.problem("listen", "open to all").as_warning());
    assert_eq!(
        problems.to_string(),
        "sever.yaml:2: warning: listen: open to all\nsever.yaml:9: sources.other.limit: too many"
    );
    assert!(problems.has_errors());
}

#[test]
fn a_file_that_is_absent_is_told() {
    let problems = Document::load(std::path::Path::new("/nowhere/sever.yaml")).expect_err("it was read");
    assert!(problems.to_string().contains("could not be read"), "{problems}");
}

#[test]
fn windows_lines_and_a_byte_order_mark_are_read() {
    assert_eq!(taken("\u{feff}listen: x\r\nrules: []\r\n").listen, "x");
}

#[test]
fn an_error_that_quotes_a_secret_is_not_passed_on() {
    #[derive(Debug, Deserialize, JsonSchema)]
    struct Owner {
        secret: BTreeMap<String, SourceName>,
    }
    let document = Document::parse("secret: {value: Tr0ub4dor}", "f").expect("it is YAML");
    let problems = document.decode::<Owner>().expect_err("it was taken").to_string();
    assert_eq!(problems, "f:1: secret.value: this secret has the wrong form");
}

proptest::proptest! {
    #[test]
    fn no_edit_of_a_document_brings_the_reader_down(at in 0..GOOD.len(), gone in 0..20_usize, new in "[\\PC\n\t]{0,12}") {
        let end = (at + gone).min(GOOD.len());
        let edited = format!("{}{new}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(problems) = read(&edited) {
            assert!(!problems.is_empty() && problems.to_string().starts_with("sever.yaml:"));
        }
    }
}

#[test]
fn a_megabyte_of_mistakes_is_told_in_a_moment() {
    let keys: String = (0..40_000).map(|n| format!("k{n}: [{n}]\n")).collect();
    let items = format!("listen: x\nrules: [{}]", "{name: a, x: y},".repeat(30_000));
    for text in [keys, items] {
        assert!(text.len() < 1 << 20 && told(&text).len() >= 30_000);
    }
}
