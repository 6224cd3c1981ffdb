//! [`Progress`]: how far something that takes its time has come: counted by whoever does it, read by whoever shows it. It decides nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::model::Entry;

/// How far it is; shared.
#[derive(Debug, Default)]
pub struct Progress {
    known: AtomicBool,
    all_files: AtomicU64,
    all_bytes: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    /// Bytes of the file that is being read.
    flying: AtomicU64,
}

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Files, and links.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Progress {
    /// What there is to go through, as far as that is known.
    pub fn all(&self) -> Option<Amount> {
        let known = self.known.load(Ordering::Acquire);
        known.then(|| Amount { files: self.all_files.load(Ordering::Relaxed), bytes: self.all_bytes.load(Ordering::Relaxed) })
    }

    /// What was gone through, the part of the file that is being read included.
    pub fn so_far(&self) -> Amount {
        let bytes = self.bytes.load(Ordering::Relaxed).saturating_add(self.flying.load(Ordering::Relaxed));
        Amount { files: self.files.load(Ordering::Relaxed), bytes }
    }

    /// So much is to be gone through.
    pub(super) fn expect(&self, all: Amount) {
        self.all_files.store(all.files, Ordering::Relaxed);
        self.all_bytes.store(all.bytes, Ordering::Relaxed);
        self.known.store(true, Ordering::Release);
    }

    /// A file is read from its beginning, perhaps not for the first time.
    pub(super) fn begin(&self) {
        self.flying.store(0, Ordering::Relaxed);
    }

    /// So many bytes more of it came.
    pub(super) fn came(&self, bytes: usize) {
        self.flying.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What is recorded as this is done; directories do not count.
    pub(super) fn passed_entry(&self, entry: &Entry) {
        match entry {
            Entry::Dir { .. } => {}
            Entry::File { print, .. } => self.passed(print.size),
            Entry::Link { .. } => self.passed(0),
        }
    }

    /// A file of so many bytes is done, whatever came of it.
    pub(super) fn passed(&self, bytes: u64) {
        self.flying.store(0, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.files.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_twice_counts_once() {
        let progress = Progress::default();
        assert_eq!((progress.all(), progress.so_far()), (None, Amount::default()));
        progress.expect(Amount { files: 2, bytes: 10 });
        progress.begin();
        progress.came(3);
        assert_eq!(progress.so_far(), Amount { files: 0, bytes: 3 });
        progress.begin();
        progress.came(4);
        progress.passed(7);
        assert_eq!(progress.so_far(), Amount { files: 1, bytes: 7 });
        progress.passed(3);
        assert_eq!(Some(progress.so_far()), progress.all());
    }
}
