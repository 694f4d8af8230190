//! Who may look in. The tokens themselves are forgotten once they are read: only their hashes stay.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::settings::{AdminSettings, Role, TokenSettings};

/// Shorter ones could be guessed over the network: 16 random base64 characters hold 96 bits.
const SHORTEST_TOKEN: usize = 16;

/// Names go into the audit record and logs.
const LONGEST_NAME: usize = 64;

/// The tokens of the config, hashed.
pub struct Tokens(Vec<Token>);

struct Token {
    name: String,
    role: Role,
    hash: [u8; 32],
}

impl Tokens {
    /// Reads the tokens. Fails with every problem at once, each with its path; no message shows a token.
    pub fn new(settings: &AdminSettings) -> Result<Self, Vec<(String, String)>> {
        let mut problems = Vec::new();
        if settings.tokens.is_empty() {
            let message = "holds no token, so nobody could look in; add one: \
                           [{name: oncall, role: operator, secret: {file: PATH}}]";
            problems.push(("admin.tokens".to_owned(), message.to_owned()));
        }
        let mut tokens: Vec<Token> = Vec::new();
        for (position, token) in settings.tokens.iter().enumerate() {
            let mut wrong = |key: &str, message: String| {
                problems.push((format!("admin.tokens[{position}].{key}"), message));
            };
            check_name(&token.name).unwrap_or_else(|message| wrong("name", message));
            match hashed(token) {
                Ok(hash) => tokens.push(Token { name: token.name.clone(), role: token.role, hash }),
                Err(message) => wrong("secret", message),
            }
        }
        problems.extend(repeated_names(settings));
        problems.extend(repeated_secrets(&tokens));
        if problems.is_empty() { Ok(Self(tokens)) } else { Err(problems) }
    }

    /// Whose token this is. Takes as long for a wrong one as for a right one: every token is compared.
    pub(super) fn holder(&self, presented: &[u8]) -> Option<(&str, Role)> {
        let hash: [u8; 32] = Sha256::digest(presented).into();
        let mut found = u64::MAX;
        for (position, token) in (0u64..).zip(&self.0) {
            found.conditional_assign(&position, token.hash.ct_eq(&hash));
        }
        let token = self.0.get(usize::try_from(found).ok()?)?;
        Some((&token.name, token.role))
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '+');
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    Err(format!("{name:?} is not a name: use 1 to 64 letters, digits and the signs - _ . @ +"))
}

fn hashed(token: &TokenSettings) -> Result<[u8; 32], String> {
    let secret = token.secret.resolve().map_err(|error| error.to_string())?;
    if secret.expose().chars().count() < SHORTEST_TOKEN {
        return Err(format!("is shorter than {SHORTEST_TOKEN} characters; make one with `openssl rand -hex 32`"));
    }
    if !secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has a blank or a sign beyond ASCII, which no header can carry; \
                    make one with `openssl rand -hex 32`"
            .to_owned());
    }
    Ok(Sha256::digest(secret.expose()).into())
}

/// The audit record could not tell them apart.
fn repeated_names(settings: &AdminSettings) -> Vec<(String, String)> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for (position, token) in settings.tokens.iter().enumerate() {
        if let Some(other) = first.get(token.name.as_str()) {
            let message = format!("{:?} is the name of admin.tokens[{other}] already; name each once", token.name);
            problems.push((format!("admin.tokens[{position}].name"), message));
        } else {
            first.insert(&token.name, position);
        }
    }
    problems
}

/// Whoever holds one would act under the name, and with the role, of the other.
fn repeated_secrets(tokens: &[Token]) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        if let Some(other) = tokens[..position].iter().find(|other| other.hash == token.hash) {
            let message = format!("{:?} has the same secret as {:?}; give each its own", token.name, other.name);
            problems.push(("admin.tokens".to_owned(), message));
        }
    }
    problems
}

/// Shows names and roles, and nothing that a token could be found from.
impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.0.iter().map(|token| (&token.name, token.role))).finish()
    }
}
