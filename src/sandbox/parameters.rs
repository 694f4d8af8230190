//! Query strings and form bodies: pairs of known names, each at most once.

use percent_encoding::percent_decode_str;

/// Decoded pairs, in the order sent.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Fails with a sentence about the first thing that is wrong.
    pub(super) fn parse(raw: &str, allowed: &[&str]) -> Result<Self, String> {
        let pairs = pairs(raw)?;
        match pairs.iter().find(|(name, _)| !allowed.contains(&name.as_str())) {
            Some((name, _)) => Err(format!("{name}: unknown parameter")),
            None => Ok(Self(pairs)),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `None` for anything but the lower-case words.
    pub(super) fn boolean(&self, name: &str, default: bool) -> Option<bool> {
        match self.get(name) {
            None => Some(default),
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => None,
        }
    }
}

/// Decoded pairs of any names, each at most once. Fails with a sentence about the first thing that is wrong.
pub(super) fn pairs(raw: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in raw.split('&').filter(|_| !raw.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair}: a value is missing"))?;
        let (name, value) = (decoded(name)?, decoded(value)?);
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(format!("{name}: occurs twice"));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn decoded(raw: &str) -> Result<String, String> {
    let blanks = raw.replace('+', " ");
    if has_broken_escape(&blanks) {
        return Err("a percent sign is not followed by two hexadecimal digits".to_owned());
    }
    let text = percent_decode_str(&blanks).decode_utf8().map_err(|_| "not UTF-8".to_owned())?;
    Ok(text.into_owned())
}

/// A percent sign that two hexadecimal digits do not follow.
pub(super) fn has_broken_escape(raw: &str) -> bool {
    raw.split('%').skip(1).any(|rest| {
        let digits = rest.as_bytes().get(..2);
        !digits.is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
    })
}
