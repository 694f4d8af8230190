//! Which stage may import which, compared with every `crate::`, `super::` and (in `main.rs`) `sever::` path in `src`.
//!
//! Paths are found among the tokens of a file, so those in expressions, types and macros count like those in `use`.

use std::path::Path;

use syn::buffer::Cursor;
use syn::parse::{Parse, ParseStream};

/// Each stage with what it may import besides itself: a stage, or one item of it. A new top-level module needs a line.
const STAGES: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    ("app", &["*"]),
    ("lifecycle", &[]),
    (
        "config",
        &[
            "admin", "audit", "clock", "decode", "domain", "ingest", "notify", "policy", "provider", "settings",
            "store", "tls", "verify", "worker",
        ],
    ),
    ("telemetry", &["clock", "domain", "settings"]),
    ("listener", &["lifecycle", "tls"]),
    ("live", &[]),
    ("clock", &[]),
    ("audit", &["domain", "settings"]),
    ("domain", &[]),
    ("expression", &[]),
    ("schedule", &[]),
    // A broker is reached in one way, whoever publishes, looks or consumes.
    (
        "notify",
        &[
            "clock",
            "domain",
            "ingest::AmqpTls",
            "ingest::BrokerUrl",
            "ingest::Link",
            "ingest::LinkError",
            "lifecycle",
            "schedule",
            "settings",
            "store",
            "verify::Signer",
            "verify::VerifySettings",
        ],
    ),
    ("sealer", &["audit", "clock", "lifecycle", "store"]),
    ("settings", &["domain"]),
    (
        "ingest",
        &[
            "clock",
            "decode",
            "domain",
            "lifecycle",
            "listener",
            "live",
            "policy",
            "schedule",
            "settings",
            "store",
            "tls",
            "verify",
        ],
    ),
    ("tls", &["live", "settings"]),
    ("verify", &["clock", "domain", "settings"]),
    // Only the verifier makes a `Verified`, so bytes that are not authentic cannot be decoded.
    ("decode", &["domain", "expression", "settings", "verify::Verified"]),
    ("policy", &["domain", "expression", "settings"]),
    ("store", &["audit", "clock", "domain", "settings"]),
    ("worker", &["clock", "domain", "lifecycle", "live", "policy", "provider", "schedule", "settings", "store"]),
    ("provider", &["clock", "domain", "settings"]),
    ("admin", &["audit", "clock", "domain", "ingest", "policy", "provider", "settings", "store", "tls"]),
    (
        "cli",
        &[
            // A document.
            "admin::openapi",
            "app",
            "audit",
            "clock",
            "config",
            "decode",
            "domain",
            // A broker is reached in one way, whoever publishes, looks or consumes.
            "ingest::Address",
            "ingest::AmqpSettings",
            "ingest::AmqpTls",
            "ingest::BrokerUrl",
            "ingest::Link",
            "ingest::LinkError",
            "ingest::dead_letter_queue",
            "ingest::look",
            // What the admin API and the alert listener answer: data without behaviour, so that the two ends agree.
            "ingest::Problem",
            "ingest::RefusalView",
            "ingest::SourceSettings",
            "lifecycle",
            "policy",
            "provider",
            "sandbox",
            "settings",
            // What operators see, read back from the API; `demo` asks the store itself.
            "store::AlertReceipt",
            "store::AlertView",
            "store::BudgetView",
            "store::BulkDone",
            "store::AuditView",
            "store::GateView",
            "store::JobDetail",
            "store::JobReceipt",
            "store::JobView",
            "store::Operations",
            "store::Page",
            "store::QuarantineView",
            "store::Receipt",
            "store::ReceiptStatus",
            "store::ReplicaView",
            "store::ShareView",
            "store::Skipped",
            "store::StatusView",
            // A record is checked from the file: a service that was taken over would lie.
            "store::read_audit",
            // Certificates are read in one way.
            "tls::certificates",
            "verify",
        ],
    ),
    // Written from the providers' documentation: sharing code with our client would hide the client's mistakes.
    ("sandbox", &["clock"]),
];

/// What any stage may use: names of metrics and span fields.
const EVERYWHERE: &[&str] = &["telemetry"];

/// What tests inside `src` may use besides: a clock moved by hand, and stand-ins.
const IN_TESTS: &[&str] = &["clock", "sandbox"];

#[test]
fn every_import_is_in_the_table() {
    let faults: Vec<_> = sources().iter().flat_map(|(file, text)| faults(file, text)).collect();
    assert!(faults.is_empty(), "{}\nMove the code, or argue for a change of STAGES.", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "these files do not open with `//!`: {}", silent.join(", "));
}

/// `store/postgres/flight.rs` says why.
#[test]
fn no_statement_has_postgresql_copy_every_column_first() {
    let takes_several = |call: &str| {
        let arguments = call.split(')').next().unwrap_or_default();
        arguments.contains('$') && arguments.contains(',')
    };
    let (mut calls, mut slow) = (0, Vec::new());
    for (file, text) in sources().into_iter().filter(|(file, _)| file.starts_with("store/postgres/")) {
        for call in text.split("unnest(").skip(1) {
            calls += 1;
            slow.extend(takes_several(call).then(|| file.clone()));
        }
    }
    assert!(calls > 50, "{calls} uses of unnest are found");
    assert!(
        slow.is_empty(),
        "an `unnest` of several parameters, in {slow:?}; give each its own in the list of a SELECT"
    );
}

#[test]
fn a_forbidden_stage_is_found_wherever_it_is_named() {
    for text in [
        "use crate::store::JobStore;",
        "use crate::{domain::Job, store};",
        "use crate::{domain::{self, Job}, store::{JobStore, open}};",
        "fn f() { crate::store::open() }",
        "fn f() { for _ in crate::store::all() {} }",
        "fn f(_: &dyn super::super::store::JobStore) {}",
        "use super::{super::store::JobStore, Policy};",
        "mod inner { use super::super::super::store::JobStore; }",
        "fn f() { tokio::select! { _ = crate::store::open() => {} } }",
        "macro_rules! m { () => { $crate::store::open() } }",
        "#[cfg(test)] mod tests { use crate::store::JobStore; }",
    ] {
        let found = faults("policy/rule.rs", text);
        assert_eq!(found, ["policy/rule.rs: `policy` may not use `store`"], "{text}");
    }
}

#[test]
fn of_verify_decode_may_use_only_the_verified_delivery() {
    for text in
        ["use crate::verify::Verifier;", "use crate::verify;", "use crate::verify::*;", "use crate::verify::{self};"]
    {
        assert_eq!(faults("decode/mod.rs", text), ["decode/mod.rs: `decode` may not use `verify`"], "{text}");
    }
    assert_eq!(faults("decode/mod.rs", "use crate::verify::{Verified}; type V = crate::verify::Verified;"), [""; 0]);
}

#[test]
fn the_sandbox_uses_nothing_of_the_providers() {
    let found = faults("sandbox/okta.rs", "use crate::clock::Clock; use crate::provider::okta::Settings;");
    assert_eq!(found, ["sandbox/okta.rs: `sandbox` may not use `provider`"]);
}

#[test]
fn the_whole_crate_and_what_is_not_a_stage_are_found() {
    assert_eq!(faults("policy/mod.rs", "use crate as all;").len(), 1);
    assert_eq!(faults("policy/mod.rs", "use crate::{self as all};").len(), 1);
    assert_eq!(faults("policy/mod.rs", "use crate::*;").len(), 1);
    assert_eq!(
        faults("novelty.rs", "//! New."),
        ["novelty.rs: `novelty` has no line in STAGES of tests/it/layering.rs"]
    );
    assert_eq!(faults("main.rs", "fn main() { sever::app::run() }"), ["main.rs: `main` may not use `app`"]);
}

#[test]
fn what_the_table_allows_is_not_found() {
    for (file, text) in [
        (
            "policy/rule.rs",
            "use super::Policy; use crate::domain::Alert; use crate::policy::Plan; use crate::telemetry::X;",
        ),
        ("policy/rule.rs", "#[cfg(test)] mod tests { use super::*; use crate::clock::ManualClock; }"),
        ("policy/tests.rs", "use crate::sandbox::Okta;"),
        ("policy/mod.rs", "pub(crate) struct A; mod deep { pub(super) struct B; pub(in super::super) struct C; }"),
        (
            "policy/mod.rs",
            "/// [`crate::store::JobStore`] keeps it.\nstruct Documented; const TEXT: &str = \"crate::store\";",
        ),
        ("app.rs", "use crate::{store, worker};"),
        ("main.rs", "fn main() { sever::cli::run() }"),
    ] {
        assert_eq!(faults(file, text), [""; 0], "{file}: {text}");
    }
    assert_eq!(faults("policy/rule.rs", "use crate::clock::Clock;").len(), 1, "the clock is for tests only there");
}

/// Every file under `src` with its text, by its path from there.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
                found.push((file, std::fs::read_to_string(&path).expect("a source file is text")));
            }
        }
    }
    assert!(found.iter().any(|(file, _)| file == "lib.rs"), "no sources found in {}", root.display());
    found.sort();
    found
}

/// What the file at this path below `src` imports outside the table.
fn faults(file: &str, text: &str) -> Vec<String> {
    let names: Vec<&str> = file.trim_end_matches(".rs").split('/').filter(|name| *name != "mod").collect();
    let stage = names[0];
    let Some((_, allowed)) = STAGES.iter().find(|(name, _)| *name == stage) else {
        return vec![format!("{file}: `{stage}` has no line in STAGES of tests/it/layering.rs")];
    };
    let is_root = matches!(names[..], ["main" | "lib"]);
    let module = if is_root { Vec::new() } else { names.iter().map(|name| (*name).to_owned()).collect() };
    let mut finder = Finder { is_main: stage == "main", imports: Vec::new() };
    let Tokens(tokens) = syn::parse_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    finder.walk(&tokens, &module, names.last() == Some(&"tests"));

    let is_allowed = |import: &Import| {
        let tests = if import.in_test { IN_TESTS } else { &[] };
        let mut rules = allowed.iter().chain(EVERYWHERE).chain(tests);
        import.path.first().is_some_and(|first| first == stage) || rules.any(|rule| covers(rule, &import.path))
    };
    let named = |import: &Import| import.path.first().map_or("the whole crate", String::as_str).to_owned();
    let mut found: Vec<_> = finder.imports.iter().filter(|import| !is_allowed(import)).map(named).collect();
    found.dedup();
    found.into_iter().map(|name| format!("{file}: `{stage}` may not use `{name}`")).collect()
}

fn covers(rule: &str, path: &[String]) -> bool {
    let is_stage = path.first().is_some_and(|first| STAGES.iter().any(|(name, _)| name == first));
    (rule == "*" && is_stage)
        || rule.split("::").enumerate().all(|(at, part)| path.get(at).is_some_and(|name| name == part))
}

/// A path from the crate's root.
struct Import {
    path: Vec<String>,
    in_test: bool,
}

struct Finder {
    is_main: bool,
    imports: Vec<Import>,
}

impl Finder {
    fn walk(&mut self, tokens: &[Token], module: &[String], in_test: bool) {
        for (at, token) in tokens.iter().enumerate() {
            let (before, after) = (&tokens[..at], &tokens[at + 1..]);
            match token {
                // `pub(in path)` gives and takes nothing.
                Token::Word(_) if matches!(before, [only] if only.is("in")) => {}
                Token::Group(inner) => {
                    let inside = inline_module(before).map_or(module.to_vec(), |name| below(module, name));
                    self.walk(inner, &inside, in_test || (inside != module && is_test(before)));
                }
                Token::Word(word) if word == "crate" || (self.is_main && word == "sever") => {
                    self.add(&[], tails(after), in_test);
                    if before.last().is_some_and(|token| token.is("use"))
                        && after.first().is_some_and(|token| token.is("as"))
                    {
                        self.add(&[], vec![Vec::new()], in_test);
                    }
                }
                // A chain of them is read from its first.
                Token::Word(word) if word == "super" && !follows(before, "super") => {
                    let (_, parents) = module.split_last().unwrap_or((&String::new(), &[]));
                    self.add(parents, tails(after), in_test);
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, base: &[String], tails: Vec<Vec<String>>, in_test: bool) {
        for tail in tails {
            let mut path = base.to_vec();
            for segment in tail {
                match segment.as_str() {
                    "self" => {}
                    "super" => drop(path.pop()),
                    _ => path.push(segment),
                }
            }
            self.imports.push(Import { path, in_test });
        }
    }
}

fn below(module: &[String], name: &str) -> Vec<String> {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// The name in `mod name`, if that is what a group follows.
fn inline_module(before: &[Token]) -> Option<&str> {
    match before {
        [.., keyword, Token::Word(name)] if keyword.is("mod") => Some(name),
        _ => None,
    }
}

/// `#[cfg(test)] mod name`
fn is_test(before: &[Token]) -> bool {
    let [.., Token::Group(attribute), _, _] = before else { return false };
    matches!(&attribute[..], [cfg, Token::Group(what)] if cfg.is("cfg") && matches!(&what[..], [test] if test.is("test")))
}

fn follows(before: &[Token], word: &str) -> bool {
    matches!(before, [.., first, Token::Punct(':'), Token::Punct(':')] if first.is(word))
}

/// What may come after a path's first word, each branch of a `{}` by itself. Empty where no path goes on.
fn tails(tokens: &[Token]) -> Vec<Vec<String>> {
    match tokens {
        [Token::Punct(':'), Token::Punct(':'), rest @ ..] => branches(rest),
        _ => Vec::new(),
    }
}

fn branches(tokens: &[Token]) -> Vec<Vec<String>> {
    match tokens {
        [Token::Word(word), rest @ ..] => {
            let tails = tails(rest);
            let tails = if tails.is_empty() { vec![Vec::new()] } else { tails };
            tails.into_iter().map(|tail| [vec![word.clone()], tail].concat()).collect()
        }
        [Token::Punct('*'), ..] => vec![vec!["*".to_owned()]],
        [Token::Group(inner), ..] => {
            inner.split(|token| matches!(token, Token::Punct(','))).flat_map(branches).collect()
        }
        _ => Vec::new(),
    }
}

/// A token, with no more told apart than paths need.
enum Token {
    Word(String),
    Punct(char),
    Group(Vec<Token>),
    Other,
}

impl Token {
    fn is(&self, text: &str) -> bool {
        matches!(self, Self::Word(word) if word == text)
    }
}

struct Tokens(Vec<Token>);

impl Parse for Tokens {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        input.step(|cursor| {
            let (tokens, end) = read(*cursor);
            Ok((Self(tokens), end))
        })
    }
}

fn read(mut cursor: Cursor<'_>) -> (Vec<Token>, Cursor<'_>) {
    let mut tokens = Vec::new();
    while !cursor.eof() {
        let (token, next) = if let Some((word, next)) = cursor.ident() {
            (Token::Word(word.to_string()), next)
        } else if let Some((punct, next)) = cursor.punct() {
            (Token::Punct(punct.as_char()), next)
        } else if let Some((inner, _, _, next)) = cursor.any_group() {
            (Token::Group(read(inner).0), next)
        } else {
            (Token::Other, cursor.token_tree().expect("not at the end").1)
        };
        tokens.push(token);
        cursor = next;
    }
    (tokens, cursor)
}
