//! Resets that were taken and take effect later, by the clock.

use jiff::Timestamp;

use super::session::{Device, Session};
use super::world::World;

/// Which of a user's sessions a reset means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    All,
    Only(Device),
}

impl Reach {
    pub(super) fn means(self, device: Device) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == device,
        }
    }
}

/// A reset that was started.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) user_id: String,
    pub(super) reach: Reach,
    pub(super) due: Timestamp,
    /// The person signs in again at once.
    pub(super) signs_in_again: bool,
}

impl World {
    /// Carries out the resets that are due. Whoever reads or changes the world calls this first, so that a reset ends
    /// what there was when it was due and not what came later.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let (due, later): (Vec<Job>, Vec<Job>) =
            std::mem::take(&mut self.jobs).into_iter().partition(|job| job.due <= now);
        self.jobs = later;
        for job in due {
            let ended = self.end(&job.user_id, job.reach, usize::MAX);
            if job.signs_in_again {
                self.sign_in_again(&ended);
            }
        }
    }

    /// Whoever lost a session opens one like it.
    pub(super) fn sign_in_again(&mut self, ended: &[Session]) {
        if let Some(session) = ended.first() {
            self.open_session(&session.user_id, &session.team_id, session.device);
        }
    }
}
