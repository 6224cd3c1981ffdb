//! The whole engine over random histories with faults, and over one small story with a fault at every point: both sides
//! must end equal. Not the place for what the planner or the index can show alone.
//!
//! `TOWLINE_SEED=n` lives exactly history number n of each kind; `TOWLINE_FULL` lives more of them, `TOWLINE_CASES=n` so many.

mod ground;
mod history;
mod release;
mod scenario;
mod stage;
mod trash;
mod views;

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use libtest_mimic::Trial;
use towline::mirror::Publish;

use crate::support;
use ground::Ears;
use history::{Fold, Mix};
use stage::{Tale, Wrong};
use towline::remote::{Class, memory::Fault};

/// Histories that are lived at once: most of their time they wait for the disk's clock to tick.
const AT_ONCE: u64 = 4;
/// The same of simulated ones, which wait for it after every edit.
const SIMULATED_AT_ONCE: u64 = 24;

/// Every kind of history: its name, how many as a rule and in full, what may go wrong.
fn mixes() -> Vec<(&'static str, u64, u64, Mix)> {
    let overflow = Ears { overflow: 20, deaf: 0 };
    let deaf = Ears { overflow: 0, deaf: 15 };
    let all = Mix { ears: Ears { overflow: 5, deaf: 10 }, faults: 6, crashes: true, meanwhile: 6, ..Mix::default() };
    vec![
        ("perfect_events", 30, 400, Mix::default()),
        ("changes_meanwhile", 30, 400, Mix { meanwhile: 15, ..Mix::default() }),
        ("overflow", 20, 300, Mix { ears: overflow, ..Mix::default() }),
        ("lost_events_then_a_scan", 20, 300, Mix { ears: deaf, ..Mix::default() }),
        ("faults_of_the_server", 30, 400, Mix { faults: 10, ..Mix::default() }),
        ("crashes", 30, 400, Mix { crashes: true, ..Mix::default() }),
        ("everything", 40, 600, all),
        ("a_server_that_folds_case", 20, 300, Mix { faults: 5, fold: Fold::Apart, ..Mix::default() }),
        ("names_that_differ_in_case", 20, 300, Mix { fold: Fold::Twins, ..Mix::default() }),
        ("published_together", 20, 300, Mix { publish: Publish::Together, ..Mix::default() }),
        (
            "published_together_with_faults",
            30,
            400,
            Mix { publish: Publish::Together, faults: 8, crashes: true, ..Mix::default() },
        ),
        ("published_together_and_everything", 30, 400, Mix { publish: Publish::Together, ..all }),
        (
            "published_together_where_case_folds",
            20,
            300,
            Mix { publish: Publish::Together, faults: 5, fold: Fold::Apart, ..Mix::default() },
        ),
        ("everything_and_names_that_differ_in_case", 40, 600, Mix { fold: Fold::Twins, ..all }),
    ]
}

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = mixes()
        .into_iter()
        .map(|(name, small, full, mix)| {
            Trial::test(format!("convergence::{name}"), move || {
                let count = match (number("TOWLINE_SEED"), number("TOWLINE_CASES")) {
                    (Some(_), _) => 1,
                    (None, Some(cases)) => cases,
                    (None, None) => support::scaled(small, full),
                };
                let first = support::seed("TOWLINE_SEED");
                let sum = Mutex::new(Tale::default());
                each(first..first + count, |seed| {
                    let tale = history::live(mix, seed).map_err(|wrong| format!("{name}, TOWLINE_SEED={seed}: {wrong}"))?;
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.lives += tale.lives;
                    sum.edits += tale.edits;
                    sum.calls += tale.calls;
                    sum.in_sync += tale.in_sync;
                    Ok(())
                });
                eprintln!("{name}: {count} histories, none diverged; {:?}", sum.into_inner().unwrap_or_default());
                Ok(())
            })
        })
        .collect();
    trials.push(Trial::test("convergence::the_same_seed_lives_the_same", || {
        let mixes = mixes();
        let first = support::seed("TOWLINE_SEED");
        let count =
            if number("TOWLINE_SEED").is_some() { 1 } else { number("TOWLINE_CASES").unwrap_or(support::scaled(24, 5000)) };
        each_of(SIMULATED_AT_ONCE, first..first + count, |seed| {
            let (name, _, _, mix) = mixes[usize::try_from(seed).unwrap_or(0) % mixes.len()];
            history::live_twice(mix, seed).map(drop).map_err(|wrong| format!("{name}, TOWLINE_SEED={seed}: {wrong}"))
        });
        eprintln!("{count} histories lived twice: none diverged, each the same both times");
        Ok(())
    }));
    trials.extend(scenario::trials());
    trials.extend(views::trials());
    trials.extend(trash::trials());
    trials.extend(release::trials());
    trials
}

/// What a call of the server may meet.
const FAULTS: [(&str, Fault); 4] = [
    ("cut", Fault::Cut),
    ("lost_reply", Fault::LostReply),
    ("refused", Fault::Fail(Class::Refused)),
    ("full", Fault::Fail(Class::Full)),
];

/// Lives `life` with `fault` at each of `calls`; one that loses the session ends the life as well, in a second round.
fn at_every_call(name: String, calls: u64, fault: Fault, life: fn(u64, Fault, bool) -> Result<(), Wrong>) -> Trial {
    let kills = matches!(fault, Fault::Cut | Fault::LostReply);
    Trial::test(name, move || {
        each(0..calls * (1 + u64::from(kills)), |n| {
            let (call, killed) = (n % calls, n >= calls);
            life(call, fault, killed).map_err(|wrong| format!("call {call}, killed {killed}: {wrong}"))
        });
        Ok(())
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Does `live` for every number, some at once. Panics with the first that goes wrong.
fn each(numbers: std::ops::Range<u64>, live: impl Fn(u64) -> Result<(), String> + Sync) {
    each_of(AT_ONCE, numbers, live);
}

/// The same, so many at once.
fn each_of(at_once: u64, numbers: std::ops::Range<u64>, live: impl Fn(u64) -> Result<(), String> + Sync) {
    let next = AtomicU64::new(numbers.start);
    let wrong: Mutex<Option<String>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(numbers.end - numbers.start) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(number)));
                    let found = lived.unwrap_or_else(|_| Err(format!("number {number} panicked")));
                    if let Err(found) = found {
                        wrong.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(found);
                        next.store(numbers.end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    if let Some(wrong) = wrong.into_inner().unwrap_or_else(PoisonError::into_inner) {
        panic!("{wrong}");
    }
}
