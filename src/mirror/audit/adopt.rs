//! Adopt: the server against the local tree. What is equal is recorded as sent, and need not be.

use super::{
    AuditError, Finding, Ledger, What,
    content::{read_back, sums_here, sums_there},
    judge::same_time,
    walk::{Found, Walk},
};
use crate::{
    index::{Index, IndexError, Note},
    mirror::{Progress, Settings, body, books::Books, engine::observe, marker::Bond},
    model::{Checksum, Entry, Fingerprint, Kind, RelPath, Row, UnixMillis},
    remote::Remote,
};

/// Entries that are recorded at once.
const BATCH: usize = 512;

/// How to adopt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adoption {
    /// A file of the same size and time of modification counts as equal where the server computes no checksums.
    pub trust_times: bool,
}

/// What an adoption came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Adopted {
    /// Files that were taken over.
    pub files: u64,
    /// Their bytes: so many need not be sent.
    pub bytes: u64,
    /// Of the files: so many by a checksum that the server computed.
    pub by_checksum: u64,
    /// By their time.
    pub by_time: u64,
    /// By being read back.
    pub by_reading: u64,
    /// Directories that were taken over.
    pub dirs: u64,
    /// Files, directories and links that were recorded before.
    pub known: u64,
    /// Files, directories and links that are missing on the server.
    pub missing: u64,
    /// Paths that are there and differ, each one told.
    pub different: u64,
    /// Names on the server that are not here, each one told; directories stand for all that is in them.
    pub foreign: u64,
    /// Paths of which it could not be found out, each one told.
    pub unproven: u64,
    /// Local places that could not be looked at.
    pub unseen: Vec<String>,
}

/// Looks at the local tree, and records of what the server has of it already that it was sent. What differs is told to `each`,
/// and left to the planner; on the server nothing is changed.
///
/// # Errors
/// When the index or the local directory cannot be used, or the server not be asked.
pub async fn adopt<R: Remote>(
    remote: &R,
    settings: &Settings,
    mut index: Index,
    how: Adoption,
    each: impl FnMut(&Finding),
) -> Result<Adopted, AuditError> {
    let walk = Walk::start(remote).await?;
    let (_, _, unseen) = observe(settings, &mut index).await?;
    take_over(&mut index, &settings.identity, remote.target(), (settings.clock)())?;
    index.fold(remote.abilities().folds())?;
    let ledger = Ledger::below(index.reader()?, None);
    let books = Books::new(index);
    let sum = Adopted { unseen, ..Adopted::default() };
    let mut run = Run { walk, books, settings, how, each, equal: Vec::new(), sum };
    run.all(ledger).await?;
    run.walk.line.close().await;
    Ok(run.sum)
}

/// Whoever adopts a directory says that it is this mirror's, whatever its marker says. Of another one nothing is known.
fn take_over(index: &mut Index, identity: &str, target: String, now: UnixMillis) -> Result<(), IndexError> {
    let bond = index.note::<Bond>(Note::Marker)?;
    let bond = match bond {
        Some(bond) if bond.target == target => bond,
        Some(bond) => {
            index.start_elsewhere(now)?;
            bond.moved(target)
        }
        None => Bond::new(identity.to_owned(), target),
    };
    index.set_note(Note::Marker, Some(&Bond { takes_over: true, ..bond }))
}

struct Run<'r, R: Remote, F> {
    walk: Walk<'r, R>,
    books: Books,
    settings: &'r Settings,
    how: Adoption,
    each: F,
    equal: Vec<(RelPath, Entry)>,
    sum: Adopted,
}

/// What a file here and one there amount to.
enum Equal {
    /// Both are this.
    Yes(Entry),
    No,
    Unknown(String),
}

impl<R: Remote, F: FnMut(&Finding)> Run<'_, R, F> {
    async fn all(&mut self, mut ledger: Ledger) -> Result<(), AuditError> {
        while let Some(row) = ledger.next().await? {
            if row.observed.is_some() || row.recorded.is_some() {
                self.row(row).await?;
            }
            self.foreign(&mut ledger).await?;
        }
        self.walk.finish();
        self.foreign(&mut ledger).await?;
        self.record().await
    }

    async fn row(&mut self, row: Row) -> Result<(), AuditError> {
        let path = row.path;
        let found = match self.walk.find(&path).await? {
            Ok(found) => found,
            Err(why) => {
                self.walk.lose(&path);
                self.tell(path, What::Unproven { why });
                return Ok(());
            }
        };
        let is_dir = found.is_some_and(|found| found.kind == Some(Kind::Dir));
        let known = row.recorded.is_some();
        self.sum.known += u64::from(known);
        match (row.observed.or(row.recorded), found) {
            (_, None) => {
                self.sum.missing += u64::from(!known);
                self.walk.lose(&path);
            }
            (Some(Entry::Dir { inode, .. }), Some(_)) if is_dir => {
                self.walk.enter(&path).await?;
                if !known {
                    self.sum.dirs += 1;
                    self.equal.push((path, Entry::dir(inode)));
                }
            }
            _ if known => {}
            (Some(Entry::File { print, .. }), Some(found)) if found.kind == Some(Kind::File) => {
                self.file(path, print, found).await?;
            }
            // Where a link there leads to FTP does not tell.
            (_, Some(found)) => self.tell(path, What::OtherKind { found: found.kind }),
        }
        if self.equal.len() >= BATCH { self.record().await } else { Ok(()) }
    }

    async fn file(&mut self, path: RelPath, print: Fingerprint, found: Found) -> Result<(), AuditError> {
        let size = match found.size {
            Some(size) => Some(size),
            None => self.walk.size(&path).await?,
        };
        match size {
            None => {
                self.tell(path, What::Unproven { why: "the server does not tell its size".to_owned() });
                return Ok(());
            }
            Some(size) if size != print.size => {
                self.tell(path, What::OtherSize { expected: print.size, found: size });
                return Ok(());
            }
            Some(_) => {}
        }
        match self.equal(&path, print, found).await? {
            Equal::Yes(entry) => {
                self.sum.files += 1;
                self.sum.bytes += print.size;
                self.equal.push((path, entry));
            }
            Equal::No => self.tell(path, What::OtherContent),
            Equal::Unknown(why) => self.tell(path, What::Unproven { why }),
        }
        Ok(())
    }

    /// Whether the file there, which has the same size, has the same content: by the server's checksum, by its time, or by
    /// reading it.
    async fn equal(&mut self, path: &RelPath, print: Fingerprint, found: Found) -> Result<Equal, AuditError> {
        let place = self.settings.place();
        if let Some(there) = sums_there(&mut self.walk.line, path, print.size).await?
            && let Some(algorithm) = there.first().map(Checksum::algorithm)
        {
            return Ok(match sums_here(place, path.clone(), algorithm, u64::MAX).await {
                Ok((content, here)) if here == there => {
                    self.sum.by_checksum += 1;
                    Equal::Yes(Entry::file(content.print, Some(content.digest)))
                }
                Ok(_) => Equal::No,
                Err(error) => Equal::Unknown(error.to_string()),
            });
        }
        if self.how.trust_times {
            let told = match found.modified {
                Some(told) => Some(told),
                None => self.walk.modified(path).await?,
            };
            if told.is_some_and(|told| same_time(print.mtime_ns, told)) {
                self.sum.by_time += 1;
                return Ok(Equal::Yes(Entry::file(print, None)));
            }
        }
        let content = match body::digest(place, path.clone()).await {
            Ok(content) => content,
            Err(error) => return Ok(Equal::Unknown(error.to_string())),
        };
        Ok(match read_back(&mut self.walk.line, path, print.size, &Progress::default()).await? {
            Ok(digest) if digest == content.digest => {
                self.sum.by_reading += 1;
                Equal::Yes(Entry::file(content.print, Some(content.digest)))
            }
            Ok(_) => Equal::No,
            Err(error) => Equal::Unknown(error.to_string()),
        })
    }

    async fn foreign(&mut self, ledger: &mut Ledger) -> Result<(), AuditError> {
        for path in self.walk.take_foreign() {
            if !ledger.is_left(&path).await? {
                self.tell(path, What::Foreign);
            }
        }
        Ok(())
    }

    fn tell(&mut self, path: RelPath, what: What) {
        *match what {
            What::Foreign => &mut self.sum.foreign,
            What::Unproven { .. } => &mut self.sum.unproven,
            _ => &mut self.sum.different,
        } += 1;
        (self.each)(&Finding { path, what });
    }

    async fn record(&mut self) -> Result<(), AuditError> {
        let equal = std::mem::take(&mut self.equal);
        if !equal.is_empty() {
            let now = (self.settings.clock)();
            self.books.with(move |index| index.record_read(&equal, now)).await?;
        }
        Ok(())
    }
}
