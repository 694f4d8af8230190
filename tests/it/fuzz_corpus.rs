//! The fuzz targets without a fuzzer: over the committed inputs, and over a bounded number of changes of them.
//!
//! Which changes is decided by a seed, which a failure prints together with the input. `SEVER_FUZZ_SEED` repeats it,
//! `SEVER_FUZZ_INPUTS` asks for more of them than the usual run makes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "to the fuzzer it is a crate of its own")]
mod targets;

/// Changed inputs of each target in the usual run.
const INPUTS: u64 = 400;

/// Longer inputs are for the fuzzer: most targets take time in proportion.
const LONGEST_BYTES: usize = 64 << 10;

/// Pieces that parsers stumble over.
const TOKENS: [&[u8]; 36] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b";",
    b"=",
    b".",
    b"'",
    b"\\",
    b"\n",
    b"\n\n",
    b"\0",
    b"\xff",
    b"\xc3\x28",
    b"\\ud800",
    b"\\u0000",
    b"null",
    b"1e999",
    b"-0.0",
    b"99999999999999999999",
    b"9007199254740993",
    b"18446744073709551616",
    b"{\"a\":1,\"a\":2}",
    b"\"a.b\":",
    b"..",
    b"me",
    b"%2e%2e",
    b"\xe2\x80\xae",
    b"v1,",
    b"sha256=",
    b"v1a,",
    b"2026-11-21T22:14:07Z",
    b"1790000000",
];

/// A small generator of numbers (Marsaglia, "Xorshift RNGs", 2003): all that matters is that a seed gives the same ones.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Some changes of one input, now and then with a part of another.
fn changed(numbers: &mut Numbers, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + numbers.below(16)).min(bytes.len());
        match numbers.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = numbers.below(256) as u8,
            2 => drop(bytes.drain(at..end)),
            3 => insert(&mut bytes, at, TOKENS[numbers.below(TOKENS.len())]),
            4 => bytes.truncate(at),
            5 => {
                let piece = bytes[at..end].to_vec();
                insert(&mut bytes, at, &piece.repeat(1 + numbers.below(200)));
            }
            6 => {
                let from = numbers.below(other.len() + 1);
                let to = (from + numbers.below(200)).min(other.len());
                insert(&mut bytes, at, &other[from..to]);
            }
            _ => insert(&mut bytes, at, &TOKENS[numbers.below(TOKENS.len())].repeat(1 + numbers.below(1000))),
        }
    }
    bytes.truncate(LONGEST_BYTES);
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(bytes.splice(at..at, piece.iter().copied()));
}

#[expect(clippy::disallowed_methods, reason = "a longer run, or the same again, is asked for by the environment")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| std::fs::read(file).expect("an input")).collect()
}

/// Leaves the input where the fuzzer can take it up.
fn try_out(name: &str, target: fn(&[u8]), input: &[u8], told: &str) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        std::fs::write(&file, input).expect("written");
        panic!("{name} fails over {told}: the input is in {}", file.display());
    }
}

fn run(name: &str) {
    let (_, target) = *targets::TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    let inputs = corpus(name);
    for input in &inputs {
        try_out(name, target, input, "the corpus");
    }
    let seed = asked("SEVER_FUZZ_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0) | 1;
    let mut numbers = Numbers(seed);
    for _ in 0..asked("SEVER_FUZZ_INPUTS").unwrap_or(INPUTS) {
        let (one, other) = (numbers.below(inputs.len()), numbers.below(inputs.len()));
        let input = changed(&mut numbers, &inputs[one], &inputs[other]);
        try_out(name, target, &input, &format!("SEVER_FUZZ_SEED={seed}"));
    }
}

#[test]
fn no_bytes_are_authentic_that_nobody_signed() {
    run("verify");
}

#[test]
fn what_is_altered_vouches_for_nothing_new() {
    run("altered");
}

#[test]
fn no_structured_fields_are_a_signature() {
    run("rfc9421");
}

#[test]
fn every_body_ends_as_alerts_about_somebody_or_as_problems() {
    run("decode");
}

#[test]
fn every_expression_over_every_payload_ends_within_bounds() {
    run("mapping");
}

#[test]
fn what_comes_through_the_strainer_can_be_read() {
    run("amqp");
}

#[test]
fn every_file_is_a_config_or_is_told_why_not() {
    run("config");
}

/// What the fuzzer builds is what is run here.
#[test]
fn every_target_has_a_corpus_and_an_entry_for_the_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
    for (name, _) in targets::TARGETS {
        let entry = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).expect("an entry");
        assert!(entry.contains(&format!("sever_fuzz::{name}::run(input)")), "{entry}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        assert!(folder.join("corpus").join(name).is_dir(), "{name}");
    }
    let entries = std::fs::read_dir(folder.join("fuzz_targets")).expect("entries").count();
    assert_eq!(entries, targets::TARGETS.len());
}
