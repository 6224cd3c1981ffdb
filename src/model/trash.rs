//! The trash: a directory of the mirror's own on the server, where what is gone here goes by rename. Where a thing lies in
//! it; what is done with it is for others.

use std::time::Duration;

use super::{PathError, RelPath, UnixMillis};

/// The directory below the mirror's on the server. A name here that is the same is not mirrored.
pub const TRASH_DIR: &str = ".towline-trash";

/// A name in the trash has at most so many bytes of its path: with what comes before them it fits every file system.
const LONGEST: usize = 200;

/// What becomes of the server's copy of something that is gone here.
///
/// A version that is overwritten is copied there first (see [`Retention::versions`]): to move it away would leave a moment without
/// a file of that name. A file that makes way for a directory, or a directory's files
/// that make way for a file, go the way of what is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disposal {
    /// It goes to the trash.
    #[default]
    Trash,
    /// It is removed.
    Remove,
    /// It stays and is Towline's no more; what must make way for something new goes to the trash, which is never emptied.
    Keep,
}

/// What else goes to the trash, and how long something stays there: until either is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// So long.
    pub age: Duration,
    /// While everything in it has no more bytes than this. Nothing that was removed goes for this reason in its first hour.
    pub bytes: u64,
    /// Which versions that are overwritten are kept, with [`Disposal::Trash`]. None that is larger than `bytes`, and none while
    /// twice as much is in the trash.
    pub versions: Versions,
}

/// Which versions of files are kept when they are overwritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// None.
    Never,
    /// Those that the server copies by itself.
    #[default]
    Copied,
    /// Where it does not, smaller ones as well: they are read back and sent once more, into the trash.
    Always,
}

impl Retention {
    /// Whether a version can be kept on a server that `copies` by itself; where nobody knows that yet, a session will find out.
    pub fn can_keep(&self, copies: Option<bool>) -> bool {
        copies != Some(false) || self.versions == Versions::Always
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_secs(30 * 86_400), bytes: 1 << 30, versions: Versions::default() }
    }
}

/// Where what is at `path` goes at the time `at`: `.towline-trash/2026-11-23/020512Z-1f0a9c33-docs%2Fa.txt`. `mark` is random, so
/// that nothing in the trash is ever replaced. One level below one directory a day, so that of many files the first one alone
/// needs a directory made; the whole path is in the name (its end, where it is long), so that people find it without Towline.
///
/// # Errors
/// None in practice: the name is made of what a name may hold.
pub fn place(path: &RelPath, at: UnixMillis, mark: u32) -> Result<RelPath, PathError> {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let (day, time) = (at.strftime("%Y-%m-%d"), at.strftime("%H%M%S"));
    RelPath::new(format!("{TRASH_DIR}/{day}/{time}Z-{mark:08x}-{}", named(path)))
}

/// Whether `path` is the trash or lies in it.
pub fn is_trash(path: &RelPath) -> bool {
    path.components().next() == Some(TRASH_DIR.as_bytes())
}

/// The path as one name: what no server alters, percent-encoded (RFC 3986, section 2.1) where need be.
fn named(path: &RelPath) -> String {
    let unfit = |c: char| c.is_ascii_control() || " /%\\:*?\"<>|".contains(c);
    let coded = |c: char| {
        let mut bytes = [0; 4];
        c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect::<String>()
    };
    let units: Vec<String> = match std::str::from_utf8(path.as_bytes()) {
        Ok(text) => text.chars().map(|c| if unfit(c) { coded(c) } else { c.to_string() }).collect(),
        Err(_) => path
            .as_bytes()
            .iter()
            .map(|byte| match char::from(*byte) {
                c if c.is_ascii() && !unfit(c) => c.to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect(),
    };
    let mut bytes = 0;
    let fits = |unit: &&String| {
        bytes += unit.len();
        bytes <= LONGEST
    };
    let kept = units.iter().rev().take_while(fits).count();
    units[units.len() - kept..].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: impl AsRef<[u8]>) -> RelPath {
        RelPath::new(text).expect("a valid path")
    }

    #[test]
    fn a_place_tells_when_and_from_where() {
        let at = UnixMillis(1_795_399_512_345);
        let of = |from: &RelPath| place(from, at, 0x1f0a_9c33).expect("a place");
        assert_eq!(of(&path("docs/a b.txt")), path(".towline-trash/2026-11-23/020512Z-1f0a9c33-docs%2Fa%20b.txt"));
        assert_eq!(of(&path("\u{e9}")).name(), "020512Z-1f0a9c33-\u{e9}".as_bytes());
        assert_eq!(of(&path(b"\xe9\n%")).name(), b"020512Z-1f0a9c33-%E9%0A%25");
        assert!(of(&path("x".repeat(300) + "/end")).name().ends_with(b"x%2Fend"));
        assert_eq!(place(&path("a"), UnixMillis(i64::MAX), 0), Ok(path(".towline-trash/1970-01-01/000000Z-00000000-a")));
    }

    #[test]
    fn what_is_in_the_trash_is_known_by_its_first_name() {
        for (text, expected) in
            [(".towline-trash", true), (".towline-trash/x/y", true), ("a/.towline-trash", false), (".towline-trash2", false)]
        {
            assert_eq!(is_trash(&path(text)), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_place_is_short_and_in_the_trash(
            from in proptest::collection::vec("[^/\u{0}]{1,80}", 1..6), at: i64, mark: u32, byte in 128_u8..,
        ) {
            let mut from = from.join("/").into_bytes();
            if mark.is_multiple_of(2) {
                from.push(byte);
            }
            if let Ok(from) = RelPath::new(from) {
                let place = place(&from, UnixMillis(at), mark).expect("a place");
                prop_assert!(is_trash(&place) && place.name().len() <= 255 && !place.breaks_lines());
                prop_assert_eq!(place.components().count(), 3);
            }
        }
    }
}
