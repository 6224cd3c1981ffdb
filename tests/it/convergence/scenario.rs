//! One small story with everything in it, and what can go wrong at every single call of the server.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use libtest_mimic::Trial;
use towline::remote::{
    Class,
    memory::{Fault, Faults, Primitive},
};

use super::{
    each,
    ground::{Ears, Ground},
    history::Fold,
    stage::{End, Stage, Wrong},
};
use crate::support;

/// At least as many calls as the story takes.
const CALLS: u64 = 90;

const FAULTS: [Fault; 11] = [
    Fault::LostReply,
    Fault::Cut,
    Fault::Fail(Class::Refused),
    Fault::Fail(Class::Full),
    Fault::Fail(Class::Transient),
    Fault::Fail(Class::NotEmpty),
    Fault::Fail(Class::Auth),
    Fault::Fail(Class::Busy),
    Fault::Fail(Class::Name),
    Fault::Fail(Class::Tls),
    Fault::Fail(Class::Protocol),
];

/// The trials.
pub fn trials() -> Vec<Trial> {
    let crash = |name: &str, fault: Fault| {
        Trial::test(format!("convergence::{name}"), move || {
            each(0..CALLS, |number| crash_at(number, fault).map_err(|wrong| format!("call {number}: {wrong}")));
            Ok(())
        })
    };
    let fail = Trial::test("convergence::fail_at_every_operation", || {
        // As a rule three faults at each call; which, goes round.
        let (kinds, all) = (support::scaled(3, FAULTS.len() as u64), FAULTS.len() as u64);
        each(0..CALLS * kinds, |n| {
            let number = n / kinds;
            let fault = FAULTS[usize::try_from((number + n % kinds * (all / kinds)) % all).unwrap_or(0)];
            fail_at(number, fault).map_err(|wrong| format!("call {number}, {fault:?}: {wrong}"))
        });
        Ok(())
    });
    vec![
        crash("crash_before_every_operation", Fault::Cut),
        crash("crash_after_every_operation", Fault::LostReply),
        fail,
        Trial::test("convergence::a_file_that_changed_since_it_was_looked_at_is_sent_once", || Ok(changed_since()?)),
        Trial::test("convergence::a_root_that_is_empty_is_known_to_be", || Ok(emptied_unheard()?)),
        Trial::test("convergence::a_temporary_file_that_the_server_holds_on_to_is_swept_later", || Ok(held_on_to()?)),
    ]
}

/// It was once sent over and over, until it was looked at again: what was sent was never what had been observed.
fn changed_since() -> Result<(), Wrong> {
    let stage = Stage::new(0, Fold::No, Ears::default(), 2);
    stage.ground().put("f", b"as it was looked at");
    let ground = stage.shared_ground();
    stage.remote.set_faults(Faults::script(move |number, _| {
        if number == 0 {
            ground.lock().unwrap_or_else(PoisonError::into_inner).put("f", b"as it is sent");
        }
        Fault::None
    }));
    sync(&stage)?;
    stage.check_rest()?;
    let puts = stage.remote.log().iter().filter(|call| call.primitive == Primitive::Store).count();
    if puts == 1 { Ok(()) } else { Err(format!("it was sent {puts} times")) }
}

/// Where half of what was removed went without a word, an approval once covered nothing until the next look at everything.
fn emptied_unheard() -> Result<(), Wrong> {
    let stage = Stage::new(0, Fold::No, Ears::default(), 2);
    stage.ground().put("told", b"its removal is heard of");
    stage.ground().put("untold", b"nobody hears of it");
    stage.live(async |scene| {
        scene.watch_until_sync().await?;
        stage.ground().take("untold", false);
        stage.ground().take("told", true);
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })?;
    let left = stage.remote.live();
    if left.is_empty() { Ok(()) } else { Err(format!("still there: {left:?}")) }
}

/// It once stayed for good, and with it the directory that it lay in. Servers refuse to remove the file of an upload that was
/// cut off until they have noticed that it was.
fn held_on_to() -> Result<(), Wrong> {
    let stage = Stage::new(0, Fold::No, Ears::default(), 2);
    fs::create_dir(stage.ground().root().join("d")).unwrap();
    stage.ground().put("d/f", b"cut off");
    let (mut cut, mut refusals) = (false, 0);
    stage.remote.set_faults(Faults::script(move |_, primitive| match primitive {
        Primitive::Store if !cut => {
            cut = true;
            Fault::Cut
        }
        Primitive::RemoveFile if refusals < 5 => {
            refusals += 1;
            Fault::Fail(Class::Refused)
        }
        _ => Fault::None,
    }));
    sync(&stage)?;
    stage.check_rest()
}

/// One life, until all is in sync.
fn sync(stage: &Stage) -> Result<End, Wrong> {
    stage.live(async |scene| {
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })
}

/// The mirror is killed when call `number` is over; `fault` says whether it happened.
fn crash_at(number: u64, fault: Fault) -> Result<(), Wrong> {
    let stage = told_so_far(number)?;
    let doom = stage.doom.clone();
    stage.remote.set_faults(Faults::script(move |n, _| {
        if n != number {
            return Fault::None;
        }
        doom.at(number);
        fault
    }));
    let told = match sync(&stage) {
        Ok(End::Killed) if number + 1 == CALLS => Err("the story has more calls than that".into()),
        ended => ended.and_then(|_| stage.conclude()),
    };
    told.map_err(|wrong| format!("{wrong}\n{}", stage.story()))
}

/// Call `number` goes wrong.
fn fail_at(number: u64, fault: Fault) -> Result<(), Wrong> {
    let stage = told_so_far(number)?;
    let met = Arc::new(AtomicBool::new(false));
    let meets = Arc::clone(&met);
    stage.remote.set_faults(Faults::script(move |n, _| {
        let now = n == number;
        meets.fetch_or(now, Ordering::Relaxed);
        if now { fault } else { Fault::None }
    }));
    let ended = sync(&stage);
    // A refused account waits for a restart, every other fault mends itself.
    let told = match (ended, fault) {
        (Ok(_), Fault::Fail(Class::Auth)) if met.load(Ordering::Relaxed) => stage.conclude(),
        (Ok(_), _) => stage.check_rest(),
        (Err(wrong), _) => Err(wrong),
    };
    told.map_err(|wrong| format!("{wrong}\n{}", stage.story()))
}

/// The first half of the story is mirrored, the second has happened while the mirror was down.
fn told_so_far(seed: u64) -> Result<Stage, Wrong> {
    fastrand::seed(seed);
    let stage = Stage::new(seed, Fold::No, Ears::default(), 1 + usize::try_from(seed % 3).unwrap_or(0));
    begin(&mut stage.ground());
    stage.conclude()?;
    go_on(&mut stage.ground());
    Ok(stage)
}

fn begin(ground: &mut Ground) {
    for dir in ["old", "gone/deep", "both", "stays", "left/deep", "right"] {
        fs::create_dir_all(ground.root().join(dir)).unwrap();
    }
    for (path, content) in [
        ("keep.txt", "first"),
        ("old/one.txt", "one"),
        ("old/two.txt", "number two"),
        ("kind", "a file that becomes a directory"),
        ("both/x", "in a directory that becomes a file"),
        ("gone/deep/x.txt", "vanishes"),
        ("gone/y.txt", "vanishes, too"),
        ("move.txt", "moves"),
        ("case", "the case of a name"),
        ("a", "changes places with b"),
        ("b", "changes places with a"),
        ("stays/same", "stays the same"),
        ("left/f", "goes to the right"),
        ("left/deep/g", "goes to the right, too"),
        ("right/f", "goes to the left"),
    ] {
        ground.put(path, content.as_bytes());
    }
}

fn go_on(ground: &mut Ground) {
    let root = ground.root().to_owned();
    let at = |path: &str| root.join(path);
    let rename = |from: &str, to: &str| fs::rename(root.join(from), root.join(to)).unwrap();
    fs::create_dir_all(at("new/sub")).unwrap();
    ground.put("new/sub/a", b"new");
    ground.put("new/empty", b"");
    ground.put("keep.txt", b"second, longer");
    ground.put("old/one.txt", b"eno");
    rename("old", "older");
    rename("move.txt", "new/moved.txt");
    rename("case", "CASE");
    swap(&root, "a", "b");
    swap(&root, "left", "right");
    fs::remove_file(at("kind")).unwrap();
    fs::create_dir(at("kind")).unwrap();
    ground.put("kind/x", b"in it");
    fs::remove_dir_all(at("both")).unwrap();
    ground.put("both", b"a file now");
    fs::remove_dir_all(at("gone")).unwrap();
}

fn swap(root: &Path, a: &str, b: &str) {
    fs::rename(root.join(a), root.join("aside")).unwrap();
    fs::rename(root.join(b), root.join(a)).unwrap();
    fs::rename(root.join("aside"), root.join(b)).unwrap();
}
