//! Reads a raw request path as a gateway in front of a web server does: the traps for a client that does not encode.
//!
//! The whole path is decoded once and then split, as the signing guide has it for the canonical URI: an encoded slash
//! becomes a separator. Dot segments walk up. (Huawei documents only the canonical URI; the rest was not verified.)

use percent_encoding::percent_decode_str;

use super::super::parameters::has_broken_escape;
use super::refusal::Refusal;

/// Where a path leads.
pub(super) struct Walked {
    /// After the leading slash, decoded. A doubled or trailing slash leaves an empty one.
    pub(super) segments: Vec<String>,
    /// Whether dot segments or encoded slashes took part.
    pub(super) detour: bool,
}

/// Resolves a path.
pub(super) fn walk(raw_path: &str) -> Result<Walked, Refusal> {
    let decoded = decoded(raw_path)?;
    let relative = decoded.strip_prefix('/').unwrap_or(&decoded);
    let mut detour = decoded.matches('/').count() != raw_path.matches('/').count();
    let mut segments: Vec<String> = Vec::new();
    for segment in relative.split('/') {
        detour |= [".", ".."].contains(&segment);
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment.to_owned()),
        }
    }
    Ok(Walked { segments, detour })
}

fn decoded(raw: &str) -> Result<String, Refusal> {
    if !raw.chars().all(is_path_character) || has_broken_escape(raw) {
        return Err(Refusal::bad_request(400));
    }
    let text = percent_decode_str(raw).decode_utf8().map_err(|_| Refusal::bad_request(400))?;
    match text.contains(char::is_control) {
        true => Err(Refusal::bad_request(400)),
        false => Ok(text.into_owned()),
    }
}

/// RFC 3986 `pchar`, slashes and percent signs; everything else must be encoded.
fn is_path_character(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:@".contains(letter)
}
