//! What may happen to an index, at random.

use proptest::{prelude::*, sample::Index as Pick};

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Observe(Vec<Observation>),
    Begin(Vec<Operation>),
    Settle(Pick, Outcome, Fingerprint, Option<i64>),
    Resolve(Pick, [Option<Stat>; 2]),
    Record(RelPath, Entry),
    Digest(Pick, Digest),
    Release,
    Reopen,
}

fn paths() -> impl Strategy<Value = RelPath> {
    prop::sample::select(vec!["a", "a/b", "a/b/c", "a/d", "a.x", "b", "b/c", "c"]).prop_map(p)
}

fn prints() -> impl Strategy<Value = Fingerprint> {
    (prop::sample::select(vec![0, 5, u64::MAX]), 0..2_i64, 0..2_i64, 1..4_u64)
        .prop_map(|(size, mtime_ns, ctime_ns, inode)| Fingerprint { size, mtime_ns, ctime_ns, inode })
}

fn digests() -> impl Strategy<Value = Digest> {
    (0..2_u8).prop_map(|n| Digest([n; 32]))
}

fn modes() -> impl Strategy<Value = Option<Mode>> {
    prop::option::of(prop::sample::select(vec![Mode::of(0o644), Mode::of(0o600)]))
}

fn entries() -> impl Strategy<Value = Entry> {
    prop_oneof![
        2 => (1..3_u64, modes()).prop_map(|(inode, mode)| dir(inode).with_mode(mode)),
        5 => (prints(), prop::option::of(digests()), modes()).prop_map(|(print, digest, mode)| Entry::File { print, digest, mode }),
        1 => digests().prop_map(|target| Entry::Link { target }),
    ]
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (paths(), 1..3_u64, modes()).prop_map(|(path, inode, mode)| Operation::MakeDir { path, inode, mode }),
        (paths(), digests()).prop_map(|(path, target)| Operation::Link { path, target }),
        paths().prop_map(|path| Operation::SetMode { path, mode: Mode::of(0o600) }),
        (paths(), prints(), prop::option::of(digests()), modes()).prop_map(|(path, print, equal_to, mode)| Operation::Put {
            path,
            print,
            equal_to,
            mode,
            like: None,
        }),
        paths().prop_map(|path| Operation::RemoveFile { path }),
        paths().prop_map(|path| Operation::RemoveDir { path }),
        (paths(), 0..u32::MAX)
            .prop_map(|(path, mark)| Operation::Trash { place: crate::model::place(&path, at(0), mark).unwrap(), path }),
        (paths(), prints(), prop::option::of(digests()), 0..u32::MAX).prop_map(|(path, print, unless, mark)| Operation::Keep {
            place: crate::model::place(&path, at(0), mark).unwrap(),
            path,
            print,
            unless,
        }),
        (paths(), paths(), 1..3_u64)
            .prop_filter("two places", |(from, to, _)| !from.overlaps(to))
            .prop_map(|(from, to, inode)| Operation::RenameDir { from, to, inode }),
        (paths(), paths(), any::<bool>()).prop_filter("two places", |(path, other, _)| !path.overlaps(other)).prop_map(
            |(path, other, is_dir)| Operation::Rotate {
                path,
                others: vec![other],
                kind: if is_dir { Kind::Dir } else { Kind::File },
                bytes: 0,
            }
        ),
        (paths(), paths(), prints(), prop::option::of(digests()), modes())
            .prop_filter("two names", |(from, to, ..)| from != to)
            .prop_map(|(from, to, print, digest, mode)| Operation::Rename {
                from,
                to,
                print,
                digest,
                mode,
                retime: mode.is_some()
            }),
    ]
}

fn stats() -> impl Strategy<Value = Option<Stat>> {
    let size = prop::option::of(prop::sample::select(vec![0, 5, u64::MAX]));
    prop::option::of(prop_oneof![
        1 => prop_oneof![Just(Kind::Dir), Just(Kind::Link)].prop_map(|kind| Stat { kind, size: None }),
        3 => size.prop_map(|size| Stat { kind: Kind::File, size }),
    ])
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    let observation = prop_oneof![
        6 => (paths(), entries()).prop_map(|(path, entry)| Observation::Is(path, entry)),
        2 => paths().prop_map(Observation::Gone),
        1 => paths().prop_map(Observation::Ignored),
    ];
    let outcome = prop_oneof![
        4 => Just(Outcome::Done(Done::AsPlanned)),
        1 => Just(Outcome::Untouched),
        2 => Just(Outcome::Failed(refused())),
        1 => Just(Outcome::InDoubt(refused())),
    ];
    let retry = prop::option::of(prop::sample::select(vec![-1000, 3000, FURTHEST / 2, 2 * FURTHEST]));
    prop_oneof![
        6 => prop::collection::vec(observation, 1..5).prop_map(Step::Observe),
        4 => prop::collection::vec(operations(), 1..4).prop_map(Step::Begin),
        6 => (any::<Pick>(), outcome, prints(), retry)
            .prop_map(|(job, outcome, print, retry)| Step::Settle(job, outcome, print, retry)),
        2 => (any::<Pick>(), stats(), stats()).prop_map(|(job, a, b)| Step::Resolve(job, [a, b])),
        2 => (paths(), entries()).prop_map(|(path, entry)| Step::Record(path, entry)),
        1 => (any::<Pick>(), digests()).prop_map(|(row, digest)| Step::Digest(row, digest)),
        1 => Just(Step::Release),
        1 => Just(Step::Reopen),
    ]
}
