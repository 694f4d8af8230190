//! Reads a raw request path as a Java web server behind a proxy does: the traps for a client that does not encode.
//!
//! Dot segments walk up, also when their dots are encoded; what follows a `;` is dropped; each segment is decoded
//! once; an encoded slash never becomes part of an id. (Okta documents only the slash; the rest is how such servers
//! behave by default and was not verified there.)

use percent_encoding::percent_decode_str;

use super::super::parameters::has_broken_escape;
use super::refusal::Refusal;

/// The segments after the leading slash, decoded. A doubled or trailing slash leaves an empty one.
pub(super) fn segments(raw_path: &str) -> Result<Vec<String>, Refusal> {
    let mut walked = Vec::new();
    for raw in raw_path.strip_prefix('/').unwrap_or(raw_path).split('/') {
        match decoded(raw)?.as_str() {
            "." => {}
            ".." => drop(walked.pop()),
            segment => walked.push(segment.to_owned()),
        }
    }
    Ok(walked)
}

fn decoded(raw: &str) -> Result<String, Refusal> {
    if !raw.chars().all(is_path_character) || has_broken_escape(raw) {
        return Err(Refusal::BadRequestPage);
    }
    let without_matrix = raw.split(';').next().unwrap_or_default();
    let text = percent_decode_str(without_matrix).decode_utf8().map_err(|_| Refusal::BadRequestPage)?;
    match text {
        text if text.contains(char::is_control) => Err(Refusal::BadRequestPage),
        text if text.contains(['/', '\\']) => Err(Refusal::api("E0000008", "")),
        text => Ok(text.into_owned()),
    }
}

/// RFC 3986 `pchar`; everything else must be encoded.
fn is_path_character(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@".contains(letter)
}
