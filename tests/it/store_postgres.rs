//! One PostgreSQL database under several stores at once: what replicas must never do to each other, and what happens when
//! the server goes away.

mod budgets;
mod bulk;
mod clocks;
mod growth;
mod outage;
mod outbox;
mod record;
mod replicas;
mod roles;
mod shares;
mod tls;

use std::sync::Arc;

use sever::clock::ManualClock;
use sever::domain::{Claim, ProviderName};
use sever::store::{Admitted, ClaimRequest, JobStore, PostgresStore, QuarantineCap, Receipt};
use sever::telemetry::Metrics;

use crate::support::postgres::{Schema, run};
use crate::support::store::{LEASE, Mail, name, start};

/// Two stores on one schema, and the clock that both go by.
struct Pair {
    one: Arc<PostgresStore>,
    other: Arc<PostgresStore>,
    clock: Arc<ManualClock>,
    schema: Schema,
}

impl Pair {
    fn new() -> Self {
        let (schema, clock) = (Schema::new(), Arc::new(ManualClock::new(start())));
        let (url, cap) = (schema.parsed(), QuarantineCap::default());
        let open = || {
            let opened = PostgresStore::open_by_hand(&url, clock.clone(), Arc::new(Metrics::new()), cap);
            Arc::new(run(opened).expect("a store"))
        };
        let (one, other) = (open(), open());
        Self { one, other, clock, schema }
    }

    fn both(&self) -> [&Arc<PostgresStore>; 2] {
        [&self.one, &self.other]
    }
}

async fn admit(store: &PostgresStore, clock: &ManualClock, mail: &Mail) -> Admitted {
    use sever::clock::Clock;
    store.admit(mail.admission(clock.now())).await.expect("a receipt")
}

fn receipt(admitted: Admitted) -> Receipt {
    match admitted {
        Admitted::New(receipt) | Admitted::Duplicate(receipt) => receipt,
    }
}

async fn claim(store: &PostgresStore, limit: u32) -> Vec<Claim> {
    let provider: ProviderName = name("okta");
    store.claim(ClaimRequest { provider, limit, lease: LEASE }).await.expect("claims")
}
