//! Notices that the file of a secret was changed, so that keys rotate without a restart.
//!
//! Looks at the files at most once a second, when a delivery comes, and reads none that looks as it did.

use jiff::{SignedDuration, Timestamp};

use crate::settings::{Files, SecretRef};

/// The first delivery by a new key may have to wait this long.
const PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// The files of a source's secrets.
#[derive(Debug)]
pub(super) struct Watch {
    files: Files,
    looked_at: Option<Timestamp>,
}

impl Watch {
    /// Remembers how the files look. To be called before they are read: a change in between is then noticed.
    pub(super) fn new(secrets: &[SecretRef]) -> Self {
        let file = |secret: &SecretRef| if let SecretRef::File(path) = secret { Some(path.clone()) } else { None };
        Self { files: Files::new(secrets.iter().filter_map(file).collect()), looked_at: None }
    }

    /// Whether any file looks different from how it looked when this was last true.
    pub(super) fn changed(&mut self, now: Timestamp) -> bool {
        let rests = self.looked_at.is_some_and(|time| now.duration_since(time).abs() < PAUSE);
        if self.files.is_empty() || rests {
            return false;
        }
        self.looked_at = Some(now);
        self.files.changed()
    }
}
