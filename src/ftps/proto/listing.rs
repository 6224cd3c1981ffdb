//! Directory listings: which names they hold, and how far they can be believed. A name that could lead out of its directory
//! is never handed on, only counted; a name that is not there is proven by nothing but a complete listing.

mod caps;
mod dos;
mod facts;
mod judge;
mod unix;

use super::reply::MAX_LINE;

pub use caps::{CAPS, Cap, is_suspicious};
pub use facts::{mlst, mlst_dated};
pub use judge::{Circumstances, Completeness, Doubt, Way, is_capped};

/// The most bytes of one listing.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The most lines of one listing.
pub const MAX_LINES: usize = 1_000_000;

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name: one component, never `.` or `..`.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: ListedKind,
    /// Bytes, where the server says so.
    pub size: Option<u64>,
    /// Whole seconds since the Unix epoch; only from MLSD, since LIST has local times.
    pub modified: Option<i64>,
}

/// What a listed name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// Something else.
    Other,
}

/// A directory as a server tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The names that were to be kept, in the server's order.
    pub entries: Vec<Listed>,
    /// How many names there were, kept or not.
    pub seen: usize,
    /// Lines that were not understood, and names that no directory can hold.
    pub rejected: usize,
    /// Whether it is all that there is.
    pub completeness: Completeness,
    /// The directory was in it, as `.` or as what it is (`cdir`).
    pub names_itself: bool,
    /// A name that starts with a dot was in it, the directory's own or its parent's among them.
    pub shows_dots: bool,
    /// Which lines it had; `None` while none of them told.
    pub format: Option<Format>,
    /// The one name that was to be kept.
    only: Option<Vec<u8>>,
}

/// What a listing says about one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// It is there.
    There(&'a Listed),
    /// It is not.
    Absent,
    /// It is not in the listing, which may not be all that there is.
    Unknown,
}

impl Listing {
    /// Whether every name in the directory was listed.
    pub fn is_complete(&self) -> bool {
        self.completeness == Completeness::Complete
    }

    /// What is called `name`.
    pub fn lookup(&self, name: &[u8]) -> Lookup<'_> {
        let found = self.entries.iter().find(|entry| entry.name == name);
        let was_kept = self.entries.len() == self.seen || self.only.as_deref() == Some(name);
        match found {
            Some(listed) => Lookup::There(listed),
            None if self.is_complete() && was_kept => Lookup::Absent,
            None => Lookup::Unknown,
        }
    }
}

/// A listing beyond its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// A line without an end.
    #[error("the server sent a listing with a line above {MAX_LINE} bytes")]
    LineTooLong,
    /// A listing without an end.
    #[error("the server sent a listing above {MAX_BYTES} bytes or {MAX_LINES} lines")]
    TooLong,
}

/// Which lines to expect. Within one listing they are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// MLSD (RFC 3659 §7).
    Facts,
    /// LIST as `ls -l` has it.
    Unix,
    /// LIST as `dir` has it (IIS).
    Dos,
    /// LIST; the first line that can be only one of the two decides.
    Any,
}

/// Which names to keep: in a directory of a million files one may be of interest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// The first so many.
    First(usize),
    /// One, by its name.
    Named(Vec<u8>),
}

/// Takes a listing as its bytes come.
#[derive(Debug)]
pub struct ListingParser {
    format: Format,
    keep: Keep,
    buffer: Vec<u8>,
    bytes: usize,
    lines: usize,
    unparsed: usize,
    listing: Listing,
}

impl ListingParser {
    /// For lines of this format.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            keep: Keep::All,
            buffer: Vec::new(),
            bytes: 0,
            lines: 0,
            unparsed: 0,
            listing: Listing { format: Some(format).filter(|format| *format != Format::Any), ..Listing::default() },
        }
    }

    /// Keeps only some of the names.
    #[must_use]
    pub fn keeping(mut self, keep: Keep) -> Self {
        if let Keep::Named(name) = &keep {
            self.listing.only = Some(name.clone());
        }
        self.keep = keep;
        self
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// When a bound is exceeded.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), ListingError> {
        self.bytes += bytes.len();
        if self.bytes > MAX_BYTES {
            return Err(ListingError::TooLong);
        }
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.buffer.extend_from_slice(piece);
            if self.buffer.len() > MAX_LINE {
                return Err(ListingError::LineTooLong);
            }
            if piece.ends_with(b"\n") {
                self.line()?;
            }
        }
        Ok(())
    }

    /// The end of the listing; a last line without an end counts.
    ///
    /// # Errors
    /// When a bound is exceeded.
    pub fn finish(mut self) -> Result<Listing, ListingError> {
        if !self.buffer.is_empty() {
            self.line()?;
        }
        Ok(self.cut())
    }

    /// The listing without its last line, if that has no end: half a name is another name.
    pub fn cut(self) -> Listing {
        let mut listing = self.listing;
        let names = listing.rejected - self.unparsed;
        listing.completeness = match (self.unparsed, names) {
            (0, 0) => Completeness::Complete,
            (0, names) => Completeness::Unknown(Doubt::RejectedNames(names)),
            (lines, _) => Completeness::Unknown(Doubt::Unparsed(lines)),
        };
        listing
    }

    fn line(&mut self) -> Result<(), ListingError> {
        self.lines += 1;
        if self.lines > MAX_LINES {
            return Err(ListingError::TooLong);
        }
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (format, found) = match self.listing.format.unwrap_or(self.format) {
            Format::Facts => (Format::Facts, facts::line(line)),
            Format::Unix => (Format::Unix, unix::line(line)),
            Format::Dos => (Format::Dos, dos::line(line)),
            Format::Any => match unix::line(line) {
                Line::Unparsed => (Format::Dos, dos::line(line)),
                found => (Format::Unix, found),
            },
        };
        let listing = &mut self.listing;
        if !matches!(found, Line::Nothing | Line::Unparsed) {
            listing.format = Some(format);
        }
        match found {
            Line::Entry(listed) => {
                listing.seen += 1;
                listing.shows_dots |= listed.name.starts_with(b".");
                let kept = match &self.keep {
                    Keep::All => true,
                    Keep::First(most) => listing.entries.len() < *most,
                    Keep::Named(name) => listed.name == *name && listing.entries.is_empty(),
                };
                if kept {
                    listing.entries.push(listed);
                }
            }
            Line::Itself => (listing.names_itself, listing.shows_dots) = (true, true),
            Line::Parent => listing.shows_dots = true,
            Line::Nothing => {}
            Line::Unparsed => (listing.rejected, self.unparsed) = (listing.rejected + 1, self.unparsed + 1),
            Line::BadName => listing.rejected += 1,
        }
        self.buffer.clear();
        Ok(())
    }
}

/// The listing in the reply to `STAT -a`: what is between its first line and its last. ProFTPD puts a space before each line,
/// as RFC 959 §4.2 has it. `None` if there is no room for any.
///
/// # Errors
/// When a bound is exceeded.
pub fn status(reply: &super::Reply, keep: Keep) -> Result<Option<Listing>, ListingError> {
    let [_, lines @ .., _] = reply.lines.as_slice() else { return Ok(None) };
    let mut parser = ListingParser::new(Format::Any).keeping(keep);
    for line in lines {
        parser.feed(line.strip_prefix(b" ").unwrap_or(line))?;
        parser.feed(b"\n")?;
    }
    parser.finish().map(Some)
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Entry(Listed),
    /// The directory that is listed.
    Itself,
    /// The one above it.
    Parent,
    Nothing,
    Unparsed,
    BadName,
}

impl Line {
    /// A line about `name`, which may be the directory or its parent.
    fn of(name: &[u8], kind: ListedKind, size: Option<u64>, modified: Option<i64>) -> Self {
        match name {
            b"." => Self::Itself,
            b".." => Self::Parent,
            name if is_sane(name) => {
                Self::Entry(Listed { name: name.to_vec(), kind, size: size.filter(|_| kind == ListedKind::File), modified })
            }
            _ => Self::BadName,
        }
    }
}

fn is_sane(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|b| matches!(b, b'/' | 0 | b'\r' | b'\n'))
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
