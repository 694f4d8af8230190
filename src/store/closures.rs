//! Time that a provider was closed to everyone, which used up none of a job's time.

/// When a provider was closed, as far as is remembered: from and to, the earliest first.
pub(super) struct Closures(Vec<(i64, i64)>);

impl Closures {
    /// Of these spans.
    pub(super) fn of(mut spans: Vec<(i64, i64)>) -> Self {
        spans.sort_unstable();
        Self(spans)
    }

    /// How much of the time since `from` was behind a gate. Gates overlap: an hour behind two of them is one hour.
    pub(super) fn behind(&self, from: i64) -> i64 {
        let (mut behind, mut counted_to) = (0, from);
        for (closed, opened) in &self.0 {
            behind += (opened - closed.max(&counted_to)).max(0);
            counted_to = counted_to.max(*opened);
        }
        behind
    }
}
