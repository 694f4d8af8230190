//! Reads a raw request path as grpc-gateway does behind a Go web server: the traps for a client that does not encode.
//!
//! The whole path is decoded once, *before* it is split, so an encoded slash separates like a bare one; dot segments
//! walk up, also when they came encoded. (The gateway's default mode and Go's path cleaning; Go would redirect to the
//! cleaned path, and a client that follows ends in the same place. Not verified against a running server.)

use percent_encoding::percent_decode_str;

use super::super::parameters::has_broken_escape;
use super::refusal::Refusal;

/// The segments after the leading slash, decoded. A doubled or trailing slash leaves an empty one.
pub(super) fn segments(raw_path: &str) -> Result<Vec<String>, Refusal> {
    let path = percent_decode_str(raw_path).decode_utf8().map_err(|_| Refusal::plain(3, "Bad Request"))?;
    if has_broken_escape(raw_path) || path.contains(char::is_control) {
        return Err(Refusal::plain(3, "Bad Request"));
    }
    let mut walked = Vec::new();
    for segment in path.strip_prefix('/').unwrap_or(&path).split('/') {
        match segment {
            "." => {}
            ".." => drop(walked.pop()),
            segment => walked.push(segment.to_owned()),
        }
    }
    Ok(walked)
}
