//! Lines of MLSD and MLST: facts and a name (RFC 3659 §7).

use super::{Line, ListedKind, number};
use crate::ftps::proto::{Reply, time};

/// The facts in the reply to MLST: what is at the path that was asked for. The name in the reply does not count: servers
/// put it there absolute, relative or bare. `None` if no line has facts.
pub fn mlst(reply: &Reply) -> Option<(ListedKind, Option<u64>)> {
    mlst_dated(reply).map(|(kind, size, _)| (kind, size))
}

/// As [`mlst`], with the modification time in whole seconds since the Unix epoch.
pub fn mlst_dated(reply: &Reply) -> Option<(ListedKind, Option<u64>, Option<i64>)> {
    reply.lines.iter().find_map(|line| {
        let line = line.strip_prefix(b" ").unwrap_or(line);
        let (facts, _) = split(line)?;
        let facts = Facts::of(facts);
        Some((facts.kind?, facts.size, facts.modified))
    })
}

pub(super) fn line(line: &[u8]) -> Line {
    if line.is_empty() {
        return Line::Nothing;
    }
    let Some((facts, name)) = split(line) else { return Line::Unparsed };
    let facts = Facts::of(facts);
    match (facts.around, facts.kind) {
        (Some(Around::Itself), _) => Line::Itself,
        (Some(Around::Parent), _) => Line::Parent,
        // That a plain entry is called `.` is no name for the directory: a server that has such would say `cdir`.
        (None, Some(_)) if matches!(name, b"." | b"..") => Line::BadName,
        (None, Some(kind)) => Line::of(name, kind, facts.size, facts.modified),
        (None, None) => Line::Unparsed,
    }
}

enum Around {
    Itself,
    Parent,
}

#[derive(Default)]
struct Facts {
    kind: Option<ListedKind>,
    around: Option<Around>,
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
                    found.around = match value.as_slice() {
                        b"cdir" => Some(Around::Itself),
                        b"pdir" => Some(Around::Parent),
                        _ => None,
                    };
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
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|b| *b == b' ')?;
    let (facts, name) = (&line[..space], &line[space + 1..]);
    (facts.contains(&b'=') && facts.ends_with(b";")).then_some((facts, name))
}
