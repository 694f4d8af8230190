//! Ids and tokens of the shapes that providers use. Unguessable, so that no test passes by predicting one.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `prefix` followed by letters and digits, `length` characters in all.
pub(super) fn random(prefix: &str, length: usize) -> String {
    let mut noise = vec![0_u8; length.saturating_sub(prefix.len())];
    aws_lc_rs::rand::fill(&mut noise).expect("the system's random source works");
    // The bias of the remainder does not matter here: these guard nothing outside one process.
    let letters = noise.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
    prefix.chars().chain(letters).collect()
}
