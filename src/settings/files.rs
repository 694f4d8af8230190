//! Notices that files were changed, without reading them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Some files, and how they looked last.
#[derive(Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Look>>,
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

impl Files {
    /// Remembers how the files look. To be called before they are read: a change in between is then noticed.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let seen = looks(&paths);
        Self { paths, seen }
    }

    /// There is nothing to watch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether any file looks different from how it looked when this was last true.
    pub fn changed(&mut self) -> bool {
        let looks = looks(&self.paths);
        let changed = looks != self.seen;
        self.seen = looks;
        changed
    }
}

fn looks(paths: &[PathBuf]) -> Vec<Option<Look>> {
    paths.iter().map(|path| std::fs::metadata(path).ok().map(Look::from)).collect()
}
