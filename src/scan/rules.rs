//! What is not to be mirrored: gitignore syntax, from the configuration and from `.towlineignore` files in any
//! directory. No `.gitignore`, nothing global, and hidden files are like any others.
//!
//! The ignore files are read through open directories, with a bound, and anew in every scan: the crate's own incremental
//! matcher opens them by path, which follows symlinks, blocks on a FIFO and has to be told when one has changed. What a
//! pattern means is the crate's business alone.
//!
//! An ignore file is content like any other and is mirrored, unless it names itself. A name of the root that the server's trash
//! has is never mirrored, whatever the rules.

use std::{
    ffi::OsStr,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder, Glob},
};

use super::{
    Trouble,
    dir::{self, Opened},
    root::{IGNORE_NAME, Root, c_name},
};
use crate::model::{Kind, RelPath, is_trash};

/// The name of the files that hold the rules for their directory and everything below it.
pub const IGNORE_FILE: &str = ".towlineignore";

/// An ignore file may have so many bytes.
const MOST: u64 = 1024 * 1024;

/// The rules of one mirror.
#[derive(Clone, Debug)]
pub struct Rules {
    root: PathBuf,
    patterns: Arc<Gitignore>,
}

/// A rule that ignores something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// As it is written.
    pub pattern: String,
    /// The ignore file; `None`: the configuration.
    pub file: Option<RelPath>,
    /// The number of its line there, from 1.
    pub line: Option<usize>,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "`{}` ({file}, line {line})", self.pattern),
            (Some(file), None) => write!(f, "`{}` ({file})", self.pattern),
            (None, _) => write!(f, "`{}` (`ignore` in the configuration)", self.pattern),
        }
    }
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// One of them is no pattern.
    #[error("the pattern `{pattern}` is not valid: {source}")]
    Pattern {
        /// Which.
        pattern: String,
        /// What is wrong with it.
        source: ignore::Error,
    },
    /// Each is fine, but together they are too many.
    #[error("the patterns cannot be combined: {0}")]
    Together(#[source] ignore::Error),
}

/// All of these patterns together.
pub(super) fn combined(patterns: &[String]) -> Result<Gitignore, RulesError> {
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns {
        builder.add_line(None, pattern).map_err(|source| RulesError::Pattern { pattern: pattern.clone(), source })?;
    }
    builder.build().map_err(RulesError::Together)
}

impl Rules {
    /// The rules for the mirror of `root`: `patterns` from the configuration, which mean paths relative to the root, and
    /// the ignore files below it. The files are more specific, so they win; the deepest of them first.
    ///
    /// # Errors
    /// When a pattern is not valid.
    pub fn new(root: &Path, patterns: &[String]) -> Result<Self, RulesError> {
        Ok(Self { root: root.to_owned(), patterns: Arc::new(combined(patterns)?) })
    }

    /// Whether `path`, if it is a `kind`, is ignored, by itself or because a directory above it is. Reads the ignore files
    /// on the way to it; where one cannot be read, the answer is yes, as nobody knows.
    pub fn ignored(&self, path: &RelPath, kind: Kind) -> bool {
        self.try_ignored(path, kind).unwrap_or(true)
    }

    fn try_ignored(&self, path: &RelPath, kind: Kind) -> io::Result<bool> {
        let mut rules = self.chain();
        let mut at = Root::open(&self.root).ok().map(|root| root.reopen()).transpose()?;
        if let Some(root) = &at {
            rules = rules.enter(root.as_fd(), None)?.0;
        }
        let mut above: Vec<RelPath> = path.ancestors().collect();
        above.reverse();
        for dir in above {
            if rules.ignored(&dir, Kind::Dir) {
                return Ok(true);
            }
            let Some(parent) = at.take() else { continue };
            match dir::open_dir(parent.as_fd(), &c_name(dir.name())?) {
                Ok(opened) => {
                    rules = rules.enter(opened.as_fd(), Some(&dir))?.0;
                    at = Some(opened);
                }
                // Where there is no directory, there are no rules in it.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(rules.ignored(path, kind))
    }

    /// The rules above the root: those of the configuration.
    pub(super) fn chain(&self) -> Chain {
        Chain { patterns: self.patterns.clone(), innermost: None }
    }
}

/// The rules that hold for the names in one directory.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    patterns: Arc<Gitignore>,
    innermost: Option<Arc<Level>>,
}

/// One directory's ignore file.
#[derive(Debug)]
struct Level {
    /// So many bytes of a path lead to this directory, the slash included.
    prefix: usize,
    matcher: Gitignore,
    outer: Option<Arc<Level>>,
}

impl Chain {
    /// With the ignore file of `dir`, which is at `path`, if there is one; and with what is wrong with its lines.
    ///
    /// # Errors
    /// When there is one and it cannot be read.
    pub(super) fn enter(&self, dir: BorrowedFd<'_>, path: Option<&RelPath>) -> io::Result<(Self, Vec<Trouble>)> {
        let file = match dir::open_file(dir, IGNORE_NAME)? {
            Opened::File(file) => file,
            // As git has it: a symlink of that name is none.
            Opened::Nothing | Opened::Other => return Ok((self.clone(), Vec::new())),
        };
        let mut text = Vec::new();
        file.take(MOST + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MOST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {MOST} bytes")));
        }
        let (matcher, troubles) = parse(&text)?;
        let mut chain = self.clone();
        if !matcher.is_empty() {
            let prefix = path.map_or(0, |path| path.as_bytes().len() + 1);
            chain.innermost = Some(Arc::new(Level { prefix, matcher, outer: chain.innermost }));
        }
        Ok((chain, troubles))
    }

    /// Whether `path`, in or below the directory of this chain, is ignored by itself. That no directory above it is ignored
    /// is for the caller to know.
    pub(super) fn ignored(&self, path: &RelPath, kind: Kind) -> bool {
        is_trash(path) || self.decider(path, kind).is_some_and(|(_, glob)| !glob.is_whitelist())
    }

    /// The rule by which `path` is ignored, under the same condition.
    pub(super) fn rule(&self, path: &RelPath, kind: Kind) -> Option<Rule> {
        let (level, glob) = self.decider(path, kind).filter(|(_, glob)| !glob.is_whitelist())?;
        let file = level.map(|level| path.as_bytes().get(..level.prefix).unwrap_or_default());
        let file = file.and_then(|dir| RelPath::new([dir, IGNORE_FILE.as_bytes()].concat()).ok());
        let line = glob.from().and_then(|line| line.to_str()?.parse().ok());
        Some(Rule { pattern: glob.original().to_owned(), file, line })
    }

    /// The pattern that decides, and the ignore file's directory if it is of one.
    fn decider(&self, path: &RelPath, kind: Kind) -> Option<(Option<&Level>, &Glob)> {
        let is_dir = kind == Kind::Dir;
        let levels = std::iter::successors(self.innermost.as_deref(), |level| level.outer.as_deref());
        let own = levels.map(|level| (Some(level), level.matcher.matched(tail(path, level.prefix), is_dir)));
        own.chain([(None, self.patterns.matched(path.as_path(), is_dir))]).find_map(|(level, found)| match found {
            Match::None => None,
            Match::Ignore(glob) | Match::Whitelist(glob) => Some((level, glob)),
        })
    }
}

/// The lines that are patterns, and what is wrong with the others.
fn parse(text: &[u8]) -> io::Result<(Gitignore, Vec<Trouble>)> {
    let mut builder = GitignoreBuilder::new("");
    let mut troubles = Vec::new();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for (n, line) in text.split(|b| *b == b'\n').enumerate() {
        let added = match std::str::from_utf8(line) {
            // A pattern remembers where it is from as a path; here that is the number of its line.
            Ok(line) => builder.add_line(Some(PathBuf::from((n + 1).to_string())), line).map(drop),
            Err(error) => Err(ignore::Error::Io(io::Error::new(io::ErrorKind::InvalidData, error))),
        };
        if let Err(source) = added {
            troubles.push(Trouble::Pattern { line: n + 1, source });
        }
    }
    let matcher = builder.build().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok((matcher, troubles))
}

fn tail(path: &RelPath, prefix: usize) -> &Path {
    Path::new(OsStr::from_bytes(path.as_bytes().get(prefix..).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
