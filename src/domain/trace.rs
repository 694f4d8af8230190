//! Where a delivery stands in its sender's trace: W3C Trace Context, Level 2 (<https://www.w3.org/TR/trace-context-2/>),
//! whose format is that of Level 1.
//!
//! It is read strictly. One that is not valid counts as absent and is never an error, for nothing depends on it.

use std::sync::Arc;

use http::HeaderMap;

/// The sender's trace may be recorded.
const SAMPLED: u8 = 0b01;

/// The rightmost 7 bytes of the trace's id are random.
const RANDOM: u8 = 0b10;

/// As much of a `tracestate` has to be passed on (section 3.3.1.5), and more is not.
const LONGEST_STATE: usize = 512;

/// Longer members go first where it is too long, as the same section says.
const LONGEST_MEMBER: usize = 128;

/// A `tracestate` with more is not valid (section 3.3.1.1).
const MOST_MEMBERS: usize = 32;

/// The traces that one job stays linked with, as many as SDKs of OpenTelemetry keep links of a span.
const MOST_TRACES: usize = 128;

/// A place in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// The beginning of a trace, whose id is random.
    #[must_use]
    pub fn root(trace_id: [u8; 16], span_id: [u8; 8], is_sampled: bool) -> Self {
        let flags = if is_sampled { RANDOM | SAMPLED } else { RANDOM };
        Self { trace_id, span_id, flags, state: None }
    }

    /// A place below this one.
    #[must_use]
    pub fn child(&self, span_id: [u8; 8]) -> Self {
        Self { span_id, ..self.clone() }
    }

    /// What the headers `traceparent` and `tracestate` say. Two of the first contradict each other, and say nothing.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all("traceparent").iter();
        let parent = parents.next()?.to_str().ok()?;
        if parents.next().is_some() {
            return None;
        }
        Some(Self { state: state(headers), ..Self::parse(parent)? })
    }

    /// Reads a `traceparent`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let [version] = lower_hex(parts.next()?)?;
        let (trace_id, span_id) = (lower_hex(parts.next()?)?, lower_hex(parts.next()?)?);
        let [flags] = lower_hex(parts.next()?)?;
        let known = match version {
            0 if parts.next().is_some() => return None,
            0 => SAMPLED | RANDOM,
            0xff => return None,
            // What a later version appends, and what else its flags mean, is not ours to know (section 3.2.4).
            _ => SAMPLED,
        };
        let is_named = trace_id != [0; 16] && span_id != [0; 8];
        is_named.then_some(Self { trace_id, span_id, flags: flags & known, state: None })
    }

    /// The trace.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The place in it.
    #[must_use]
    pub fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// The flags, as they are passed on.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// Whether it is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// What systems on the way added, in their own words.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// As a `traceparent`.
impl std::fmt::Display for TraceContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex::encode(self.trace_id), hex::encode(self.span_id), self.flags)
    }
}

/// The traces of the alerts behind a job: the first is gone on with, the others are linked.
///
/// As text one stands in each line, the `tracestate` of the first behind a blank.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces(Vec<TraceContext>);

impl Traces {
    /// Adds one, unless it is there already, or there are as many as are kept.
    pub fn add(&mut self, trace: &TraceContext) {
        let same = |known: &TraceContext| known.trace_id == trace.trace_id && known.span_id == trace.span_id;
        if self.0.len() < MOST_TRACES && !self.0.iter().any(same) {
            let state = if self.0.is_empty() { trace.state.clone() } else { None };
            self.0.push(TraceContext { state, ..trace.clone() });
        }
    }

    /// Adds those of another job.
    pub fn extend(&mut self, others: &Self) {
        others.0.iter().for_each(|trace| self.add(trace));
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &TraceContext> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As stored; `None`: there is none.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        let line = |trace: &TraceContext| match trace.state() {
            Some(state) => format!("{trace} {state}"),
            None => trace.to_string(),
        };
        (!self.0.is_empty()).then(|| self.0.iter().map(line).collect::<Vec<_>>().join("\n"))
    }

    /// Reads what was stored. A line that cannot be read is left out.
    #[must_use]
    pub fn from_text(text: Option<&str>) -> Self {
        let mut traces = Self::default();
        for line in text.into_iter().flat_map(str::lines) {
            let (parent, state) = line.split_once(' ').map_or((line, None), |(parent, state)| (parent, Some(state)));
            if let Some(trace) = TraceContext::parse(parent) {
                traces.add(&TraceContext { state: state.map(Arc::from), ..trace });
            }
        }
        traces
    }
}

impl From<Option<&TraceContext>> for Traces {
    fn from(trace: Option<&TraceContext>) -> Self {
        let mut traces = Self::default();
        trace.into_iter().for_each(|trace| traces.add(trace));
        traces
    }
}

fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let is_lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

/// The headers `tracestate`, of which there may be several, as one. If anything of it is wrong, nothing of it counts.
fn state(headers: &HeaderMap) -> Option<Arc<str>> {
    let mut members = Vec::new();
    for value in headers.get_all("tracestate") {
        for member in value.to_str().ok()?.split(',').map(|member| member.trim_matches([' ', '\t'])) {
            match member.is_empty() {
                true => {}
                false if members.len() < MOST_MEMBERS && is_member(member) => members.push(member),
                false => return None,
            }
        }
    }
    bounded(members)
}

fn bounded(mut members: Vec<&str>) -> Option<Arc<str>> {
    let is_too_long =
        |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>() > LONGEST_STATE + 1;
    if is_too_long(&members) {
        members.retain(|member| member.len() <= LONGEST_MEMBER);
    }
    while is_too_long(&members) {
        members.pop();
    }
    (!members.is_empty()).then(|| members.join(",").into())
}

/// `key=value`, each in its letters (section 3.3.1.3).
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let begins = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_key = |byte: u8| begins(&byte) || b"_-*/@".contains(&byte);
    let is_value = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b'=';
    let bounds = 1..=256;
    key.as_bytes().first().is_some_and(begins)
        && bounds.contains(&key.len())
        && key.bytes().all(is_key)
        && bounds.contains(&value.len())
        && value.bytes().all(is_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(parents: &[&str], states: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, values: &[&str]| {
            for value in values {
                headers.append(name, value.parse().expect("a value"));
            }
        };
        add("traceparent", parents);
        add("tracestate", states);
        headers
    }

    fn state_of(states: &[&str]) -> Option<String> {
        TraceContext::from_headers(&headers(&[PARENT], states)).expect("a context").state().map(str::to_owned)
    }

    #[test]
    fn a_valid_parent_is_read_and_written_again() {
        for text in [PARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", &PARENT.replace("-01", "-03")] {
            assert_eq!(TraceContext::parse(text).expect(text).to_string(), text);
        }
        // Flags that nobody knows are not passed on.
        let read = TraceContext::parse(&PARENT.replace("-01", "-ff")).expect("a context");
        assert_eq!((read.flags(), read.is_sampled()), (0b11, true));
        // A later version may say more.
        for later in [PARENT.replacen("00", "cc", 1), format!("{}-what-comes-later", PARENT.replacen("00", "01", 1))] {
            assert_eq!(TraceContext::parse(&later).expect("a context").to_string(), PARENT);
        }
    }

    #[test]
    fn what_is_not_valid_is_absent() {
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-001",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c0-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "000-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.later",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0é",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(TraceContext::from_headers(&headers(&[PARENT, PARENT], &[])), None);
        assert_eq!(TraceContext::from_headers(&headers(&[], &["a=1"])), None);
    }

    #[test]
    fn a_state_is_whole_or_absent_and_never_takes_the_parent_with_it() {
        assert_eq!(state_of(&["a=1,b=2"]).as_deref(), Some("a=1,b=2"));
        assert_eq!(state_of(&["a=1 ,\tb=x y", "", "0t@v=3,,"]).as_deref(), Some("a=1,b=x y,0t@v=3"));
        let many = vec!["a=1"; MOST_MEMBERS + 1].join(",");
        for wrong in ["a", "=1", "A=1", "_a=1", "a=", "a=b=c", "a b=1", "a=1,é", &many] {
            assert_eq!(state_of(&["k=v", wrong]), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_state_is_never_longer_than_512() {
        let member = |key: usize, length: usize| format!("k{key:02}={}", "v".repeat(length - 4));
        let long = member(0, 256);
        let short: Vec<_> = (1..6).map(|key| member(key, 100)).collect();
        let sent = format!("{long},{}", short.join(","));
        // The long one goes, then the last, until it fits.
        assert_eq!(state_of(&[&sent]), Some(short.join(",")));
        let more: Vec<_> = (0..MOST_MEMBERS).map(|key| member(key, 128)).collect();
        let kept = state_of(&[&more.join(",")]).expect("a state");
        assert_eq!(kept, more[..3].join(","));
        assert!(kept.len() <= LONGEST_STATE);
    }

    #[test]
    fn traces_are_bounded_and_come_back_as_they_were() {
        let mut traces = Traces::default();
        assert_eq!(traces.to_text(), None);
        let first = TraceContext::from_headers(&headers(&[PARENT], &["a=x y,b=2"])).expect("a context");
        traces.add(&first);
        traces.add(&first);
        assert_eq!(traces.len(), 1, "one trace is linked once");
        traces.add(&first.child([7; 8]));
        let text = traces.to_text().expect("a text");
        let wanted = format!("{PARENT} a=x y,b=2\n00-0af7651916cd43dd8448eb211c80319c-0707070707070707-01");
        assert_eq!(text, wanted);
        assert_eq!(Traces::from_text(Some(&text)), traces);
        assert_eq!(Traces::from_text(Some("nonsense\n")), Traces::default());
        (1..=255).for_each(|number| traces.add(&first.child([number; 8])));
        assert_eq!(traces.len(), MOST_TRACES);
    }
}
