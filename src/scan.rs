//! Looks at the local tree and says what differs from what was seen last. Reads names and inodes, never content; decides
//! nothing, sends nothing, and keeps no tree in memory.
//!
//! Everything is looked up relative to open directories, one component at a time and never by following a symlink in the
//! kernel, so that a swapped directory cannot lead outside the root. Only directories are ever opened: nothing here can block on a FIFO.

mod ahead;
mod aim;
mod company;
mod dir;
mod explain;
mod links;
mod patterns;
mod reach;
pub mod read;
mod root;
mod rows;
mod rules;
mod sight;
mod view;
mod walk;

use std::{io, ops::ControlFlow, sync::Arc, thread};

use crate::{
    blocking,
    model::{Entry, Observation, PathError, Problem, Reason, RelPath},
    watch::Dirty,
};

use self::{ahead::Helpers, sight::Skip};
pub use self::{
    company::Company,
    explain::{Sighting, explain},
    links::travels,
    patterns::Patterns,
    reach::Reach,
    root::{Root, RootError},
    rules::{IGNORE_FILE, Rule, Rules, RulesError},
    view::{Modes, Place, Symlinks, View},
};

/// A batch holds so many findings at most; each is one transaction of the index.
pub const BATCH: usize = 1_024;

/// So many looks are taken at what is something else whenever it is to be opened. In between there is a moment: more than two of
/// them in a row are no chance.
const LOOKS: usize = 4;

/// What was observed before, as the index has it.
pub trait Known {
    /// What can go wrong there.
    type Error;

    /// The observed entries at and below `prefix` (`None`: all), in preorder.
    fn under(&mut self, prefix: Option<&RelPath>) -> impl Iterator<Item = Result<(RelPath, Entry), Self::Error>>;

    /// The observed entry at `path` itself.
    ///
    /// # Errors
    /// As the index has them.
    fn at(&mut self, path: &RelPath) -> Result<Option<Entry>, Self::Error> {
        let first = self.under(Some(path)).next().transpose()?;
        Ok(first.filter(|(found, _)| found == path).map(|(_, entry)| entry))
    }
}

/// One thing that a scan has to say. Findings come in preorder, except that the [`Observation::Gone`] of what was below a
/// former directory come after the [`Observation::Is`] of the file that took its place.
#[derive(Debug)]
pub enum Found {
    /// This differs from what is known. `Gone` and `Ignored` mean everything below the path too; `Is` means the path alone.
    Seen(Observation),
    /// A symbolic link is followed here: what is seen depends on these places, too; see [`Reach`].
    Link {
        /// Where it is.
        path: RelPath,
        /// Links that it leads through, and where it ends.
        through: Vec<RelPath>,
    },
    /// This could not be looked at. What is known at and below the path was left as it is.
    Problem {
        /// Where; `None` is the root.
        path: Option<RelPath>,
        /// Why.
        trouble: Trouble,
    },
}

/// Why a scan could not look somewhere.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The system refused to read a directory, or to say what is at a path.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// An ignore file could not be read, so nobody knows what in its directory is to be mirrored.
    #[error("ignore file cannot be read: {0}")]
    Rules(#[source] io::Error),
    /// A line of an ignore file is no pattern. The other lines hold; nothing was left out because of it.
    #[error("line {line} of the ignore file is no pattern: {source}")]
    Pattern {
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        source: ignore::Error,
    },
    /// Too many directories inside each other.
    #[error("more than {} directories deep", walk::DEEPEST)]
    TooDeep,
    /// Something else was there at each of several looks.
    #[error("it is something else whenever it is looked at: {0}")]
    Restless(#[source] Box<Trouble>),
    /// A directory was moved away while it was read.
    #[error("directory was moved while it was read")]
    Moved,
    /// A name that no path can hold.
    #[error("{0}")]
    Name(#[from] PathError),
}

impl Trouble {
    /// As the path's problem, for `status`.
    pub fn problem(&self) -> Problem {
        Problem::new(Reason::Unreadable, self)
    }

    /// Whether nobody knows what is at the place, or below it. If not, it is worth a remark, and nothing else.
    pub fn leaves_out(&self) -> bool {
        !matches!(self, Self::Pattern { .. })
    }

    /// Whether it may have come of a change between two looks.
    fn tells_of_change(&self) -> bool {
        matches!(self, Self::Unreadable(error) if dir::tells_of_change(error))
    }
}

/// What a scan saw, of the part of the tree that it looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Regular files.
    pub files: u64,
    /// Directories, without the root.
    pub dirs: u64,
    /// Symbolic links that are mirrored as links.
    pub links: u64,
    /// The files' sizes, in bytes.
    pub bytes: u64,
    /// What is not mirrored.
    pub skipped: Skipped,
    /// How many [`Found::Problem`]s there were.
    pub problems: u64,
    /// Whether everything that was to be looked at was; if not, absence proves nothing.
    pub complete: bool,
    /// Whether the root holds no name at all.
    pub root_empty: bool,
    /// Directories that another scan has read for this one.
    pub shared: u64,
}

/// What is not mirrored, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Skipped {
    /// Symbolic links that are neither followed nor mirrored as links.
    pub symlinks: u64,
    /// Of those: the ones that would be followed, but lead out of the root.
    #[serde(default)]
    pub outside: u64,
    /// Likewise, but lead to nothing.
    #[serde(default)]
    pub dangling: u64,
    /// Likewise, but lead back to a directory that they are in, or through too many links.
    #[serde(default)]
    pub looping: u64,
    /// Sockets.
    pub sockets: u64,
    /// Named pipes.
    pub fifos: u64,
    /// Block and character devices, and whatever else there may be.
    pub devices: u64,
    /// Files and directories that a rule ignores; what is below such a directory does not count.
    pub ignored: u64,
}

/// Why a scan ended early.
#[derive(Debug, thiserror::Error)]
pub enum ScanError<E> {
    /// What is known could not be read.
    #[error("{0}")]
    Known(E),
    /// The receiver wants no more.
    #[error("the scan was stopped")]
    Stopped,
}

/// Looks at what is `dirty` and hands every difference from what is `known` to `sink`, in batches of at most [`BATCH`].
/// Blocks on the disk and in `sink`; belongs on a thread where that is allowed.
///
/// A path whose parent directory is not known, or not as this directory, is looked at from there; an ignore file stands for
/// its directory.
///
/// # Errors
/// When `known` fails, or `sink` breaks. What cannot be read is no error, but a [`Found::Problem`].
pub fn scan<K: Known>(
    root: &Root,
    rules: &Rules,
    dirty: &Dirty,
    known: &mut K,
    sink: &mut dyn FnMut(Vec<Found>) -> ControlFlow<()>,
) -> Result<Summary, ScanError<K::Error>> {
    scan_among(&Company::default(), root, rules, dirty, known, sink)
}

/// As [`scan`], which reads what it has to, if that is everything, together with others in this `company` that do.
///
/// # Errors
/// As for [`scan`].
pub fn scan_among<K: Known>(
    company: &Company,
    root: &Root,
    rules: &Rules,
    dirty: &Dirty,
    known: &mut K,
    sink: &mut dyn FnMut(Vec<Found>) -> ControlFlow<()>,
) -> Result<Summary, ScanError<K::Error>> {
    scan_with(blocking::helpers(), company, root, rules, dirty, known, sink)
}

/// As [`scan_among`], with at most so many helpers.
fn scan_with<K: Known>(
    helpers: usize,
    company: &Company,
    root: &Root,
    rules: &Rules,
    dirty: &Dirty,
    known: &mut K,
    sink: &mut dyn FnMut(Vec<Found>) -> ControlFlow<()>,
) -> Result<Summary, ScanError<K::Error>> {
    let mut out = Out { sink, batch: Vec::new(), summary: Summary { complete: true, ..Summary::default() } };
    let targets = aim::targets(dirty);
    let alone = Company::default();
    let walker = Arc::new(if targets.is_none() { company } else { &alone }.join(root.identity()));
    thread::scope(|scope| {
        let mut helpers = Helpers::at_most(scope, helpers, Arc::clone(&walker));
        match targets {
            None => walk::everything(root, rules, known, &mut helpers, &mut out)?,
            Some(targets) => {
                aim::at_each(root, rules, &targets, known, &mut helpers, &mut out)?;
                match root.is_empty() {
                    Ok(empty) => out.summary.root_empty = empty,
                    Err(error) => out.problem(None, error.into())?,
                }
            }
        }
        out.flush()?;
        out.summary.shared = walker.taken();
        Ok(out.summary)
    })
}

/// Where findings go.
struct Out<'s> {
    sink: &'s mut dyn FnMut(Vec<Found>) -> ControlFlow<()>,
    batch: Vec<Found>,
    summary: Summary,
}

/// The sink wants no more.
struct Stopped;

impl<E> From<Stopped> for ScanError<E> {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl Out<'_> {
    fn seen(&mut self, observation: Observation) -> Result<(), Stopped> {
        self.push(Found::Seen(observation))
    }

    /// Something could not be looked at.
    fn problem(&mut self, path: Option<RelPath>, trouble: Trouble) -> Result<(), Stopped> {
        self.summary.complete = false;
        self.remark(path, trouble)
    }

    /// Something is wrong, but nothing was left out because of it.
    fn remark(&mut self, path: Option<RelPath>, trouble: Trouble) -> Result<(), Stopped> {
        self.summary.problems += 1;
        self.push(Found::Problem { path, trouble })
    }

    fn push(&mut self, found: Found) -> Result<(), Stopped> {
        self.batch.push(found);
        if self.batch.len() == BATCH { self.flush() } else { Ok(()) }
    }

    /// Counts what is not mirrored.
    fn skip(&mut self, why: Skip) {
        let skipped = &mut self.summary.skipped;
        skipped.symlinks += u64::from(matches!(why, Skip::Symlink | Skip::Outside | Skip::Dangling | Skip::Looping));
        let kind = match why {
            Skip::Symlink => return,
            Skip::Outside => &mut skipped.outside,
            Skip::Dangling => &mut skipped.dangling,
            Skip::Looping => &mut skipped.looping,
            Skip::Socket => &mut skipped.sockets,
            Skip::Fifo => &mut skipped.fifos,
            Skip::Device => &mut skipped.devices,
        };
        *kind += 1;
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        if self.batch.is_empty() {
            return Ok(());
        }
        match (self.sink)(std::mem::take(&mut self.batch)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stopped),
        }
    }
}

#[cfg(test)]
mod tests;
