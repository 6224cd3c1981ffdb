//! [`RelPath`]: a place below a mirror's root. A wrong one cannot be built.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    ffi::OsStr,
    fmt,
    ops::Bound,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A path below a mirror's root: bytes, components separated by `/`. It is never empty (the root itself is
/// `Option::<RelPath>::None`), never absolute, and no component is empty, `.` or `..`, or holds a NUL.
///
/// The order is depth-first preorder: a directory comes right before everything in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RelPath(Arc<[u8]>);

/// Why some bytes are not a [`RelPath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// An empty path, or `//`, or a slash in front or behind.
    #[error("a path has an empty component")]
    Empty,
    /// `.` or `..`.
    #[error("a path component is `.` or `..`")]
    Dots,
    /// A NUL byte.
    #[error("a path holds a NUL byte")]
    Nul,
    /// A name with a slash in it was given where a single name is needed.
    #[error("a file name holds a slash")]
    Slash,
}

impl RelPath {
    /// Checks and takes `bytes`.
    ///
    /// # Errors
    /// When a component is empty, `.` or `..`, or holds a NUL.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let bytes = bytes.as_ref();
        for component in bytes.split(|b| *b == b'/') {
            check(component)?;
        }
        Ok(Self(bytes.into()))
    }

    /// The entry called `name` in this directory; `None` is the root.
    ///
    /// # Errors
    /// When `name` is no single valid component.
    pub fn child(dir: Option<&Self>, name: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let name = name.as_ref();
        if name.contains(&b'/') {
            return Err(PathError::Slash);
        }
        check(name)?;
        Ok(match dir {
            None => Self(name.into()),
            Some(dir) => Self(dir.0.iter().chain(b"/").chain(name).copied().collect()),
        })
    }

    /// The bytes, components separated by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a path of the local system, relative.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Below `root` on the local system.
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(self.as_path())
    }

    /// The components, outermost first; at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/')
    }

    /// The last component.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|b| *b == b'/').next().unwrap_or(&self.0)
    }

    /// The directory that holds this; `None` when that is the root.
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|b| *b == b'/')?;
        Some(Self(self.0[..slash].into()))
    }

    /// The directories that hold this, innermost first, without the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// Whether this is `other` or lies below it.
    pub fn is_at_or_below(&self, other: &Self) -> bool {
        match self.0.strip_prefix(&*other.0) {
            Some([]) => true,
            Some(rest) => rest[0] == b'/',
            None => false,
        }
    }

    /// What this, which lies below `from`, is called when `from` is called `to`; `None` where it does not lie below.
    pub fn moved(&self, from: &Self, to: &Self) -> Option<Self> {
        match self.0.strip_prefix(&*from.0)? {
            below @ [b'/', ..] => Some(Self([&to.0, below].concat().into())),
            _ => None,
        }
    }

    /// Whether one of the two is the other or lies below it.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.is_at_or_below(other) || other.is_at_or_below(self)
    }

    /// The index key: the components joined by NUL, so that plain byte order is depth-first preorder.
    pub fn to_key(&self) -> Vec<u8> {
        self.0.iter().map(|b| if *b == b'/' { 0 } else { *b }).collect()
    }

    /// Back from [`Self::to_key`].
    ///
    /// # Errors
    /// When `key` was not made by `to_key`.
    pub fn from_key(key: &[u8]) -> Result<Self, PathError> {
        if key.contains(&b'/') {
            return Err(PathError::Slash);
        }
        key.split(|b| *b == 0).try_for_each(check)?;
        let mut path: Arc<[u8]> = key.into();
        Arc::make_mut(&mut path).iter_mut().filter(|b| **b == 0).for_each(|b| *b = b'/');
        Ok(Self(path))
    }

    /// The same path as a server that folds case might see it: lower case, by Unicode where a component is UTF-8, else by
    /// ASCII. Each component is folded by itself, so that what overlaps still does when folded.
    pub fn folded(&self) -> Self {
        let fold = |component: &[u8]| match std::str::from_utf8(component) {
            Ok(text) if !text.is_ascii() => text.to_lowercase().into_bytes(),
            _ => component.to_ascii_lowercase(),
        };
        Self(self.components().map(fold).collect::<Vec<_>>().join(&b'/').into())
    }

    /// Whether it holds a CR or LF: a protocol of lines, such as FTP (RFC 959, section 4.1), cannot carry it.
    pub fn breaks_lines(&self) -> bool {
        self.0.iter().any(|b| matches!(b, b'\r' | b'\n'))
    }

    /// For people: what is not UTF-8, control characters and those that change the direction of text are escaped.
    pub fn display(&self) -> Cow<'_, str> {
        let unfit =
            |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.contains(unfit) => Cow::Borrowed(text),
            _ => {
                let mut shown = String::new();
                for chunk in self.0.utf8_chunks() {
                    for c in chunk.valid().chars() {
                        if unfit(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
                    }
                    shown.extend(chunk.invalid().escape_ascii().map(char::from));
                }
                Cow::Owned(shown)
            }
        }
    }
}

fn check(component: &[u8]) -> Result<(), PathError> {
    match component {
        b"" => Err(PathError::Empty),
        b"." | b".." => Err(PathError::Dots),
        name if name.contains(&0) => Err(PathError::Nul),
        _ => Ok(()),
    }
}

impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |b: u8| if b == b'/' { 0 } else { b };
        match self.0.iter().zip(other.0.iter()).find(|(a, b)| a != b) {
            Some((a, b)) => key(*a).cmp(&key(*b)),
            None => self.0.len().cmp(&other.0.len()),
        }
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display())
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.display())
    }
}

impl serde::Serialize for RelPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.display())
    }
}

/// A set of paths that answers whether a path overlaps any of them, in the time of a few look-ups.
#[derive(Clone, Debug, Default)]
pub struct PathSet(BTreeSet<RelPath>);

impl PathSet {
    /// Adds `path`; `false` if it was there.
    pub fn insert(&mut self, path: RelPath) -> bool {
        self.0.insert(path)
    }

    /// Takes `path` out; `false` if it was not there.
    pub fn remove(&mut self, path: &RelPath) -> bool {
        self.0.remove(path)
    }

    /// Keeps the members for which `keep` is true.
    pub fn retain(&mut self, keep: impl FnMut(&RelPath) -> bool) {
        self.0.retain(keep);
    }

    /// Whether the set holds `path` itself.
    pub fn contains(&self, path: &RelPath) -> bool {
        self.0.contains(path)
    }

    /// Whether the set holds `path`, an ancestor of it, or something below it.
    pub fn overlaps(&self, path: &RelPath) -> bool {
        self.covers(path) || self.below(path).next().is_some()
    }

    /// Whether the set holds `path` or an ancestor of it.
    pub fn covers(&self, path: &RelPath) -> bool {
        self.0.contains(path) || path.ancestors().any(|a| self.0.contains(&a))
    }

    /// The members at or below `path`, in preorder.
    pub fn below<'a>(&'a self, path: &'a RelPath) -> impl Iterator<Item = &'a RelPath> {
        self.0.range((Bound::Included(path), Bound::Unbounded)).take_while(|p| p.is_at_or_below(path))
    }

    /// Every member, in preorder.
    pub fn iter(&self) -> impl Iterator<Item = &RelPath> {
        self.0.iter()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<RelPath> for PathSet {
    fn extend<I: IntoIterator<Item = RelPath>>(&mut self, paths: I) {
        self.0.extend(paths);
    }
}

impl FromIterator<RelPath> for PathSet {
    fn from_iter<I: IntoIterator<Item = RelPath>>(paths: I) -> Self {
        Self(paths.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("a valid path")
    }

    #[test]
    fn shown_names_are_told_apart_and_harmless() {
        for (name, shown) in [
            (&b"plain \xc3\xa4"[..], "plain ä"),
            (b"a\nb\x1b[31m", "a\\nb\\u{1b}[31m"),
            (b"latin\xe9", "latin\\xe9"),
            (b"latin\xe8", "latin\\xe8"),
            ("gpj.\u{202e}exe".as_bytes(), "gpj.\\u{202e}exe"),
        ] {
            assert_eq!(RelPath::new(name).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_leaves_the_root_is_refused() {
        for (bad, why) in [
            ("", PathError::Empty),
            ("/a", PathError::Empty),
            ("a/", PathError::Empty),
            ("a//b", PathError::Empty),
            ("..", PathError::Dots),
            ("a/../b", PathError::Dots),
            ("./a", PathError::Dots),
            ("a\0b", PathError::Nul),
        ] {
            assert_eq!(RelPath::new(bad), Err(why), "{bad:?}");
        }
        assert_eq!(RelPath::child(None, "a/b"), Err(PathError::Slash));
    }

    #[test]
    fn preorder_puts_a_directory_right_before_its_content() {
        let mut paths = ["a.b", "a/b", "a", "a/b/c", "b", "a-b"].map(path);
        paths.sort();
        assert_eq!(paths.map(|p| p.to_string()), ["a", "a/b", "a/b/c", "a-b", "a.b", "b"]);
    }

    #[test]
    fn a_name_with_control_characters_is_shown_escaped() {
        assert_eq!(path("a\nb\x1b[2J").to_string(), "a\\nb\\u{1b}[2J");
    }

    /// A child whose name is not UTF-8 once made its whole path fold by ASCII alone, and was no longer below its parent.
    #[test]
    fn folding_keeps_a_child_below_its_directory() {
        let dir = path("\u{c9}T\u{c9}");
        let child = RelPath::child(Some(&dir), b"\xffA").expect("a valid path");
        assert_eq!(dir.folded(), path("\u{e9}t\u{e9}"));
        assert!(child.folded().is_at_or_below(&dir.folded()));
        assert_eq!(child.folded().name(), b"\xffa");
    }

    proptest! {
        #[test]
        fn byte_order_of_keys_is_the_order(a in "[a-c./]{1,8}", b in "[a-c./]{1,8}") {
            if let (Ok(a), Ok(b)) = (RelPath::new(&a), RelPath::new(&b)) {
                prop_assert_eq!(a.cmp(&b), a.to_key().cmp(&b.to_key()));
                prop_assert_eq!(RelPath::from_key(&a.to_key()), Ok(a.clone()));
                prop_assert_eq!(a.is_at_or_below(&b), a == b || a.ancestors().any(|x| x == b));
            }
        }

        #[test]
        fn a_path_set_overlaps_as_its_members_do(
            members in proptest::collection::vec("[ab](/[ab]){0,3}", 0..6), probe in "[ab](/[ab]){0,3}",
        ) {
            let probe = path(&probe);
            let members: Vec<_> = members.iter().map(|m| path(m)).collect();
            let set: PathSet = members.iter().cloned().collect();
            prop_assert_eq!(set.overlaps(&probe), members.iter().any(|m| m.overlaps(&probe)));
        }
    }
}
