//! A local disk in memory and what people do to it. Small names and few contents, so that things meet.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::model::{Digest, Entry, Fingerprint, RelPath};

const NAMES: [&str; 7] = ["a", "b", "A", "a-", "Dir", "dir", "\u{e9}"];
const MOST: usize = 24;

/// A file's content is told by one number; 0 is empty, others have one or two bytes.
pub(super) fn body(content: u8) -> Vec<u8> {
    if content == 0 { Vec::new() } else { vec![content; usize::from(1 + content % 2)] }
}

pub(super) fn digest(content: u8) -> Digest {
    Digest([content; 32])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Dir { inode: u64 },
    File { print: Fingerprint, content: u8 },
}

impl Item {
    /// As a scan sees it, which read the content or not.
    pub(super) fn entry(self, read: bool) -> Entry {
        match self {
            Self::Dir { inode } => Entry::dir(inode),
            Self::File { print, content } => Entry::file(print, read.then(|| digest(content))),
        }
    }
}

/// What somebody does. Numbers choose among what is there.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// A file with this content: made, rewritten in place, replaced, or put where a directory was.
    Write {
        at: u32,
        content: u8,
        replace: bool,
    },
    MakeDir {
        at: u32,
    },
    Remove {
        at: u32,
    },
    Move {
        from: u32,
        to: u32,
    },
    Swap {
        a: u32,
        b: u32,
    },
    /// Each of three gets the name of the next.
    Turn {
        a: u32,
        b: u32,
        c: u32,
    },
    Copy {
        from: u32,
        to: u32,
    },
    Touch {
        at: u32,
    },
}

pub(super) fn edits(count: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<u32>;
    let edit = prop_oneof![
        4 => (at(), 0..6u8, any::<bool>()).prop_map(|(at, content, replace)| Edit::Write { at, content, replace }),
        3 => at().prop_map(|at| Edit::MakeDir { at }),
        1 => at().prop_map(|at| Edit::Remove { at }),
        4 => (at(), at()).prop_map(|(from, to)| Edit::Move { from, to }),
        1 => (at(), at()).prop_map(|(a, b)| Edit::Swap { a, b }),
        1 => (at(), at(), at()).prop_map(|(a, b, c)| Edit::Turn { a, b, c }),
        1 => (at(), at()).prop_map(|(from, to)| Edit::Copy { from, to }),
        1 => at().prop_map(|at| Edit::Touch { at }),
    ];
    proptest::collection::vec(edit, count)
}

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) items: BTreeMap<RelPath, Item>,
    /// No two names differ in case only: all that a server which folds case can hold.
    fold: bool,
    ticks: u64,
}

impl Disk {
    pub(super) fn new(fold: bool) -> Self {
        Self { fold, ..Self::default() }
    }

    /// From now on names may differ in case only.
    pub(super) fn allow_twins(&mut self) {
        self.fold = false;
    }

    pub(super) fn edit(&mut self, edits: &[Edit]) {
        for edit in edits {
            let before = self.items.clone();
            self.apply(edit);
            if self.items.len() > MOST || (self.fold && self.has_twins()) {
                self.items = before;
            }
        }
    }

    fn apply(&mut self, edit: &Edit) {
        match *edit {
            Edit::Write { at, content, replace } => {
                let path = self.any(at);
                let former = match self.items.get(&path) {
                    Some(Item::File { print, .. }) if !replace => Some(print.inode),
                    _ => None,
                };
                self.take(&path);
                let inode = former.unwrap_or_else(|| self.tick());
                let file = self.file(inode, content);
                self.place(&path, vec![(None, file)]);
            }
            Edit::MakeDir { at } => {
                let path = self.any(at);
                if !matches!(self.items.get(&path), Some(Item::Dir { .. })) {
                    self.take(&path);
                    let inode = self.tick();
                    self.place(&path, vec![(None, Item::Dir { inode })]);
                }
            }
            Edit::Remove { at } => {
                if let Some(path) = self.existing(at) {
                    self.take(&path);
                }
            }
            Edit::Move { from, to } => {
                if let Some(from) = self.existing(from) {
                    let to = self.any(to);
                    if from != to {
                        let what = self.take(&from);
                        self.take(&to);
                        self.place(&to, what);
                    }
                }
            }
            Edit::Swap { a, b } => {
                if let (Some(a), Some(b)) = (self.existing(a), self.existing(b))
                    && !a.overlaps(&b)
                {
                    let (from_a, from_b) = (self.take(&a), self.take(&b));
                    self.place(&a, from_b);
                    self.place(&b, from_a);
                }
            }
            Edit::Turn { a, b, c } => {
                if let (Some(a), Some(b), Some(c)) = (self.existing(a), self.existing(b), self.existing(c))
                    && !a.overlaps(&b)
                    && !a.overlaps(&c)
                    && !b.overlaps(&c)
                {
                    let (from_a, from_b, from_c) = (self.take(&a), self.take(&b), self.take(&c));
                    self.place(&a, from_c);
                    self.place(&b, from_a);
                    self.place(&c, from_b);
                }
            }
            Edit::Copy { from, to } => {
                let found = self.existing(from).and_then(|from| self.items.get(&from).copied());
                if let Some(Item::File { content, .. }) = found {
                    let to = self.any(to);
                    self.take(&to);
                    let inode = self.tick();
                    let file = self.file(inode, content);
                    self.place(&to, vec![(None, file)]);
                }
            }
            Edit::Touch { at } => {
                if let Some(path) = self.existing(at)
                    && let Some(Item::File { print, content }) = self.items.get(&path).copied()
                {
                    let file = self.file(print.inode, content);
                    self.items.insert(path, file);
                }
            }
        }
    }

    fn file(&mut self, inode: u64, content: u8) -> Item {
        let now = i64::try_from(self.tick()).expect("few ticks");
        let size = body(content).len() as u64;
        Item::File { print: Fingerprint { size, mtime_ns: now, ctime_ns: now, inode }, content }
    }

    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    /// Takes `path` and everything below it off the disk, with paths relative to it.
    fn take(&mut self, path: &RelPath) -> Vec<(Option<RelPath>, Item)> {
        let below: Vec<RelPath> = self.items.keys().filter(|p| p.is_at_or_below(path)).cloned().collect();
        let relative = |p: &RelPath| RelPath::new(p.as_bytes().get(path.as_bytes().len() + 1..)?).ok();
        below.into_iter().filter_map(|p| Some((relative(&p), self.items.remove(&p)?))).collect()
    }

    /// Puts what was taken at `path`, where nothing is; missing directories are made, files on the way replaced.
    fn place(&mut self, path: &RelPath, what: Vec<(Option<RelPath>, Item)>) {
        for dir in path.ancestors() {
            if !matches!(self.items.get(&dir), Some(Item::Dir { .. })) {
                let inode = self.tick();
                self.items.insert(dir, Item::Dir { inode });
            }
        }
        let now = i64::try_from(self.tick()).expect("few ticks");
        for (below, mut item) in what {
            if let (None, Item::File { print, .. }) = (&below, &mut item) {
                print.ctime_ns = now;
            }
            let at = below.map_or_else(
                || path.clone(),
                |below| RelPath::new([path.as_bytes(), b"/", below.as_bytes()].concat()).expect("joined paths"),
            );
            self.items.insert(at, item);
        }
    }

    fn existing(&self, choice: u32) -> Option<RelPath> {
        let count = self.items.len();
        (count > 0).then(|| self.items.keys().nth(choice as usize % count).expect("within").clone())
    }

    /// An existing path, or a name in an existing directory, or one just below a file.
    fn any(&self, choice: u32) -> RelPath {
        let (kind, choice) = (choice % 8, choice / 8);
        let name = NAMES[choice as usize % NAMES.len()];
        let parent = self.existing(choice / 8);
        match (kind, parent) {
            (0..=2, Some(path)) => path,
            (3..=6, Some(path)) if self.items.get(&path).is_some_and(|i| kind == 6 || matches!(i, Item::Dir { .. })) => {
                RelPath::child(Some(&path), name).expect("a valid name")
            }
            _ => RelPath::new(name).expect("a valid name"),
        }
    }

    fn has_twins(&self) -> bool {
        let folded: std::collections::BTreeSet<_> = self.items.keys().map(RelPath::folded).collect();
        folded.len() < self.items.len()
    }
}
