//! Notices that the file of a secret was changed, so that keys rotate without a restart.
//!
//! Looks at the files at most once a second, when a delivery comes, and reads none that looks as it did.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use crate::settings::SecretRef;

/// The first delivery by a new key may have to wait this long.
const PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// The files of a source's secrets.
#[derive(Debug)]
pub(super) struct Watch {
    files: Vec<PathBuf>,
    seen: Vec<Option<Look>>,
    looked_at: Option<Timestamp>,
}

/// How a file looks from outside. A mounted secret is replaced as a whole, and then is another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<Metadata> for Look {
    fn from(data: Metadata) -> Self {
        Self {
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

impl Watch {
    /// Remembers how the files look. To be called before they are read: a change in between is then noticed.
    pub(super) fn new(secrets: &[SecretRef]) -> Self {
        let file = |secret: &SecretRef| if let SecretRef::File(path) = secret { Some(path.clone()) } else { None };
        let files: Vec<_> = secrets.iter().filter_map(file).collect();
        let seen = looks(&files);
        Self { files, seen, looked_at: None }
    }

    /// Whether any file looks different from how it looked when this was last true.
    pub(super) fn changed(&mut self, now: Timestamp) -> bool {
        let rests = self.looked_at.is_some_and(|time| now.duration_since(time).abs() < PAUSE);
        if self.files.is_empty() || rests {
            return false;
        }
        self.looked_at = Some(now);
        let looks = looks(&self.files);
        let changed = looks != self.seen;
        self.seen = looks;
        changed
    }
}

fn looks(files: &[PathBuf]) -> Vec<Option<Look>> {
    files.iter().map(|file| std::fs::metadata(file).ok().map(Look::from)).collect()
}
