//! The invariants that the fuzz targets look for, held against their corpus, mutations of it, and random bytes. Not the fuzzing itself:
//! that is `fuzz/run`.

use std::{fs, path::Path};

use libtest_mimic::Trial;
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};

use crate::{
    invariants,
    support::{scaled, trial},
};

/// Looks at one input, and panics where something does not hold.
type Check = fn(&[u8]);

/// A target and what it checks.
const PURE: &[(&str, Check)] = &[
    ("reply", invariants::reply),
    ("feat", invariants::feat),
    ("passive", invariants::passive),
    ("mlsd", invariants::listing),
    ("list", invariants::listing),
    ("login", invariants::login),
    ("config", invariants::config),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials: Vec<_> = PURE
        .iter()
        .map(|(target, check)| {
            trial(format!("fuzz_corpus::{target}"), move || async move { each_input(target, scaled(2_000, 100_000), check) })
        })
        .collect();
    trials.push(trial("fuzz_corpus::control", || async {
        tokio::task::spawn_blocking(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            each_input("control", scaled(300, 10_000), |input| runtime.block_on(invariants::control(input)));
        })
        .await
        .unwrap();
    }));
    trials
}

/// Checks each input of the corpus as it is, and `mutated` more that are made of them.
fn each_input(target: &str, mutated: u64, check: impl Fn(&[u8])) {
    let corpus = corpus(target);
    for input in &corpus {
        check(input);
    }
    let config = Config { cases: u32::try_from(mutated).unwrap(), failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&mutations(corpus), |input| {
            check(&input);
            Ok(())
        })
        .unwrap();
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&dir).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "{} has too few files", dir.display());
    paths.iter().map(|path| fs::read(path).expect("an input")).collect()
}

/// Inputs with bytes changed, taken out and put in, cut and joined; and some that are random from end to end.
fn mutations(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte = || prop_oneof![any::<u8>(), proptest::sample::select(b"\0\r\n \t;=/.-|(),*\"\\[]%#125\xff\x01".to_vec())];
    let change = (any::<Index>(), 0..4u8, proptest::collection::vec(byte(), 1..4));
    let one = proptest::sample::select(corpus);
    let mutated = (one.clone(), one, any::<Index>(), proptest::collection::vec(change, 0..8)).prop_map(
        |(mut input, other, joint, changes)| {
            if joint.index(4) == 0 {
                input.truncate(joint.index(input.len() + 1));
                input.extend_from_slice(&other[joint.index(other.len() + 1)..]);
            }
            for (at, what, bytes) in changes {
                let at = at.index(input.len() + 1);
                let end = (at + bytes.len()).min(input.len());
                match what {
                    0 => drop(input.splice(at..at, bytes)),
                    1 => drop(input.drain(at..end)),
                    2 => drop(input.splice(at..end, bytes)),
                    _ => input.extend_from_within(at..end),
                }
            }
            input
        },
    );
    prop_oneof![9 => mutated, 1 => proptest::collection::vec(byte(), 0..200)]
}
