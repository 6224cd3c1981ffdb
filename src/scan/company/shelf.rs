//! What was read and is for others, and who reads what now. Values only: waiting is for somebody else.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    model::RootIdentity,
    scan::{
        ahead::Looks,
        dir::{Identity, Look, Names},
    },
};

/// So many names lie there at most; then what was put there first goes. With what is at each of them that is some 10 MB.
const MOST_NAMES: usize = 50_000;

/// A directory counts for so many more than it has: it takes room even if it is empty.
const ROOM: usize = 16;

/// What is read: the names of a directory, or what is at some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    dir: Identity,
    /// Of which reading of the names, by its place in memory, and from which name on.
    piece: Option<(usize, usize)>,
}

impl Key {
    pub(super) fn names(dir: Identity) -> Self {
        Self { dir, piece: None }
    }

    pub(super) fn looks(dir: Identity, names: &Arc<Names>, first: usize) -> Self {
        Self { dir, piece: Some((Arc::as_ptr(names).addr(), first)) }
    }
}

/// What was found. It holds the names, so that their place in memory is not another's meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) names: Arc<Names>,
    looks: Arc<[Option<Look>]>,
}

impl Page {
    /// Only where nothing failed: who meets an error has to meet it by itself.
    pub(super) fn of(names: &Arc<Names>, looks: &Looks) -> Option<Self> {
        let looks = looks.iter().map(|look| look.as_ref().ok().copied()).collect::<Option<_>>()?;
        Some(Self { names: Arc::clone(names), looks })
    }

    pub(super) fn looks(&self) -> Looks {
        self.looks.iter().map(|look| Ok(*look)).collect()
    }

    /// How much it counts for.
    fn weight(&self) -> usize {
        self.looks.len() + ROOM
    }
}

/// What comes of asking for something.
#[derive(Debug)]
pub(super) enum Claim {
    /// It was read.
    Taken(Page),
    /// Somebody reads it.
    Begun,
    /// Nobody does: it is for the one who asks. If others want it, too, the number of this reading.
    Yours(Option<u64>),
}

#[derive(Debug, Default)]
pub(super) struct Shelf {
    next: u64,
    /// The scans, and what they are of.
    walks: BTreeMap<u64, RootIdentity>,
    begun: Vec<Begun>,
    pages: VecDeque<(Key, BTreeSet<u64>, Page)>,
    /// What all of them count for.
    weight: usize,
}

#[derive(Debug)]
struct Begun {
    number: u64,
    key: Key,
    /// The scans that were under way then.
    wanted: BTreeSet<u64>,
}

impl Shelf {
    pub(super) fn join(&mut self, root: RootIdentity) -> u64 {
        self.next += 1;
        self.walks.insert(self.next, root);
        self.next
    }

    pub(super) fn claim(&mut self, walk: u64, key: &Key) -> Claim {
        if let Some(at) = self.pages.iter().position(|(there, wanted, _)| there == key && wanted.contains(&walk)) {
            let (_, wanted, page) = &mut self.pages[at];
            let page = page.clone();
            wanted.remove(&walk);
            if wanted.is_empty() {
                self.remove(at);
            }
            return Claim::Taken(page);
        }
        if self.begun.iter().any(|begun| begun.key == *key && begun.wanted.contains(&walk)) {
            return Claim::Begun;
        }
        let root = self.walks.get(&walk);
        let others = self.walks.iter().filter(|(other, of)| **other != walk && Some(*of) == root);
        let wanted: BTreeSet<u64> = others.map(|(other, _)| *other).collect();
        if wanted.is_empty() {
            return Claim::Yours(None);
        }
        self.next += 1;
        self.begun.push(Begun { number: self.next, key: *key, wanted });
        Claim::Yours(Some(self.next))
    }

    /// A reading has ended, well or not: what was found is for those that were under way when it was begun.
    pub(super) fn end(&mut self, reading: u64, found: Option<Page>) {
        let Some(at) = self.begun.iter().position(|begun| begun.number == reading) else { return };
        let Begun { key, wanted, .. } = self.begun.swap_remove(at);
        if let Some(page) = found.filter(|_| !wanted.is_empty()) {
            self.weight += page.weight();
            self.pages.push_back((key, wanted, page));
            while self.weight > MOST_NAMES && self.pages.len() > 1 {
                self.remove(0);
            }
        }
    }

    /// This scan is over.
    pub(super) fn leave(&mut self, walk: u64) {
        self.walks.remove(&walk);
        for begun in &mut self.begun {
            begun.wanted.remove(&walk);
        }
        self.pages.retain_mut(|(_, wanted, _)| {
            wanted.remove(&walk);
            !wanted.is_empty()
        });
        self.weight = self.pages.iter().map(|(.., page)| page.weight()).sum();
    }

    fn remove(&mut self, at: usize) {
        if let Some((.., page)) = self.pages.remove(at) {
            self.weight -= page.weight();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: RootIdentity = RootIdentity { device: 1, inode: 2, filesystem: 3 };

    fn dir(inode: u64) -> Key {
        Key::names(Identity { device: 1, inode })
    }

    /// A directory with so many names that are gone by now.
    fn page(names: usize) -> Page {
        Page { names: Arc::default(), looks: vec![None; names].into() }
    }

    fn taken(shelf: &mut Shelf, walk: u64, key: &Key) -> Option<usize> {
        match shelf.claim(walk, key) {
            Claim::Taken(page) => Some(page.looks.len()),
            Claim::Begun | Claim::Yours(_) => None,
        }
    }

    #[track_caller]
    fn begun(shelf: &mut Shelf, walk: u64, key: &Key) -> u64 {
        let Claim::Yours(Some(reading)) = shelf.claim(walk, key) else { panic!("it is for somebody else, or for nobody else") };
        reading
    }

    #[test]
    fn one_reads_and_the_others_take_it_once() {
        let mut shelf = Shelf::default();
        let (a, b, c) = (shelf.join(ROOT), shelf.join(ROOT), shelf.join(ROOT));
        let seventh = begun(&mut shelf, a, &dir(7));
        assert!(matches!(shelf.claim(b, &dir(7)), Claim::Begun));
        let eighth = begun(&mut shelf, b, &dir(8));
        shelf.end(seventh, Some(page(3)));
        assert_eq!((taken(&mut shelf, b, &dir(7)), taken(&mut shelf, c, &dir(7))), (Some(3), Some(3)));
        assert_eq!((shelf.weight, shelf.pages.len()), (0, 0));
        // It met it again, by another way: that is another reading.
        begun(&mut shelf, b, &dir(7));
        // What could not be read is nobody's.
        shelf.end(eighth, None);
        begun(&mut shelf, a, &dir(8));
    }

    #[test]
    fn who_begins_later_takes_nothing_that_was_begun_before() {
        let mut shelf = Shelf::default();
        let (a, b) = (shelf.join(ROOT), shelf.join(ROOT));
        let reading = begun(&mut shelf, a, &dir(7));
        let late = shelf.join(ROOT);
        begun(&mut shelf, late, &dir(7));
        shelf.end(reading, Some(page(3)));
        assert_eq!((taken(&mut shelf, late, &dir(7)), taken(&mut shelf, b, &dir(7))), (None, Some(3)));
        // Another directory is none of theirs.
        let other = shelf.join(RootIdentity { inode: 9, ..ROOT });
        assert!(matches!(shelf.claim(other, &dir(20)), Claim::Yours(None)));
    }

    /// A directory that is met in two ways may be read twice at a time: what was begun first was once put down for those who came
    /// before the second.
    #[test]
    fn two_readings_of_one_scan_are_two() {
        let mut shelf = Shelf::default();
        let (a, _b) = (shelf.join(ROOT), shelf.join(ROOT));
        let first = begun(&mut shelf, a, &dir(7));
        let late = shelf.join(ROOT);
        let second = begun(&mut shelf, a, &dir(7));
        shelf.end(first, Some(page(1)));
        assert!(matches!(shelf.claim(late, &dir(7)), Claim::Begun));
        shelf.end(second, Some(page(2)));
        assert_eq!(taken(&mut shelf, late, &dir(7)), Some(2));
    }

    #[test]
    fn what_nobody_takes_goes() {
        let mut shelf = Shelf::default();
        let (quick, slow) = (shelf.join(ROOT), shelf.join(ROOT));
        for n in 0..200 {
            let reading = begun(&mut shelf, quick, &dir(n));
            shelf.end(reading, Some(page(1000)));
        }
        assert_eq!(shelf.pages.len(), 49);
        assert!(shelf.weight <= MOST_NAMES);
        assert_eq!((taken(&mut shelf, slow, &dir(150)), taken(&mut shelf, slow, &dir(151))), (None, Some(1000)));
        shelf.leave(slow);
        assert_eq!((shelf.weight, shelf.pages.len()), (0, 0));
    }

    /// Who reads, the number of that reading, what, and since when.
    type Reading = (u64, Option<u64>, u64, usize);

    proptest! {
        /// Scans that come and go, read, fail and take: nobody is given what was begun before it came; and what lies there is what
        /// somebody may yet take, and counted.
        #[test]
        fn what_is_taken_was_read_since(steps in prop::collection::vec((0_u8..5, 0_usize..4, 0_u64..4), 0..300)) {
            let mut shelf = Shelf::default();
            let (mut walks, mut readings) = (Vec::<(u64, usize)>::new(), Vec::<Reading>::new());
            for (now, (what, who, which)) in steps.into_iter().enumerate() {
                match (what, walks.get(who).copied()) {
                    (0, _) if walks.len() < 4 => walks.push((shelf.join(ROOT), now)),
                    (1, Some((walk, _))) if readings.iter().all(|(by, ..)| *by != walk) => {
                        shelf.leave(walk);
                        walks.remove(who);
                    }
                    (2, Some((walk, since))) => match shelf.claim(walk, &dir(which)) {
                        // The number of its names says when it was begun.
                        Claim::Taken(page) => prop_assert!(page.looks.len() > since),
                        Claim::Begun => {
                            let is_read = |(_, _, dir, begun): &Reading| *dir == which && *begun > since;
                            prop_assert!(readings.iter().any(is_read));
                        }
                        Claim::Yours(reading) => readings.push((walk, reading, which, now)),
                    },
                    (3 | 4, Some((walk, _))) => {
                        if let Some(at) = readings.iter().position(|(by, _, dir, _)| (*by, *dir) == (walk, which)) {
                            let (_, reading, _, begun) = readings.remove(at);
                            if let Some(reading) = reading {
                                shelf.end(reading, (what == 3).then(|| page(begun)));
                            }
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(shelf.weight, shelf.pages.iter().map(|(.., page)| page.weight()).sum::<usize>());
                let live: BTreeSet<u64> = walks.iter().map(|(walk, _)| *walk).collect();
                prop_assert!(shelf.pages.iter().all(|(_, wanted, _)| !wanted.is_empty() && wanted.is_subset(&live)));
            }
        }
    }
}
