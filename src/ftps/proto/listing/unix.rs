//! Lines of LIST as `ls -l` writes them: `-rw-r--r-- 1 owner group 5 Nov 22 18:14 name`. Names of months in other languages
//! are not understood: a doubt is better than half a name.

use super::{Line, ListedKind, number};

const MONTHS: [&[u8; 3]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// So many words are looked at: mode, links, owner and group, which may have spaces in them, size, month, day and clock.
const MOST_WORDS: usize = 12;

pub(super) fn line(line: &[u8]) -> Line {
    if line.is_empty() || is_total(line) {
        return Line::Nothing;
    }
    let Some(kind) = kind(line) else { return Line::Unparsed };
    let words = words(line);
    let word = |at: usize| words.get(at).map_or(&b""[..], |(start, end)| &line[*start..*end]);
    // Owner and group may be one word or none, so the month is looked for. No account is called like a month with a number
    // before it and a day behind it.
    let is_date = |at: &usize| {
        size(kind, word(at - 1)).is_some() && is_month(word(*at)) && is_day(word(at + 1)) && is_clock_or_year(word(at + 2))
    };
    let Some(month) = (3..words.len().min(MOST_WORDS - 2)).find(is_date) else { return Line::Unparsed };
    // One space ends the clock; what follows is the name, with spaces of its own in front: so do vsftpd, ProFTPD and Pure-FTPd.
    let Some(name) = words.get(month + 2).and_then(|clock| line.get(clock.1 + 1..)) else { return Line::Unparsed };
    let size = size(kind, word(month - 1)).flatten();
    match kind {
        ListedKind::Link => match before_arrow(name, number(word(month - 1))) {
            Some(name) => Line::of(name, kind, None, None),
            None => Line::Unparsed,
        },
        _ => Line::of(name, kind, size, None),
    }
}

/// `total 12`.
fn is_total(line: &[u8]) -> bool {
    line.strip_prefix(b"total ").is_some_and(|rest| number(rest.trim_ascii()).is_some())
}

/// What the mode says, if it is one: ten characters and perhaps a mark for an access list or a label; or NetWare's, which
/// stands apart in brackets.
fn kind(line: &[u8]) -> Option<ListedKind> {
    let (first, mode) = line.split_first()?;
    let mode = &mode[..mode.iter().position(|b| *b == b' ').unwrap_or(mode.len())];
    let is_mode = match mode {
        b"" => line.get(1..3) == Some(b" ["),
        _ => {
            let (bits, mark) = mode.split_at_checked(9)?;
            bits.iter().all(|b| b"rwxsStTlL-".contains(b)) && matches!(mark, b"" | b"+" | b"." | b"@")
        }
    };
    match first {
        _ if !is_mode => None,
        b'-' => Some(ListedKind::File),
        b'd' => Some(ListedKind::Dir),
        b'l' => Some(ListedKind::Link),
        b'c' | b'b' | b'p' | b's' | b'D' => Some(ListedKind::Other),
        _ => None,
    }
}

/// The word before the date: a size; for a device its numbers, which are no size.
fn size(kind: ListedKind, word: &[u8]) -> Option<Option<u64>> {
    match number(word) {
        Some(size) => Some(Some(size)),
        None if kind == ListedKind::Other => {
            let comma = word.iter().position(|b| *b == b',')?;
            (number(&word[..comma]).is_some() && number(&word[comma + 1..]).is_some()).then_some(None)
        }
        None => None,
    }
}

/// Where the first words of a line start and end.
fn words(line: &[u8]) -> Vec<(usize, usize)> {
    let mut words = Vec::with_capacity(MOST_WORDS);
    let mut at = 0;
    while words.len() < MOST_WORDS && at < line.len() {
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

fn is_month(word: &[u8]) -> bool {
    MONTHS.iter().any(|name| name.eq_ignore_ascii_case(word))
}

fn is_day(word: &[u8]) -> bool {
    number(word).is_some_and(|day| (1..=31).contains(&day))
}

fn is_clock_or_year(word: &[u8]) -> bool {
    let (hours, minutes) = match word {
        [h, b':', minutes @ ..] => (std::slice::from_ref(h), minutes),
        [_, _, b':', minutes @ ..] => (&word[..2], minutes),
        year => return year.len() == 4 && number(year).is_some(),
    };
    minutes.len() == 2 && number(hours).is_some() && number(minutes).is_some()
}

/// The name of a link in `name -> target`. Both may hold an arrow: a link is as long as its target, which tells them apart.
fn before_arrow(name: &[u8], size: Option<u64>) -> Option<&[u8]> {
    const ARROW: &[u8] = b" -> ";
    let arrows: Vec<usize> = name.windows(ARROW.len()).enumerate().filter(|(_, w)| *w == ARROW).map(|(at, _)| at).collect();
    match *arrows {
        [] => Some(name),
        [only] => Some(&name[..only]),
        _ => {
            let target_is_right = |at: &&usize| size.is_some_and(|size| (name.len() - **at - ARROW.len()) as u64 == size);
            arrows.iter().find(target_is_right).map(|at| &name[..*at])
        }
    }
}
