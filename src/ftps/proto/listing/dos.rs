//! Lines of LIST as `dir` writes them, which is what IIS does unless told otherwise:
//! `11-22-26  06:14PM       <DIR>          name`. Times are local and not read.

use super::{Line, ListedKind, number};

/// From a tag's `<` to the name: `<DIR>` and ten spaces, `<JUNCTION>` and five.
const TAG: usize = 15;

pub(super) fn line(line: &[u8]) -> Line {
    if line.is_empty() {
        return Line::Nothing;
    }
    parse(line).unwrap_or(Line::Unparsed)
}

fn parse(line: &[u8]) -> Option<Line> {
    let (date, rest) = word(line)?;
    let (clock, rest) = word(rest)?;
    let rest = match word(rest) {
        Some((b"AM" | b"PM" | b"am" | b"pm", rest)) => rest,
        _ => rest,
    };
    if !is_date(date) || !is_clock(clock) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    if !rest.starts_with(b"<") {
        let (size, name) = rest.split_at_checked(rest.iter().position(|b| *b == b' ')?)?;
        return Some(named(&name[1..], ListedKind::File, Some(size_of(size)?)));
    }
    let end = rest.iter().position(|b| *b == b'>')? + 1;
    let kind = match &rest[..end] {
        b"<DIR>" => ListedKind::Dir,
        b"<JUNCTION>" | b"<SYMLINKD>" | b"<SYMLINK>" => ListedKind::Link,
        _ => return None,
    };
    // The column is fixed, so that spaces behind it belong to the name; where it is another, they cannot be told apart.
    let name = match rest.split_at_checked(TAG) {
        Some((tag, name)) if tag[end..].iter().all(|b| *b == b' ') => name,
        _ => rest[end..].trim_ascii_start(),
    };
    // `name [target]`: a name may look like that, too.
    if kind == ListedKind::Link && name.ends_with(b"]") {
        return None;
    }
    Some(named(name, kind, None))
}

/// A backslash separates names here.
fn named(name: &[u8], kind: ListedKind, size: Option<u64>) -> Line {
    if name.contains(&b'\\') { Line::BadName } else { Line::of(name, kind, size, None) }
}

/// The first word, and what is behind it.
fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.trim_ascii_start();
    let end = line.iter().position(|b| *b == b' ')?;
    Some(line.split_at(end))
}

/// `11-22-26`, `11-22-2026`, `22.11.2026`, `2026-11-22`.
fn is_date(word: &[u8]) -> bool {
    let mut parts = word.split(|b| matches!(b, b'-' | b'/' | b'.'));
    let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
    let [Some(first), Some(second), Some(third), None] = parts else { return false };
    let lengths = (first.len(), second.len(), third.len());
    matches!(lengths, (2, 2, 2 | 4) | (4, 2, 2)) && [first, second, third].iter().all(|part| number(part).is_some())
}

/// `06:14PM`, `18:14`.
fn is_clock(word: &[u8]) -> bool {
    let Some((clock, half)) = word.split_at_checked(5) else { return false };
    clock[2] == b':'
        && number(&clock[..2]).is_some()
        && number(&clock[3..]).is_some()
        && (half.is_empty() || half.eq_ignore_ascii_case(b"AM") || half.eq_ignore_ascii_case(b"PM"))
}

/// `184946` or `184,946`.
fn size_of(word: &[u8]) -> Option<u64> {
    if number(word).is_some() {
        return number(word);
    }
    let groups: Vec<&[u8]> = word.split(|b| *b == b',').collect();
    let (first, rest) = groups.split_first()?;
    ((1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3)).then(|| number(&groups.concat()))?
}
