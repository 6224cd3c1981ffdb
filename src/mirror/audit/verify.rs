//! Verify: the server against what is recorded of it.

use std::sync::Arc;

use super::{
    AuditError, Deep, Finding, Ledger, What,
    content::{read_back, sums_here, sums_there},
    judge::{Judgement, correction, judge},
    walk::{Found, Walk},
};
use crate::{
    index::{Index, Note, Reader},
    mirror::{Progress, books::Books, marker::Bond},
    model::{Checksum, Digest, Entry, Kind, RelPath, Row, Stat, UnixMillis},
    remote::Remote,
    scan::Place,
};

/// Corrections that are recorded at once.
const BATCH: usize = 512;

/// How to verify.
#[derive(Clone, Debug)]
pub struct Verify {
    /// The local directory: of what is there as it was sent, the server's checksums can be checked.
    pub place: Place,
    /// What is read back.
    pub deep: Deep,
    /// The wall clock.
    pub clock: fn() -> UnixMillis,
    /// A random number from 0 up to 1, for a sample.
    pub chance: fn() -> f64,
    /// Where it is counted how far this is.
    pub progress: Arc<Progress>,
}

/// What a verification came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verified {
    /// Files that are fine.
    pub files: u64,
    /// Directories and links that are.
    pub others: u64,
    /// Of the files: so many by their size alone.
    pub by_size: u64,
    /// By a checksum that the server computed.
    pub by_checksum: u64,
    /// By being read back.
    pub by_reading: u64,
    /// Bytes that were read back.
    pub bytes_read: u64,
    /// Paths that are not as recorded, each one told; foreign ones do not count.
    pub wrong: u64,
    /// Names on the server that are not ours, each one told; directories stand for all that is in them.
    pub foreign: u64,
    /// Names on the server that were left there when they were gone here; directories as above.
    pub left: u64,
    /// Paths of which it could not be found out, each one told.
    pub unproven: u64,
    /// Recorded paths in directories that are not there; they were not told one by one.
    pub below: u64,
    /// Paths that were changed meanwhile, and are left to the daemon that did.
    pub moved_on: u64,
    /// Paths of which something else is recorded now, so that they are sent again.
    pub corrected: u64,
    /// Directories whose listing may not be all: what is foreign there may not have been found. The first hundred, and why.
    pub doubts: Vec<(String, String)>,
    /// How many there are.
    pub doubtful: u64,
}

/// Compares the server with what is recorded; `each` is told what is wrong. With `repair`, what the server really holds is
/// recorded, so that the next run of the mirror sends what is wrong; nobody else may have the index then. Nothing is changed
/// on the server, and what is foreign is left as it is.
///
/// # Errors
/// When the index cannot be read or written, or the server not be asked.
pub async fn verify<R: Remote>(
    remote: &R,
    reader: Reader,
    repair: Option<Index>,
    settings: &Verify,
    each: impl FnMut(&Finding),
) -> Result<Verified, AuditError> {
    let bond = reader.note::<Bond>(Note::Marker)?;
    if let Some(bond) = bond.filter(|bond| bond.target != remote.target()) {
        return Err(AuditError::Elsewhere { known: bond.target, target: remote.target() });
    }
    let mut ledger = Ledger::below(reader, None);
    let recorded = ledger.recorded().await?;
    settings.progress.expect(recorded);
    let share = match settings.deep {
        Deep::Nothing => 0.0,
        Deep::Everything => 1.0,
        Deep::Sample(share) => share,
        // As precise as a sample has to be.
        Deep::Some(files) => files as f64 / recorded.files.max(1) as f64,
    };
    let walk = Walk::start(remote).await?;
    let books = repair.map(Books::new);
    let mut run = Run { walk, ledger, books, settings, share, each, corrections: Vec::new(), sum: Verified::default() };
    if run.walk.line.remote().abilities().folds()
        && let Some(books) = &mut run.books
    {
        books.with(|index| index.fold(true)).await?;
    }
    while let Some(row) = run.ledger.next().await? {
        run.row(&row).await?;
        row.recorded.iter().for_each(|recorded| settings.progress.passed_entry(recorded));
    }
    run.walk.finish();
    run.foreign().await?;
    run.record().await?;
    let Run { walk, mut sum, .. } = run;
    let name = |dir: Option<RelPath>| dir.map_or_else(|| ".".to_owned(), |dir| dir.to_string());
    sum.doubtful = walk.doubtful;
    sum.doubts = walk.doubts.into_iter().map(|(dir, why)| (name(dir), why)).collect();
    walk.line.close().await;
    Ok(sum)
}

impl Verified {
    /// Whether everything that is ours is on the server, as far as that was looked at, and nothing else is.
    pub fn is_fine(&self) -> bool {
        self.wrong + self.foreign + self.unproven == 0
    }
}

struct Run<'r, R: Remote, F> {
    walk: Walk<'r, R>,
    ledger: Ledger,
    books: Option<Books>,
    settings: &'r Verify,
    /// Of all files so many are read back.
    share: f64,
    each: F,
    corrections: Vec<(RelPath, Option<Stat>)>,
    sum: Verified,
}

/// How a file was proven.
enum Proof {
    Size,
    Checksum,
    Reading(u64),
}

impl<R: Remote, F: FnMut(&Finding)> Run<'_, R, F> {
    async fn row(&mut self, row: &Row) -> Result<(), AuditError> {
        let Some(recorded) = row.recorded else { return Ok(()) };
        let path = &row.path;
        let found = self.walk.find(path).await?;
        self.foreign().await?;
        if self.walk.is_lost(path) {
            self.sum.below += 1;
            return Ok(());
        }
        let is_dir = matches!(recorded, Entry::Dir { .. });
        let proof = match found {
            Ok(found) => self.prove(row, &recorded, found).await?,
            Err(why) => Err(What::Unproven { why }),
        };
        let what = match proof {
            Ok(_) if is_dir => {
                self.walk.enter(path).await?;
                self.sum.others += 1;
                return Ok(());
            }
            Ok(proof) => {
                self.count(&recorded, &proof);
                return Ok(());
            }
            Err(what) => what,
        };
        if is_dir {
            self.walk.lose(path);
        }
        if !self.ledger.still_has(path, Some(recorded)).await? {
            self.sum.moved_on += 1;
            return Ok(());
        }
        let size = if let Entry::File { print, .. } = recorded { print.size } else { 0 };
        if self.books.is_some()
            && let Some(stat) = correction(&what, size)
        {
            self.corrections.push((path.clone(), stat));
        }
        *if matches!(what, What::Unproven { .. }) { &mut self.sum.unproven } else { &mut self.sum.wrong } += 1;
        (self.each)(&Finding { path: path.clone(), what });
        if self.corrections.len() >= BATCH { self.record().await } else { Ok(()) }
    }

    /// Whether what was found at a path is what is recorded, and how that is known.
    async fn prove(&mut self, row: &Row, recorded: &Entry, mut found: Option<Found>) -> Result<Result<Proof, What>, AuditError> {
        let path = &row.path;
        let times = self.walk.line.remote().abilities().times == Some(true);
        let mut judgement = judge(recorded, found.as_ref(), times);
        // What was listed may be over by now: asked for by its name, it counts.
        if matches!(judgement, Judgement::Wrong(_)) && found.is_some_and(|found| !found.by_name) {
            found = match self.walk.ask(path).await? {
                Ok(found) => found,
                Err(why) => return Ok(Err(What::Unproven { why })),
            };
            judgement = judge(recorded, found.as_ref(), times);
        }
        if judgement == Judgement::Unsized {
            let size = self.walk.size(path).await?;
            judgement = match size {
                Some(_) => judge(recorded, found.map(|found| Found { size, ..found }).as_ref(), times),
                None => return Ok(Err(What::Unproven { why: "the server does not tell its size".to_owned() })),
            };
        }
        let (size, digest, suspect) = match judgement {
            Judgement::Wrong(what) => return Ok(Err(what)),
            Judgement::SameSize { size, digest: Some(digest), suspect } => (size, digest, suspect),
            Judgement::Fine | Judgement::Unsized | Judgement::SameSize { digest: None, .. } => return Ok(Ok(Proof::Size)),
        };
        if !(self.share > 0.0 && (self.settings.chance)() < self.share) {
            match self.by_checksum(row, size, digest).await? {
                Some(true) => return Ok(Ok(Proof::Checksum)),
                Some(false) => return Ok(Err(What::OtherContent)),
                None if !suspect => return Ok(Ok(Proof::Size)),
                None => {}
            }
        }
        Ok(match read_back(&mut self.walk.line, path, size, &self.settings.progress).await? {
            Ok(read) if read == digest => Ok(Proof::Reading(size)),
            Ok(_) => Err(What::OtherContent),
            Err(error) => Err(What::Unproven { why: error.to_string() }),
        })
    }

    /// Whether the server computes the checksum that the recorded content has; `None` where that cannot be known.
    async fn by_checksum(&mut self, row: &Row, size: u64, digest: Digest) -> Result<Option<bool>, AuditError> {
        let unchanged = row.observed.is_some_and(|observed| row.recorded.is_some_and(|r| observed.same_content(&r)));
        if !unchanged {
            return Ok(None);
        }
        let Some(there) = sums_there(&mut self.walk.line, &row.path, size).await? else { return Ok(None) };
        let Some(algorithm) = there.first().map(Checksum::algorithm) else { return Ok(None) };
        let here = sums_here(self.settings.place.clone(), row.path.clone(), algorithm, u64::MAX).await;
        // The local file may have been changed and nobody has looked yet.
        Ok(here.ok().filter(|(content, _)| content.digest == digest).map(|(_, here)| here == there))
    }

    fn count(&mut self, recorded: &Entry, proof: &Proof) {
        if recorded.kind() != Kind::File {
            self.sum.others += 1;
            return;
        }
        self.sum.files += 1;
        match proof {
            Proof::Size => self.sum.by_size += 1,
            Proof::Checksum => self.sum.by_checksum += 1,
            Proof::Reading(bytes) => {
                self.sum.by_reading += 1;
                self.sum.bytes_read += bytes;
            }
        }
    }

    /// Tells what is foreign in the directories that are done.
    async fn foreign(&mut self) -> Result<(), AuditError> {
        for path in self.walk.take_foreign() {
            // Sent or removed meanwhile, by a daemon.
            if !self.ledger.still_has(&path, None).await? || matches!(self.walk.ask(&path).await?, Ok(None)) {
                self.sum.moved_on += 1;
                continue;
            }
            if self.ledger.is_left(&path).await? {
                self.sum.left += 1;
                continue;
            }
            self.sum.foreign += 1;
            (self.each)(&Finding { path, what: What::Foreign });
        }
        Ok(())
    }

    async fn record(&mut self) -> Result<(), AuditError> {
        let corrections = std::mem::take(&mut self.corrections);
        let now = (self.settings.clock)();
        if let Some(books) = &mut self.books
            && !corrections.is_empty()
        {
            self.sum.corrected += books.with(move |index| index.correct(&corrections, now)).await? as u64;
        }
        Ok(())
    }
}
