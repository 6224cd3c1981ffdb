//! Who reads which file now, and what was found out last. Values only: waiting is for somebody else.

use std::collections::VecDeque;

use crate::{
    mirror::body::Content,
    model::{Fingerprint, RelPath, RootIdentity},
};

/// So much of what was found out last is kept: until it is in an index, which takes some round trips. Each has the digests of its chunks, of a GiB 64 KiB.
const KEPT: usize = 256;

/// A file in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) root: RootIdentity,
    pub(super) path: RelPath,
    pub(super) print: Fingerprint,
}

/// What comes of asking for a file's turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is known.
    Known(Content),
    /// Somebody is about to know.
    Begun,
    /// Nobody is: it is for the one who asks, until it leaves.
    Yours,
}

#[derive(Debug, Default)]
pub(super) struct Desk {
    begun: Vec<Key>,
    /// The newest comes last.
    known: VecDeque<(Key, Content)>,
}

impl Desk {
    pub(super) fn claim(&mut self, key: &Key) -> Claim {
        if let Some((_, content)) = self.known.iter().rev().find(|(known, _)| known == key) {
            return Claim::Known(content.clone());
        }
        if self.begun.contains(key) {
            return Claim::Begun;
        }
        self.begun.push(key.clone());
        Claim::Yours
    }

    /// This was found out, if it is what was asked for.
    pub(super) fn note(&mut self, key: &Key, content: &Content) {
        if content.print == key.print {
            if self.known.len() == KEPT {
                self.known.pop_front();
            }
            self.known.push_back((key.clone(), content.clone()));
        }
    }

    /// Whose turn it was has ended it, well or not.
    pub(super) fn leave(&mut self, key: &Key) {
        if let Some(at) = self.begun.iter().position(|begun| begun == key) {
            self.begun.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::Digest;

    const ROOT: RootIdentity = RootIdentity { device: 1, inode: 2, filesystem: 3 };

    fn print(state: u8) -> Fingerprint {
        Fingerprint { size: 1, mtime_ns: 1, ctime_ns: state.into(), inode: 7 }
    }

    fn key(root: u64, path: u8, state: u8) -> Key {
        let path = RelPath::new(format!("{path}")).unwrap();
        Key { root: RootIdentity { device: root, ..ROOT }, path, print: print(state) }
    }

    /// What this file holds in this state.
    fn content(root: u64, path: u8, state: u8) -> Content {
        let digest = Digest(*blake3::hash(&[u8::try_from(root).unwrap(), path, state]).as_bytes());
        Content { print: print(state), digest, bytes: 1, chunks: None }
    }

    #[test]
    fn one_finds_out_and_the_others_wait() {
        let mut desk = Desk::default();
        assert_eq!(desk.claim(&key(1, 1, 1)), Claim::Yours);
        assert_eq!(desk.claim(&key(1, 1, 1)), Claim::Begun);
        assert_eq!(desk.claim(&key(1, 1, 2)), Claim::Yours, "another state");
        desk.note(&key(1, 1, 1), &content(1, 1, 1));
        desk.leave(&key(1, 1, 1));
        assert_eq!(desk.claim(&key(1, 1, 1)), Claim::Known(content(1, 1, 1)));
        // It could not be read.
        desk.leave(&key(1, 1, 2));
        assert_eq!(desk.claim(&key(1, 1, 2)), Claim::Yours);
        // It was another one when it was read.
        desk.note(&key(1, 1, 2), &content(1, 1, 3));
        desk.leave(&key(1, 1, 2));
        assert_eq!(desk.claim(&key(1, 1, 2)), Claim::Yours);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut desk = Desk::default();
        for n in 0..=255 {
            desk.note(&key(1, n, 1), &content(1, n, 1));
        }
        desk.note(&key(2, 1, 1), &content(2, 1, 1));
        assert_eq!(desk.known.len(), KEPT);
        assert_eq!(desk.claim(&key(1, 0, 1)), Claim::Yours);
        assert_eq!(desk.claim(&key(1, 1, 1)), Claim::Known(content(1, 1, 1)));
    }

    proptest! {
        /// Whoever asks, in whatever order others begin, end and fail: nobody is told anything but what the file holds in that
        /// state, and no two find out the same at a time.
        #[test]
        fn nobody_is_told_what_is_wrong(steps in prop::collection::vec((0_u64..2, 0_u8..3, 0_u8..3, 0_u8..4), 0..200)) {
            let mut desk = Desk::default();
            let mut turns: BTreeMap<(u64, u8, u8), ()> = BTreeMap::new();
            for (root, path, state, then) in steps {
                let key = key(root, path, state);
                match then {
                    0 | 1 => match desk.claim(&key) {
                        Claim::Known(told) => prop_assert_eq!(told, content(root, path, state)),
                        Claim::Begun => prop_assert!(turns.contains_key(&(root, path, state))),
                        Claim::Yours => prop_assert!(turns.insert((root, path, state), ()).is_none()),
                    },
                    _ if turns.remove(&(root, path, state)).is_some() => {
                        if then == 2 {
                            desk.note(&key, &content(root, path, state));
                        }
                        desk.leave(&key);
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(desk.begun.len(), turns.len());
        }
    }
}
