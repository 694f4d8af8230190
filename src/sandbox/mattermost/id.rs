//! Mattermost's ids and tokens: 26 characters of z-base-32.

/// z-base-32: lower-case letters and digits, without those that are mistaken for others.
const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

const LENGTH: usize = 26;

/// A fresh id, unguessable, so that no test passes by predicting one.
pub(super) fn fresh() -> String {
    let mut noise = [0_u8; LENGTH];
    aws_lc_rs::rand::fill(&mut noise).expect("the system's random source works");
    noise.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// The form of an id; whether anything has it is another question.
pub(super) fn is_valid(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}
