//! A message of a queue on the one way in. It differs from a request in what a refusal comes to: what is authentic and
//! late is kept, since a queue may have been down all weekend, and our own trouble is not the sender's.

use std::sync::Arc;

use super::intake::{Intake, result_word, tell_not_kept};
use super::planned::Planned;
use super::refusal::Refusal;
use super::source::SourceIntake;
use super::traced;
use crate::domain::Delivery;
use crate::store::{Admission, Admitted, StoreError};
use crate::telemetry::trace::Span;
use crate::verify::{Reason, Verified, VerifyError};

/// No lease is renewed by the probe, so its length means nothing.
const STORE_PROBE: std::time::Duration = std::time::Duration::from_secs(1);

/// What became of a message.
#[derive(Debug)]
pub(super) enum Queued {
    /// Everything about it is on disk.
    Stored,
    /// Nothing says that it is from its source.
    Refused,
    /// It could not be stored: our trouble, with the reason.
    Unstored(String),
}

impl Intake {
    /// Takes a message. `message_id` is the property of that name, which is not signed.
    pub(super) async fn receive_queued(
        self: &Arc<Self>,
        source: &Arc<SourceIntake>,
        delivery: Delivery,
        message_id: Option<&str>,
    ) -> Queued {
        let size_bytes = delivery.body.len() as u64;
        let (admission, span) = match self.judge_queued(source, delivery, message_id).await {
            Ok(judged) => judged,
            Err(Refusal::Forged(reason)) => {
                self.refuse(source, &Refusal::Forged(reason), None, size_bytes);
                return Queued::Refused;
            }
            Err(refusal) => return Queued::Unstored(refusal.reason().to_owned()),
        };
        match self.store.admit(admission).await {
            Ok(Admitted::New(receipt) | Admitted::Duplicate(receipt)) => {
                traced::stored(span, Ok(&receipt));
                tell_not_kept(&source.name, &receipt);
                self.metrics.delivery(&source.name, result_word(&receipt));
                Queued::Stored
            }
            Err(error) => {
                traced::stored(span, Err(()));
                Queued::Unstored(unstored(&error))
            }
        }
    }

    /// What is to be stored, and its place in a trace. Refused for good is only what is forged; anything else is our trouble, and passes.
    async fn judge_queued(
        self: &Arc<Self>,
        source: &Arc<SourceIntake>,
        delivery: Delivery,
        message_id: Option<&str>,
    ) -> Result<(Admission, Span), Refusal> {
        source.verifier.prepare(&delivery, self.clock.now()).await;
        let (verified, late) = match self.verify(source, delivery).await? {
            Ok(verified) => (verified, None),
            Err(VerifyError::Stale { reason, verified }) => (*verified, Some(reason)),
            Err(VerifyError::Forged(reason)) => return Err(Refusal::Forged(reason)),
            Err(VerifyError::Undecided(reason)) => return Err(Refusal::Undecided(reason)),
        };
        same_id(&verified, message_id).map_err(Refusal::Forged)?;
        let size = verified.body().len();
        let span = self.message_span(source, &verified);
        let plan = move |intake: &Self, source: &SourceIntake| intake.plan_queued(source, &verified, late);
        let planned = self.with_body(source, size, plan).await??;
        Ok((Admission { trace: span.context().cloned(), ..planned }, span))
    }

    fn plan_queued(
        &self,
        source: &SourceIntake,
        verified: &Verified,
        late: Option<Reason>,
    ) -> Result<Admission, Refusal> {
        let kept = |why: String| Ok(self.admission(source, verified, Planned::kept(why)));
        if verified.challenge().is_some() {
            return kept("a question of the sender, which nobody can answer over a queue".to_owned());
        }
        if let Some(late) = late {
            return kept(format!("late: {late}"));
        }
        match self.plan(source, verified, source.decode(verified)) {
            // Only the age of its alerts can speak against it now.
            Err(Refusal::Stale(late)) => kept(format!("late: {late}")),
            planned => planned,
        }
    }

    /// Whether the store takes changes now.
    pub(super) async fn store_works(&self) -> bool {
        let works = self.store.renew(Vec::new(), STORE_PROBE).await;
        works.is_ok()
    }
}

/// Whoever reads the property, in a log or a filter, must see the same id as we do.
fn same_id(verified: &Verified, message_id: Option<&str>) -> Result<(), Reason> {
    match (verified.signed_id(), message_id) {
        (Some(signed), Some(id)) if signed != id => Err(Reason::IdMismatch),
        _ => Ok(()),
    }
}

fn unstored(error: &StoreError) -> String {
    match error {
        StoreError::QuarantineFull(_) => format!("{error}; replay or remove what is in it"),
        _ => error.to_string(),
    }
}
