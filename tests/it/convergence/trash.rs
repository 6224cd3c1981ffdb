//! The trash over the whole engine: nothing that is removed is lost, whatever happens at whichever call; what is wanted back
//! comes back once; what is old goes. And where the server copies, what is replaced is kept, and is never missing for it.

use std::{fs, time::Duration};

use libtest_mimic::Trial;
use tokio::{sync::oneshot, time::sleep};
use towline::{
    index::{Trashed, Undo},
    mirror::{Command, Phase, Publish, UndoError},
    model::{Disposal, RelPath, Retention, Versions},
    remote::{
        Class,
        memory::{
            Fault, Faults, Options, Primitive,
            tree::{Manners, Node},
        },
    },
    scan::View,
};

use super::{
    FAULTS, at_every_call,
    ground::Ears,
    history::Fold,
    stage::{End, Scene, Stage, Wrong},
};

/// At least as many calls as it takes to remove what is removed here, or to put it back.
const CALLS: u64 = 40;
const GONE: [(&str, &str); 4] = [("a", "one"), ("d/b", "number two"), ("d/e/c", "the third"), ("kind", "a file")];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, fault) in FAULTS {
        for (verb, test) in [
            ("removed", removed as fn(u64, Fault, bool) -> Result<(), Wrong>),
            ("put_back", put_back),
            ("replaced", replaced),
            ("replaced_together", replaced_together),
            ("reverted", reverted),
            ("replaced_read_back", replaced_read_back),
            ("reverted_read_back", reverted_read_back),
        ] {
            trials.push(at_every_call(format!("convergence::trash::{verb}_with_a_{name}_at_every_call"), CALLS, fault, test));
        }
    }
    trials.push(Trial::test("convergence::trash::nothing_is_put_over_what_cannot_be_copied", || Ok(not_reverted()?)));
    trials.push(Trial::test("convergence::trash::what_is_not_replaced_is_not_kept", || Ok(not_replaced()?)));
    trials.push(Trial::test("convergence::trash::what_is_old_goes_at_a_low_pace", || Ok(expires()?)));
    trials.push(Trial::test("convergence::trash::a_full_server_gets_room_from_it", || Ok(makes_room()?)));
    trials.push(Trial::test("convergence::trash::what_is_kept_is_left_alone", || Ok(kept()?)));
    trials
}

/// A mirror of files that were just removed here, one of them for a directory.
fn gone(seed: u64) -> Result<Stage, Wrong> {
    fastrand::seed(seed);
    let stage = Stage::new(seed, Fold::No, Ears::default(), 1 + usize::try_from(seed % 3).unwrap_or(0));
    let root = stage.ground().root().to_owned();
    fs::create_dir_all(root.join("d/e")).unwrap();
    for (path, body) in GONE {
        stage.ground().put(path, body.as_bytes());
    }
    stage.ground().put("stays", b"stays");
    stage.conclude()?;
    for (path, _) in GONE {
        fs::remove_file(root.join(path)).unwrap();
    }
    fs::remove_dir_all(root.join("d")).unwrap();
    fs::create_dir(root.join("kind")).unwrap();
    Ok(stage)
}

fn misbehave(stage: &Stage, number: u64, fault: Fault, kills: bool) {
    let doom = stage.doom.clone();
    stage.remote.set_faults(Faults::script(move |n, _| {
        if n != number {
            return Fault::None;
        }
        if kills {
            doom.at(number);
        }
        fault
    }));
}

/// Everything that was removed is in the trash, once.
fn all_in_trash(stage: &Stage) -> Result<(), Wrong> {
    let mut held: Vec<String> = stage.remote.trash().into_values().filter_map(text).collect();
    held.sort();
    let mut expected: Vec<String> = GONE.iter().map(|(_, body)| (*body).to_owned()).collect();
    expected.sort();
    if held == expected { Ok(()) } else { Err(format!("in the trash: {held:?}\n{}", stage.story())) }
}

fn text(node: Node) -> Option<String> {
    match node {
        Node::File { body, .. } => Some(String::from_utf8_lossy(&body).into_owned()),
        Node::Dir | Node::Link { .. } => None,
    }
}

fn removed(number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    let stage = gone(number)?;
    misbehave(&stage, number, fault, kills);
    stage.live(async |scene| {
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })?;
    stage.conclude()?;
    // A full server takes room out of the trash.
    if matches!(fault, Fault::Fail(Class::Full)) { Ok(()) } else { all_in_trash(&stage) }
}

fn put_back(number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    let stage = gone(number)?;
    stage.conclude()?;
    all_in_trash(&stage)?;
    misbehave(&stage, number, fault, kills);
    stage.live(async |scene| {
        let (answer, answered) = oneshot::channel();
        let command = Command::Undo { undo: Undo::default(), dry_run: false, answer };
        scene.handle.commands.send(command).await.map_err(|_| "the engine is gone")?;
        // Of `kind` there is a directory now.
        let found = answered.await.map_err(|_| "no answer")?.map_err(|e| e.to_string())?;
        if found.len() != 3 {
            return Err(format!("to be put back: {found:?}"));
        }
        sleep(Duration::from_secs(3600)).await;
        Ok(End::Stopped)
    })?;
    stage.remote.set_faults(Faults::none());
    if stage.index()?.wanted(10, towline::model::UnixMillis(i64::MAX)).map_err(|e| e.to_string())?.is_empty() && !kills {
        // Refused for good: it stays where it is, to be asked for once more.
        stage.index()?.undo(&Undo::default()).map_err(|e| e.to_string())?;
    }
    stage.live(async |_| {
        sleep(Duration::from_secs(7200)).await;
        Ok(End::Stopped)
    })?;
    let live = stage.remote.live();
    for (path, body) in &GONE[..3] {
        let found = live.get(&RelPath::new(path).unwrap()).cloned().and_then(text);
        if found.as_deref() != Some(*body) {
            return Err(format!("{path} is not back but {found:?}\n{}", stage.story()));
        }
    }
    if matches!(fault, Fault::Fail(Class::Full)) || stage.remote.trash().len() == 1 {
        Ok(())
    } else {
        Err(format!("the trash holds {:?}", stage.remote.trash()))
    }
}

fn expires() -> Result<(), Wrong> {
    let mut stage = gone(1)?;
    stage.retention = Retention { age: Duration::from_secs(86_400), bytes: u64::MAX, versions: Versions::Copied };
    stage.conclude()?;
    all_in_trash(&stage)?;
    stage.live(async |scene| {
        scene.watch(Duration::from_secs(4 * 86_400), false).await?;
        Ok(End::Stopped)
    })?;
    stage.check_rest()?;
    let left: Vec<RelPath> = stage.remote.tree().entries().into_keys().filter(towline::model::is_trash).collect();
    if left.len() == 1 { Ok(()) } else { Err(format!("left in the trash: {left:?}")) }
}

fn makes_room() -> Result<(), Wrong> {
    let stage = gone(2)?;
    stage.conclude()?;
    stage.ground().put("more", b"more than there is room for");
    stage.remote.set_faults(Faults::script(
        move |_, primitive| {
            if primitive == Primitive::Store { Fault::Fail(Class::Full) } else { Fault::None }
        },
    ));
    stage.live(async |_| {
        sleep(Duration::from_secs(3600)).await;
        Ok(End::Stopped)
    })?;
    if !stage.remote.trash().is_empty() {
        return Err(format!("the trash still holds {:?}\n{}", stage.remote.trash(), stage.story()));
    }
    stage.conclude()
}

fn kept() -> Result<(), Wrong> {
    let mut stage = gone(3)?;
    stage.disposal = Disposal::Keep;
    let before = stage.remote.live();
    let calls = stage.remote.log().len();
    stage.ground().put("moved", b"stays");
    fs::remove_file(stage.ground().root().join("stays")).unwrap();
    stage.live(async |_| {
        sleep(Duration::from_secs(3600)).await;
        Ok(End::Stopped)
    })?;
    let after = stage.remote.live();
    for (path, node) in before.iter().filter(|(path, _)| path.as_bytes() != b"kind") {
        if after.get(path) != Some(node) {
            return Err(format!("{path} was not left alone\n{}", stage.story()));
        }
    }
    // A directory has to come in the place of `kind`.
    let trash: Vec<String> = stage.remote.trash().into_values().filter_map(text).collect();
    let removed = stage.remote.log()[calls..].iter().filter(|call| call.primitive == Primitive::RemoveDir).count();
    if trash != ["a file"] || removed != 0 {
        return Err(format!("in the trash: {trash:?}, {removed} directories removed\n{}", stage.story()));
    }
    let left = stage.index()?.left_there(None, 100).map_err(|e| e.to_string())?;
    if left.len() == 6 { Ok(()) } else { Err(format!("left: {left:?}")) }
}

const OLD: [(&str, &str); 3] = [("a", "one"), ("d/b", "number two"), ("d/over", "the third")];

/// A mirror of files, on a server that copies, that were just replaced here; one by another that was renamed.
fn other(seed: u64) -> Result<Stage, Wrong> {
    other_with(Versions::Copied, seed)
}

/// The same; to keep `versions` always is shown on a server that does not copy.
fn other_with(versions: Versions, seed: u64) -> Result<Stage, Wrong> {
    fastrand::seed(seed);
    let manners = Manners { copies: versions == Versions::Copied, ..Manners::default() };
    let connections = 1 + usize::try_from(seed % 3).unwrap_or(0);
    let options = Options { manners, strict: true, unknown: false };
    let mut stage = Stage::with(seed, Fold::No, Ears::default(), connections, View::default(), options);
    stage.retention.versions = versions;
    let root = stage.ground().root().to_owned();
    fs::create_dir_all(root.join("d")).unwrap();
    for (path, body) in OLD {
        stage.ground().put(path, body.as_bytes());
    }
    stage.ground().put("moves", b"it has a name of its own at first");
    stage.conclude()?;
    for (path, body) in &OLD[..2] {
        stage.ground().put(path, format!("not {body} any more").as_bytes());
    }
    fs::rename(root.join("moves"), root.join("d/over")).unwrap();
    Ok(stage)
}

fn replaced(number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    replaces(&other(number)?, number, fault, kills)
}

fn replaced_read_back(number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    replaces(&other_with(Versions::Always, number)?, number, fault, kills)
}

fn replaced_together(number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    let mut stage = other(number)?;
    stage.publish = Publish::Together;
    replaces(&stage, number, fault, kills)
}

fn replaces(stage: &Stage, number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    misbehave(stage, number, fault, kills);
    stage.live(async |scene| {
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })?;
    stage.conclude()?;
    let mut log = stage.remote.log();
    log.retain(|call| matches!(call.primitive, Primitive::Rename | Primitive::RemoveFile) && call.done);
    // A name that is live is never renamed away or removed, but by the rename that was made here.
    let live =
        |path: &Option<RelPath>| path.as_ref().is_some_and(|path| OLD.iter().any(|(old, _)| path.as_bytes() == old.as_bytes()));
    if let Some(call) = log.iter().find(|call| live(&call.path)) {
        return Err(format!("for a moment it was not there: {call:?}\n{}", stage.story()));
    }
    let held: Vec<String> = stage.remote.trash().into_values().filter_map(text).collect();
    let whole = |body: &str| stage.ground().knows(body.as_bytes());
    let times = |old: &str| held.iter().filter(|body| *body == old).count();
    // Whatever is refused of the copy itself is done without; a lost connection costs none. Where it left a put in doubt, what is
    // there then is kept to be sure, which may be the old version once more.
    let spared = matches!(fault, Fault::Fail(_));
    let right = held.iter().all(|body| whole(body)) && OLD.iter().all(|(_, old)| spared || times(old) > 0);
    let known = stage.index()?.places().map_err(|e| e.to_string())?.len();
    if right && known == held.len() {
        Ok(())
    } else {
        Err(format!("in the trash: {held:?}, known are {known}\n{}", stage.story()))
    }
}

fn not_replaced() -> Result<(), Wrong> {
    for (size, kept) in [(u64::MAX, 3), (3, 1), (2, 0)] {
        let mut stage = other(4)?;
        stage.retention.bytes = size;
        stage.live(async |scene| {
            scene.watch_until_sync().await?;
            Ok(End::Stopped)
        })?;
        if stage.remote.trash().len() != kept {
            return Err(format!("{size}: the trash holds {:?}\n{}", stage.remote.trash(), stage.story()));
        }
    }
    let mut stage = other(5)?;
    stage.retention.versions = Versions::Never;
    stage.conclude()?;
    let mut without = stage.remote.trash().len();
    let mut stage = other(6)?;
    stage.disposal = Disposal::Remove;
    stage.conclude()?;
    without += stage.remote.trash().len();
    // Touched, and not changed.
    let stage = other(7)?;
    stage.conclude()?;
    let copies = stage.remote.trash().len();
    let body = format!("not {} any more", OLD[0].1);
    stage.ground().put(OLD[0].0, body.as_bytes());
    stage.conclude()?;
    if (without, copies, stage.remote.trash().len()) == (0, 3, 3) {
        Ok(())
    } else {
        Err(format!("{without} without, {copies} copies, then {:?}\n{}", stage.remote.trash(), stage.story()))
    }
}

/// What `path` is asked back.
fn back(path: &str) -> Undo {
    Undo { path: Some(RelPath::new(path).unwrap()), ..Undo::default() }
}

async fn asks(scene: &Scene<'_>, undo: Undo) -> Result<Result<Vec<Trashed>, UndoError>, Wrong> {
    let (answer, answered) = oneshot::channel();
    scene.handle.commands.send(Command::Undo { undo, dry_run: false, answer }).await.map_err(|_| "the engine is gone")?;
    Ok(answered.await.map_err(|_| "no answer")?)
}

fn holds(stage: &Stage, path: &str, body: &str) -> bool {
    stage.remote.live().get(&RelPath::new(path).unwrap()).cloned().and_then(text).as_deref() == Some(body)
}

/// An old version comes back over what is there, which is kept, and is not sent over until it changes here.
fn reverted(number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    reverts(&other(number)?, number, fault, kills)
}

fn reverted_read_back(number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    reverts(&other_with(Versions::Always, number)?, number, fault, kills)
}

fn reverts(stage: &Stage, number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    stage.conclude()?;
    let calls = stage.remote.log().len();
    misbehave(stage, number, fault, kills);
    stage.live(async |scene| {
        let found = asks(scene, back("a")).await?.map_err(|e| e.to_string())?;
        if found.len() != 1 || !found[0].replaces {
            return Err(format!("to be put back: {found:?}"));
        }
        scene.watch(Duration::from_secs(3600), false).await?;
        Ok(End::Stopped)
    })?;
    stage.remote.set_faults(Faults::none());
    let emptied = |stage: &Stage| {
        // A full server takes room out of the trash.
        matches!(fault, Fault::Fail(Class::Full))
            && !stage.remote.trash().into_values().filter_map(text).any(|body| body == "one")
    };
    if !holds(stage, "a", "one") {
        if emptied(stage) {
            return stage.conclude();
        }
        // Refused for good, or the copy was.
        stage.index()?.undo(&back("a")).map_err(|e| e.to_string())?;
    }
    stage.live(async |scene| {
        scene.watch(Duration::from_secs(7200), false).await?;
        let phase = scene.handle.status.borrow().phase;
        if phase == Phase::InSync { Err("in sync, it says".to_owned()) } else { Ok(End::Stopped) }
    })?;
    let held: Vec<String> = stage.remote.trash().into_values().filter_map(text).collect();
    let present = format!("not {} any more", OLD[0].1);
    let full = matches!(fault, Fault::Fail(Class::Full));
    if !holds(stage, "a", "one") || !(full || held.contains(&present)) || (held.contains(&"one".to_owned()) && !kills) {
        return Err(format!("in the trash: {held:?}\n{}", stage.story()));
    }
    let moved = |call: &&towline::remote::memory::Call| {
        matches!(call.primitive, Primitive::Rename | Primitive::RemoveFile)
            && call.path.as_ref().is_some_and(|path| path.as_bytes() == b"a")
    };
    if let Some(call) = stage.remote.log()[calls..].iter().find(moved) {
        return Err(format!("for a moment it was not there: {call:?}\n{}", stage.story()));
    }
    stage.ground().put("a", b"newer than all");
    stage.conclude()?;
    if holds(stage, "a", "newer than all") { Ok(()) } else { Err(format!("it was not sent\n{}", stage.story())) }
}

fn not_reverted() -> Result<(), Wrong> {
    let stage = gone(8)?;
    stage.conclude()?;
    stage.ground().put("a", b"a new one");
    stage.conclude()?;
    let calls = stage.remote.log().len();
    stage.live(async |scene| {
        scene.watch_until_sync().await?;
        match asks(scene, back("a")).await? {
            Err(UndoError::CannotCopy) => {}
            Ok(found) => return Err(format!("to be put back: {found:?}")),
        }
        scene.watch(Duration::from_secs(3600), false).await?;
        Ok(End::Stopped)
    })?;
    // Word was left while nobody knew that of the server.
    stage.index()?.undo(&back("a")).map_err(|e| e.to_string())?;
    stage.conclude()?;
    let changed = stage.remote.log()[calls..].iter().filter(|call| call.primitive == Primitive::Rename).count();
    if changed == 0 && stage.index()?.wanted_over(9, towline::model::UnixMillis(i64::MAX)).is_ok_and(|wanted| wanted.is_empty()) {
        Ok(())
    } else {
        Err(format!("it was tried {changed} times\n{}", stage.story()))
    }
}
