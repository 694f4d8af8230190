//! A stored delivery once more, under the config of today.

use axum::Json;

use super::AdminState;
use super::fault::Fault;
use super::guard::Caller;
use crate::ingest::Refusal;
use crate::store::{Receipt, StoredDelivery};

impl AdminState {
    pub(super) async fn replay(&self, stored: &StoredDelivery, caller: &Caller) -> Result<Json<Receipt>, Fault> {
        let admission = self.intake.replan(stored).await.map_err(|refusal| unplannable(stored, &refusal))?;
        Ok(Json(self.operations.replay(stored.seq, admission, caller.actor()).await?))
    }
}

fn unplannable(stored: &StoredDelivery, refusal: &Refusal) -> Fault {
    let source = &stored.source;
    Fault::Conflict(match refusal {
        Refusal::UnknownSource => format!("its source {source} is not in the config any more; put it back first"),
        other => format!("it cannot be planned again: {}", other.reason()),
    })
}
