//! `Signature-Input` and `Signature` (RFC 9421 section 4), which are structured fields (RFC 8941).
//!
//! Only the one canonical spelling is taken, so that what is signed is what was received: a repeated label or parameter,
//! of which a parser keeps the last, is not canonical.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sfv::{Dictionary, FieldType, InnerList, Key, ListEntry, Parameters, Parser, Version};

use super::base;
use crate::verify::Reason;

/// Signatures in one delivery. A proxy may add its own to the sender's.
const MOST_SIGNATURES: usize = 4;

/// Components of one signature. Each is compared with the others and looked up before any key is.
const MOST_COMPONENTS: usize = 64;

/// A member of `Signature-Input`.
#[derive(Debug)]
pub(super) struct Input {
    /// Its label.
    pub(super) label: String,
    /// What is covered, in order.
    pub(super) components: Vec<String>,
    /// The list of components with its parameters, as received.
    pub(super) parameters: String,
    /// When it was signed.
    pub(super) created: Option<Timestamp>,
    /// When it stops to hold.
    pub(super) expires: Option<Timestamp>,
    /// Which key signed it.
    pub(super) key_id: Option<String>,
    /// By which algorithm, as the sender says.
    pub(super) algorithm: Option<String>,
}

/// Reads `Signature-Input`.
pub(super) fn inputs(text: &str) -> Result<Vec<Input>, Reason> {
    members(text)?.into_iter().map(|(label, entry, spelling)| input(label, entry, spelling)).collect()
}

/// Reads `Signature`: signatures by label.
pub(super) fn signatures(text: &str) -> Result<BTreeMap<String, Vec<u8>>, Reason> {
    let members = members(text)?.into_iter();
    members.map(|(label, entry, _)| Ok((label, signature_bytes(&entry).ok_or(Reason::MalformedSignature)?))).collect()
}

fn signature_bytes(entry: &ListEntry) -> Option<Vec<u8>> {
    let ListEntry::Item(item) = entry else { return None };
    item.bare_item.as_byte_sequence().filter(|_| item.params.is_empty()).map(<[u8]>::to_vec)
}

/// The members of a dictionary: label, value, and the value's spelling.
fn members(text: &str) -> Result<Vec<(String, ListEntry, String)>, Reason> {
    let parsed: Dictionary =
        Parser::new(text).with_version(Version::Rfc8941).parse().map_err(|_| Reason::MalformedHeader)?;
    if parsed.is_empty() || parsed.len() > MOST_SIGNATURES {
        return Err(Reason::MalformedHeader);
    }
    let mut rest = text;
    let mut members = Vec::with_capacity(parsed.len());
    for (number, (key, entry)) in parsed.into_iter().enumerate() {
        if number > 0 {
            let blank = [' ', '\t'];
            rest = rest.trim_start_matches(blank).strip_prefix(',').unwrap_or_default().trim_start_matches(blank);
        }
        let canonical = canonical(&key, &entry);
        rest = rest.strip_prefix(&*canonical).ok_or(Reason::MalformedHeader)?;
        let spelling = canonical[key.as_str().len()..].trim_start_matches('=').to_owned();
        members.push((key.into(), entry, spelling));
    }
    if rest.is_empty() { Ok(members) } else { Err(Reason::MalformedHeader) }
}

/// A member alone, as RFC 8941 section 4.1 writes it.
fn canonical(key: &Key, entry: &ListEntry) -> String {
    let alone: Dictionary = [(key.clone(), entry.clone())].into_iter().collect();
    alone.serialize().unwrap_or_default()
}

fn input(label: String, entry: ListEntry, parameters: String) -> Result<Input, Reason> {
    let ListEntry::InnerList(list) = entry else { return Err(Reason::MalformedHeader) };
    let components = components(&list)?;
    let given = &list.params;
    Ok(Input {
        label,
        components,
        parameters,
        created: time(given, "created")?,
        expires: time(given, "expires")?,
        key_id: string(given, "keyid")?,
        algorithm: string(given, "alg")?,
    })
}

/// Each once, and without parameters.
fn components(list: &InnerList) -> Result<Vec<String>, Reason> {
    if list.items.len() > MOST_COMPONENTS {
        return Err(Reason::MalformedHeader);
    }
    let mut names: Vec<String> = Vec::with_capacity(list.items.len());
    for item in &list.items {
        let name = item.bare_item.as_string().ok_or(Reason::MalformedHeader)?.as_str();
        if !item.params.is_empty() || names.iter().any(|other| other == name) || !base::is_component(name) {
            return Err(Reason::MalformedHeader);
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn time(parameters: &Parameters, name: &str) -> Result<Option<Timestamp>, Reason> {
    let Some(value) = parameters.get(name) else { return Ok(None) };
    let seconds: i64 = value.as_integer().ok_or(Reason::MalformedTimestamp)?.into();
    let time = (seconds > 0).then(|| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX));
    time.ok_or(Reason::MalformedTimestamp).map(Some)
}

fn string(parameters: &Parameters, name: &str) -> Result<Option<String>, Reason> {
    let Some(value) = parameters.get(name) else { return Ok(None) };
    value.as_string().map(|text| Some(text.as_str().to_owned())).ok_or(Reason::MalformedHeader)
}

/// The list of components with its parameters, as a signer writes it. The names and the id need no escapes.
pub(super) fn parameters(components: &[String], created: Timestamp, key_id: &str, algorithm: &str) -> String {
    let names: Vec<String> = components.iter().map(|name| format!("\"{name}\"")).collect();
    format!("({});created={};keyid=\"{key_id}\";alg=\"{algorithm}\"", names.join(" "), created.as_second())
}

/// A member of `Signature`.
pub(super) fn signature(label: &str, bytes: &[u8]) -> String {
    format!("{label}=:{}:", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_is_what_is_signed() {
        let one = r#"("@method" "content-digest");created=1790000000;keyid="a b";alg="hmac-sha256";nonce="n";tag="t""#;
        for text in [format!("sig1={one}"), format!("a={one}, b={one}"), format!("a={one} ,\tb={one}")] {
            let inputs = inputs(&text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
            assert!(inputs.iter().all(|input| input.parameters == one), "{inputs:?}");
            assert_eq!(inputs[0].components, ["@method", "content-digest"]);
            assert_eq!(inputs[0].key_id.as_deref(), Some("a b"));
        }
    }

    #[test]
    fn other_spellings_and_repetitions_are_refused() {
        for text in [
            "",
            "sig1",
            "sig1=1",
            r#"sig1=("@method"  "@path");created=1"#,
            r#"sig1=( "@method");created=1"#,
            r#"sig1=("@method");  created=1"#,
            r#"sig1=("@method");created=01"#,
            r#"sig1=("@method");created=1;created=2"#,
            r#"sig1=("@method" "@method");created=1"#,
            r#"sig1=("@method";req);created=1"#,
            r#"sig1=("Date");created=1"#,
            r#"sig1=("@status");created=1"#,
            r#"sig1=(method);created=1"#,
            r#"sig1=("@method");created=-1"#,
            r#"sig1=("@method");created="1""#,
            r#"sig1=("@method");keyid=1"#,
            r#"sig1=("@method");created=1,sig1=("@method");created=1"#,
            r#"a=("@path"), b=("@path"), c=("@path"), d=("@path"), e=("@path")"#,
        ] {
            assert!(inputs(text).is_err(), "{text}");
        }
        assert_eq!(signatures("a=:AAEC:").expect("bytes").get("a"), Some(&vec![0, 1, 2]));
        for text in ["a=:AAE:", "a=:AAEB", "a=:AAF=:", "a=:AAE=:;b", "a=1", "a=(:AAEC:)", "a=:AAEC:, a=:AAEC:"] {
            assert!(signatures(text).is_err(), "{text}");
        }
    }
}
