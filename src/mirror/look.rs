//! Looking, on a blocking thread: a scan that streams what differs, and the reading of files whose digest may save sending them.

use std::ops::ControlFlow;

use tokio::sync::mpsc;

use super::siblings::Digests;
use crate::{
    blocking::{self, Priority},
    index::{IndexError, Reader},
    model::{Digest, Entry, Fingerprint, RelPath, RootIdentity},
    scan::{self, Company, Found, Known, Place, RootError, Rules, ScanError, Summary, read::open_file},
    watch::Dirty,
};

/// Batches between the scanning thread and the loop.
const BATCHES: usize = 4;
/// So many bytes are read at most to find moves by content; planning waits for it. Moves by `rename(2)` need none of it.
const MOST_READ: u64 = 1 << 30;

/// What a looking thread tells, in order.
pub(super) enum Seen {
    /// The root is there, and which one it is. A scan goes on only after this.
    Root { identity: RootIdentity, empty: bool },
    /// The root is not there or cannot be read: nothing was observed. The last message.
    NoRoot(RootError),
    /// What differs.
    Batch(Vec<Found>),
    /// The scan is over. The last message.
    Scanned { summary: Summary, rules: Rules, empty: bool },
    /// The scan could not go on. The last message.
    Failed { why: String, rules: Rules },
    /// What is known could not be read. The last message.
    Unknown(IndexError),
    /// A file's content.
    Digest(RelPath, Fingerprint, Digest),
    /// No more digests. The last message.
    Digested,
}

struct InIndex(Reader);

impl Known for InIndex {
    type Error = IndexError;

    fn under(&mut self, prefix: Option<&RelPath>) -> impl Iterator<Item = Result<(RelPath, Entry), IndexError>> {
        self.0.under(prefix)
    }
}

/// Scans what `dirty` names in `place`; all of it in `company` with others that do.
pub(super) fn scan(
    place: Place,
    rules: Rules,
    dirty: Dirty,
    reader: Reader,
    priority: Priority,
    company: Company,
) -> mpsc::Receiver<Seen> {
    let (outlet, rx) = blocking::outlet(BATCHES);
    blocking::spawn_long(priority, move || {
        let root = match place.open() {
            Ok(root) => root,
            Err(e) => {
                outlet.send(Seen::NoRoot(e));
                return;
            }
        };
        let hello = Seen::Root { identity: root.identity(), empty: root.is_empty().unwrap_or(false) };
        if !outlet.send(hello) {
            return;
        }
        let mut known = InIndex(reader);
        let result = scan::scan_among(&company, &root, &rules, &dirty, &mut known, &mut |batch| {
            if outlet.send(Seen::Batch(batch)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let last = match result {
            Ok(summary) => Seen::Scanned { summary, rules, empty: root.is_empty().unwrap_or(false) },
            Err(ScanError::Known(e)) => Seen::Unknown(e),
            Err(e @ ScanError::Stopped) => Seen::Failed { why: e.to_string(), rules },
        };
        outlet.send(last);
    });
    rx
}

/// Tells the digests of `files`, which are read where nobody knows them; one that cannot be read is left out, and so is what goes beyond
/// `MOST_READ`.
pub(super) fn digest(place: Place, files: Vec<(RelPath, Fingerprint)>, digests: Digests) -> mpsc::Receiver<Seen> {
    let (outlet, rx) = blocking::outlet(BATCHES);
    blocking::spawn(move || {
        let mut left = MOST_READ;
        for (path, print) in files {
            let may_read = |bytes| {
                let rest = left.checked_sub(bytes);
                left = rest.unwrap_or(left);
                rest.is_some()
            };
            let content = digests.find(&place, &path, may_read, || !outlet.is_closed());
            if let Ok(Some(content)) = content
                && content.print == print
                && !outlet.send(Seen::Digest(path, print, content.digest))
            {
                return;
            }
        }
        outlet.send(Seen::Digested);
    });
    rx
}

/// How many of these files begin with a block of NULs: what a file system leaves of files that were being written when the
/// power went.
pub(super) fn nulls(place: &Place, files: &[RelPath]) -> u64 {
    let Ok(root) = place.open() else { return 0 };
    let is_null = |path: &&RelPath| {
        let block = open_file(&root, path).ok().and_then(|mut file| file.read(4096).ok());
        block.is_some_and(|block| !block.is_empty() && block.iter().all(|b| *b == 0))
    };
    files.iter().filter(is_null).count() as u64
}
