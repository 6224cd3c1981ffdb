//! Directory listings: MLSD and MLST facts (RFC 3659 §7), and the lines of `ls -l` that LIST gives on Unix. A name
//! that could lead out of its directory is never handed on, only counted.

use super::{reply::MAX_LINE, time};

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

/// A directory, read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The names, in the server's order.
    pub entries: Vec<Listed>,
    /// Lines that were not understood, and names that no directory can hold. While there are any, absence of a name
    /// means nothing.
    pub rejected: usize,
    /// The server said that it left names out (Pure-FTPd stops at 10,000).
    pub capped: bool,
}

impl Listing {
    /// Whether every name in the directory is here.
    pub fn is_complete(&self) -> bool {
        self.rejected == 0 && !self.capped
    }
}

/// Whether the last reply to a listing says that names were left out. Pure-FTPd: `226-Output truncated to 10000 matches`.
pub fn is_capped(reply: &super::Reply) -> bool {
    reply.lines.iter().any(|line| line.to_ascii_lowercase().windows(9).any(|word| word == b"truncated"))
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

/// Which lines to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// MLSD.
    Facts,
    /// LIST.
    Unix,
}

/// Takes a listing as its bytes come.
#[derive(Debug)]
pub struct ListingParser {
    format: Format,
    most: usize,
    buffer: Vec<u8>,
    bytes: usize,
    lines: usize,
    listing: Listing,
}

impl ListingParser {
    /// For lines of this format.
    pub fn new(format: Format) -> Self {
        Self { format, most: usize::MAX, buffer: Vec::new(), bytes: 0, lines: 0, listing: Listing::default() }
    }

    /// Keeps the first `most` names alone; with any more the listing is capped.
    #[must_use]
    pub fn keeping(self, most: usize) -> Self {
        Self { most, ..self }
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
        Ok(self.listing)
    }

    fn line(&mut self) -> Result<(), ListingError> {
        self.lines += 1;
        if self.lines > MAX_LINES {
            return Err(ListingError::TooLong);
        }
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let found = match self.format {
            Format::Facts => facts_line(line),
            Format::Unix => unix_line(line),
        };
        match found {
            Line::Entry(listed) if self.listing.entries.len() < self.most => self.listing.entries.push(listed),
            Line::Entry(_) => self.listing.capped = true,
            Line::Nothing => {}
            Line::Rejected => self.listing.rejected += 1,
        }
        self.buffer.clear();
        Ok(())
    }
}

/// The facts in the reply to MLST: what is at the path that was asked for. The name in the reply does not count: servers
/// put it there absolute, relative or bare. `None` if no line has facts.
pub fn mlst(reply: &super::Reply) -> Option<(ListedKind, Option<u64>)> {
    reply.lines.iter().find_map(|line| {
        let line = line.strip_prefix(b" ").unwrap_or(line);
        let (facts, _) = split_facts(line)?;
        let facts = Facts::of(facts);
        Some((facts.kind?, facts.size))
    })
}

enum Line {
    Entry(Listed),
    Nothing,
    Rejected,
}

fn is_sane(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|b| matches!(b, b'/' | 0 | b'\r' | b'\n'))
}

#[derive(Default)]
struct Facts {
    kind: Option<ListedKind>,
    /// The directory itself or its parent.
    around: bool,
    size: Option<u64>,
    modified: Option<i64>,
}

impl Facts {
    fn of(facts: &[u8]) -> Self {
        let mut found = Self::default();
        for fact in facts.split(|b| *b == b';') {
            let Some(equals) = fact.iter().position(|b| *b == b'=') else { continue };
            let (name, value) = (fact[..equals].to_ascii_lowercase(), &fact[equals + 1..]);
            match name.as_slice() {
                b"type" => {
                    let value = value.to_ascii_lowercase();
                    found.around = matches!(value.as_slice(), b"cdir" | b"pdir");
                    found.kind = Some(match value.as_slice() {
                        b"file" => ListedKind::File,
                        b"dir" | b"cdir" | b"pdir" => ListedKind::Dir,
                        link if link.starts_with(b"os.unix=slink") || link.starts_with(b"os.unix=symlink") => ListedKind::Link,
                        _ => ListedKind::Other,
                    });
                }
                b"size" => found.size = number(value),
                b"modify" => found.modified = time::parse(value),
                _ => {}
            }
        }
        found
    }
}

/// `facts SP name`; facts end with a semicolon, or there are none at all.
fn split_facts(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|b| *b == b' ')?;
    let (facts, name) = (&line[..space], &line[space + 1..]);
    (facts.contains(&b'=') && facts.ends_with(b";")).then_some((facts, name))
}

fn facts_line(line: &[u8]) -> Line {
    if line.is_empty() {
        return Line::Nothing;
    }
    let Some((facts, name)) = split_facts(line) else { return Line::Rejected };
    let facts = Facts::of(facts);
    match facts.kind {
        _ if facts.around => Line::Nothing,
        Some(kind) if is_sane(name) => {
            let size = facts.size.filter(|_| kind == ListedKind::File);
            Line::Entry(Listed { name: name.to_vec(), kind, size, modified: facts.modified })
        }
        _ => Line::Rejected,
    }
}

/// `-rw-r--r-- 1 owner group 5 Nov 22 18:14 name`. Owner and group may be one word or none, so the month is looked for.
fn unix_line(line: &[u8]) -> Line {
    let Some(first) = line.first() else { return Line::Nothing };
    if line.starts_with(b"total ") {
        return Line::Nothing;
    }
    let kind = match first {
        b'-' => ListedKind::File,
        b'd' => ListedKind::Dir,
        b'l' => ListedKind::Link,
        b'c' | b'b' | b'p' | b's' => ListedKind::Other,
        _ => return Line::Rejected,
    };
    let words = words(line);
    // Mode, links, owner, group come before the size; names of accounts cannot be months with a number before and a day behind.
    let Some(month) = (3..words.len().min(9)).find(|at| is_date(line, &words, *at)) else { return Line::Rejected };
    let size = number(word(line, words[month - 1]));
    let Some(name) = words.get(month + 2).and_then(|clock| line.get(clock.1 + 1..)) else { return Line::Rejected };
    let name = match kind {
        ListedKind::Link => name.windows(4).position(|w| w == b" -> ").map_or(name, |arrow| &name[..arrow]),
        _ => name,
    };
    match name {
        b"." | b".." => Line::Nothing,
        name if is_sane(name) => {
            let size = size.filter(|_| kind == ListedKind::File);
            Line::Entry(Listed { name: name.to_vec(), kind, size, modified: None })
        }
        _ => Line::Rejected,
    }
}

/// Where the first twelve words of a line start and end.
fn words(line: &[u8]) -> Vec<(usize, usize)> {
    let mut words = Vec::with_capacity(10);
    let mut at = 0;
    while words.len() < 12 && at < line.len() {
        if line[at] == b' ' {
            at += 1;
            continue;
        }
        let end = line[at..].iter().position(|b| *b == b' ').map_or(line.len(), |len| at + len);
        words.push((at, end));
        at = end;
    }
    words
}

fn word(line: &[u8], (start, end): (usize, usize)) -> &[u8] {
    &line[start..end]
}

fn is_date(line: &[u8], words: &[(usize, usize)], at: usize) -> bool {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let [size, month, day, clock] = [at - 1, at, at + 1, at + 2].map(|i| words.get(i).map_or(&b""[..], |w| word(line, *w)));
    number(size).is_some()
        && MONTHS.iter().any(|name| name.eq_ignore_ascii_case(month))
        && number(day).is_some_and(|day| (1..=31).contains(&day))
        && !clock.is_empty()
        && clock.iter().all(|b| b.is_ascii_digit() || *b == b':')
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
