//! What a process does of the whole: several may share one store, and each its part of the work.

use crate::store::{ReplicaRole, StoreUrl};

/// The part of the work that a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Role {
    /// Everything.
    #[default]
    All,
    /// Takes alerts in, and serves the operator API.
    Intake,
    /// Works on jobs, and serves the operator API.
    Worker,
}

impl Role {
    /// Whether several processes can share this store, where this one leaves a part to others.
    pub fn fits(self, store: &StoreUrl) -> Result<(), String> {
        match (self, store) {
            (Self::All, _) | (_, StoreUrl::Postgres(_)) => Ok(()),
            (Self::Intake | Self::Worker, StoreUrl::Sqlite(_)) => Err("an embedded store has one process, which does \
                everything: leave --role out, or let several share a PostgreSQL store (`store: postgres://...`)"
                .to_owned()),
        }
    }

    /// Whether it takes alerts in.
    #[must_use]
    pub fn takes_in(self) -> bool {
        match self {
            Self::All | Self::Intake => true,
            Self::Worker => false,
        }
    }

    /// Whether it works on jobs.
    #[must_use]
    pub fn works(self) -> bool {
        match self {
            Self::All | Self::Worker => true,
            Self::Intake => false,
        }
    }

    /// As others are told.
    pub(super) fn parts(self) -> Vec<ReplicaRole> {
        let parts = [(ReplicaRole::Intake, self.takes_in()), (ReplicaRole::Worker, self.works())];
        parts.into_iter().filter(|(_, does)| *does).map(|(part, _)| part).collect()
    }
}
