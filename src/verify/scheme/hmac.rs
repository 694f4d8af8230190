//! An HMAC in one header over the body and perhaps an id and a time: the configurable scheme, and the base of others.
//!
//! Whether a time is signed is decided by the settings, never by what a delivery brings: a time moved into the body
//! would otherwise pass as a body without time.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;

use super::template::Template;
use super::{Signed, SignedHeaders, value};
use crate::verify::keys::{Keys, SignedBytes, Tag};
use crate::verify::{
    MacAlgorithm, Reason, SignatureEncoding, TimestampFormat, VerifierProblem, VerifySettings, headers,
};

/// How a sender signs.
pub(in crate::verify) struct Spec {
    header: HeaderName,
    prefix: String,
    algorithm: MacAlgorithm,
    encoding: SignatureEncoding,
    template: Template,
    id_header: Option<HeaderName>,
    timestamp_header: Option<HeaderName>,
    timestamp_format: TimestampFormat,
}

impl Spec {
    /// Hex HMAC-SHA256 of the body alone, behind `prefix`.
    pub(super) fn of_body(header: HeaderName, prefix: &str) -> Self {
        Self {
            header,
            prefix: prefix.to_owned(),
            algorithm: MacAlgorithm::Sha256,
            encoding: SignatureEncoding::Hex,
            template: Template::body(),
            id_header: None,
            timestamp_header: None,
            timestamp_format: TimestampFormat::Unix,
        }
    }

    /// The scheme `hmac`, or everything that is wrong with its settings.
    pub(super) fn from_settings(settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        let mut problems = Vec::new();
        let timestamp_format = settings.timestamp_format.unwrap_or_default();
        let signed = settings.signed.as_deref().unwrap_or("{body}");
        let template = Template::parse(signed, timestamp_format)
            .map_err(|wrong| problems.push(VerifierProblem::new("signed", format!("{signed:?} {wrong}"))))
            .ok();
        let header = header_name("header", settings.header.as_deref(), &mut problems);
        let id_header = header_name("id_header", settings.id_header.as_deref(), &mut problems);
        let timestamp_header = header_name("timestamp_header", settings.timestamp_header.as_deref(), &mut problems);
        let prefix = settings.prefix.clone().unwrap_or_default();
        problems.extend(misfits(settings, template.as_ref()));
        problems.extend(clashes(header.as_ref(), id_header.as_ref(), timestamp_header.as_ref()));
        let (Some(template), Some(header), true) = (template, header, problems.is_empty()) else {
            return Err(problems);
        };
        let (algorithm, encoding) = (settings.algorithm.unwrap_or_default(), settings.encoding.unwrap_or_default());
        Ok(Self { header, prefix, algorithm, encoding, template, id_header, timestamp_header, timestamp_format })
    }

    /// The hash to key.
    pub(super) fn algorithm(&self) -> MacAlgorithm {
        self.algorithm
    }

    /// Whether the signature covers a time.
    pub(super) fn signs_time(&self) -> bool {
        self.template.has_timestamp()
    }

    /// What is signed, and the number of the key that signed it.
    pub(super) fn authenticate<'a>(
        &'a self,
        keys: &Keys,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Result<(Signed<'a>, usize), Reason> {
        let signature = headers::once(headers, &self.header)?;
        let id = self.id_header.as_ref().map(|name| headers::id(headers, name)).transpose()?;
        let time_text = self.timestamp_header.as_ref().map(|name| headers::once(headers, name)).transpose()?;
        let time = time_text.map(|text| self.time(text)).transpose()?;
        let candidate = self.candidate(signature)?;
        let bytes = self.signed_bytes(id, time_text, body);
        let key = keys.which_makes(&bytes, std::iter::once(candidate)).ok_or(Reason::SignatureMismatch)?;
        Ok((Signed { id: id.map(Cow::Borrowed), time, ..Signed::of(bytes) }, key))
    }

    pub(super) fn sign(&self, keys: &Keys, id: &str, now: Timestamp, body: &[u8]) -> Result<SignedHeaders, Reason> {
        let id = self.id_header.as_ref().map(|_| headers::checked_id(id)).transpose()?;
        let time = self.timestamp_header.as_ref().map(|_| self.timestamp_format.write(now));
        time.as_deref().map(|text| self.time(text)).transpose()?;
        let tag = keys.sign(&self.signed_bytes(id, time.as_deref(), body)).ok_or(Reason::SignatureMismatch)?;
        let signature = format!("{}{}", self.prefix, tag.encode(self.encoding));
        let mut headers = vec![(self.header.clone(), value(&signature)?)];
        if let (Some(name), Some(id)) = (&self.id_header, id) {
            headers.push((name.clone(), value(id)?));
        }
        if let (Some(name), Some(time)) = (&self.timestamp_header, time) {
            headers.push((name.clone(), value(&time)?));
        }
        Ok(headers)
    }

    pub(super) fn storable(&self, headers: &HeaderMap) -> HeaderMap {
        let own: Vec<_> = self.id_header.iter().chain(&self.timestamp_header).cloned().collect();
        headers::storable(headers, &own, Some(&self.header))
    }

    fn signed_bytes<'a>(&'a self, id: Option<&'a str>, time: Option<&'a str>, body: &'a [u8]) -> SignedBytes<'a> {
        self.template.fill(id.unwrap_or_default(), time.unwrap_or_default(), body)
    }

    fn time(&self, text: &str) -> Result<Timestamp, Reason> {
        let wrong_width = self.timestamp_format.width().is_some_and(|width| text.len() != width);
        if self.template.fixed_width() && wrong_width {
            return Err(Reason::MalformedTimestamp);
        }
        self.timestamp_format.parse(text)
    }

    fn candidate(&self, text: &str) -> Result<Tag, Reason> {
        let Some(tag) = text.strip_prefix(&self.prefix) else {
            // `v1=…` where `v0=…` is due is another version; anything else is no label at all.
            let labelled = self.prefix.chars().next_back().is_some_and(|mark| text.contains(mark));
            return Err(if labelled { Reason::UnknownVersion } else { Reason::MalformedHeader });
        };
        Tag::decode(self.encoding, tag, self.algorithm.tag_bytes()).ok_or(Reason::MalformedSignature)
    }
}

/// The name of a header in the settings, if it is one.
pub(super) fn header_name(field: &str, text: Option<&str>, problems: &mut Vec<VerifierProblem>) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text?.as_bytes());
    name.map_err(|_| {
        let message = format!("{text:?} is not the name of a header; use letters, digits and -");
        problems.push(VerifierProblem::new(field, message));
    })
    .ok()
}

/// Keys that are missing, or that promise what the signature does not cover.
fn misfits(settings: &VerifySettings, template: Option<&Template>) -> Vec<VerifierProblem> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: &str| problems.push(VerifierProblem::new(field, message));
    if settings.header.is_none() {
        wrong("header", "is required with hmac: the name of the header that carries the signature");
    }
    if !settings.prefix.as_deref().is_none_or(is_prefix) {
        wrong("prefix", "must be printable ASCII and not begin with a blank");
    }
    let Some(template) = template else { return problems };
    match (template.has_id(), settings.id_header.is_some()) {
        (true, false) => wrong("id_header", "is required because `signed` has {id}: the header that carries the id"),
        (false, true) => wrong("id_header", "names an id that is not signed; add {id} to `signed` or remove this key"),
        (true, true) | (false, false) => {}
    }
    match (template.has_timestamp(), settings.timestamp_header.is_some()) {
        (true, false) => wrong("timestamp_header", "is required because `signed` has {timestamp}"),
        (false, true) => wrong(
            "timestamp_header",
            "names a time that is not signed; add {timestamp} to `signed` (as in {timestamp}.{body}) or remove it",
        ),
        (true, true) | (false, false) => {}
    }
    if settings.timestamp_format.is_some() && !template.has_timestamp() {
        wrong("timestamp_format", "has no effect without {timestamp} in `signed`; remove this key");
    }
    problems
}

fn is_prefix(text: &str) -> bool {
    !text.starts_with(' ') && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Names that cannot stand where they do: one header for two things, or an id or time, which are stored, taken from a
/// header that authenticates.
fn clashes(
    header: Option<&HeaderName>,
    id: Option<&HeaderName>,
    timestamp: Option<&HeaderName>,
) -> Vec<VerifierProblem> {
    let mut problems = Vec::new();
    for (field, name, others) in [("id_header", id, [header, timestamp]), ("timestamp_header", timestamp, [header, id])]
    {
        let Some(name) = name else { continue };
        if others.contains(&Some(name)) {
            problems.push(VerifierProblem::new(field, format!("{name} already stands for something else here")));
        }
        if headers::authenticates(name) {
            let message =
                format!("{name} sounds like a credential, and ids and times are stored; have another one sent");
            problems.push(VerifierProblem::new(field, message));
        }
    }
    problems
}
