//! Publishing together over the whole engine: between the old tree and the new one nobody sees a mixture but within one run of
//! renames, with a fault and with a kill at every call; what is not whole is not published.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use libtest_mimic::Trial;
use towline::{
    mirror::{Phase, Publish},
    model::{Disposal, RelPath, is_trash},
    remote::{
        Class,
        memory::{
            Call, Fault, Faults, Primitive,
            tree::{Node, Tree},
        },
    },
};

use super::{
    FAULTS, at_every_call,
    ground::Ears,
    history::Fold,
    stage::{End, Stage, Wrong},
};

/// At least as many calls as the second tree takes.
const CALLS: u64 = 90;
/// The same for names that change their case.
const CALLS_OF_CASE: u64 = 60;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, fault) in FAULTS {
        trials.push(at_every_call(format!("convergence::release::a_{name}_at_every_call"), CALLS, fault, switch));
        let name = format!("convergence::release::names_change_case_with_a_{name}_at_every_call");
        trials.push(at_every_call(name, CALLS_OF_CASE, fault, changes_case));
    }
    trials.push(Trial::test("convergence::release::in_order", || Ok(in_order()?)));
    trials.push(Trial::test("convergence::release::what_is_not_whole_is_not_published", || Ok(withheld()?)));
    trials.push(Trial::test("convergence::release::drift_keeps_everything_back", || Ok(drifted()?)));
    trials.push(Trial::test("convergence::release::a_file_that_changes_again_is_staged_anew", || Ok(changes_again()?)));
    trials.push(Trial::test("convergence::release::nothing_is_left_when_it_is_not_wanted_any_more", || Ok(reverted()?)));
    trials.push(Trial::test("convergence::release::a_time_that_was_set_too_early_is_ours", || Ok(not_its_turn()?)));
    trials.push(Trial::test("convergence::release::what_is_staged_is_kept_over_a_kill", || Ok(kept()?)));
    trials.push(Trial::test("convergence::release::together_no_more", || Ok(each_again()?)));
    trials.push(Trial::test("convergence::release::a_large_file_whose_name_is_that_of_another_where_case_folds", || {
        Ok(in_another_case()?)
    }));
    trials
}

/// Its time is set before anything is renamed. When it was not its turn after all, that once counted as somebody else's change.
fn not_its_turn() -> Result<(), Wrong> {
    let mut stage = Stage::new(0, Fold::No, Ears::default(), 2);
    stage.publish = Publish::Together;
    let root = stage.ground().root().to_owned();
    fs::create_dir(root.join("x")).unwrap();
    stage.ground().put("x/f", b"goes");
    stage.ground().put("b", b"takes its place");
    stage.conclude()?;
    fs::remove_dir_all(root.join("x")).unwrap();
    fs::rename(root.join("b"), root.join("x")).unwrap();
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(root.join("x")).unwrap().set_modified(later).unwrap();
    let mut refused = false;
    stage.remote.set_faults(Faults::script(move |_, primitive| {
        if primitive == Primitive::RemoveDir && !std::mem::replace(&mut refused, true) {
            return Fault::Fail(Class::Refused);
        }
        Fault::None
    }));
    stage.live(async |scene| {
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })?;
    stage.conclude()
}

/// It was once kept back for ever: what is to make way for it was taken for somebody else's.
fn in_another_case() -> Result<(), Wrong> {
    let mut stage = Stage::new(0, Fold::Apart, Ears::default(), 2);
    stage.publish = Publish::Together;
    stage.ground().put("b", b"of this mirror");
    stage.conclude()?;
    fs::remove_file(stage.ground().root().join("b")).unwrap();
    stage.ground().put("B", &[b'L'; 300 * 1024]);
    stage.conclude()
}

/// A file that is moved away, and another one takes its name: there is none for a moment.
const VACATED: &[u8] = b"a";

/// What is visible: files alone, since a directory that is made ahead shows nothing.
type Visible = BTreeMap<RelPath, Vec<u8>>;

fn visible(tree: &Tree) -> Visible {
    let is_ours = |path: &RelPath| path.name().starts_with(b".towline-") || is_trash(path);
    let files = tree.entries().into_iter().filter(|(path, _)| !is_ours(path));
    files.filter_map(|(path, node)| if let Node::File { body, .. } = node { Some((path, body.to_vec())) } else { None }).collect()
}

fn here(stage: &Stage) -> Visible {
    stage.ground().items().into_iter().filter_map(|(path, item)| Some((path, item?))).collect()
}

/// Looks at the live tree after every call.
#[derive(Default)]
struct Observer {
    old: Visible,
    new: Visible,
    /// Paths that were seen as they are to be.
    switched: BTreeSet<RelPath>,
    /// Bodies that were sent after the first of them.
    late: usize,
    wrong: Vec<String>,
}

impl Observer {
    fn look(&mut self, call: &Call, tree: &Tree) {
        let seen = visible(tree);
        if call.primitive == Primitive::Store && !self.switched.is_empty() && seen != self.new {
            self.late += 1;
        }
        let paths: BTreeSet<&RelPath> = self.old.keys().chain(self.new.keys()).chain(seen.keys()).collect();
        for path in paths {
            let (old, new, seen) = (self.old.get(path), self.new.get(path), seen.get(path));
            if old == new {
                if seen != old {
                    self.wrong.push(format!("call {}: {path} changed", call.number));
                }
            } else if seen == new {
                self.switched.insert(path.clone());
            } else if (seen != old || self.switched.contains(path)) && !(seen.is_none() && path.as_bytes() == VACATED) {
                self.wrong.push(format!("call {}: {path} is neither, or old again", call.number));
            }
        }
    }
}

fn observed(stage: &Stage, old: Visible) -> Arc<Mutex<Observer>> {
    let observer = Arc::new(Mutex::new(Observer { old, new: here(stage), ..Observer::default() }));
    let eye = Arc::clone(&observer);
    stage.remote.watch(move |call, tree| lock(&eye).look(call, tree));
    observer
}

fn lock(observer: &Mutex<Observer>) -> MutexGuard<'_, Observer> {
    observer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mirror of one tree, and another one on the disk: new, changed, moved and gone files, and kinds that changed.
fn two_trees(seed: u64) -> Result<(Stage, Arc<Mutex<Observer>>), Wrong> {
    fastrand::seed(seed);
    let mut stage = Stage::new(seed, Fold::No, Ears::default(), 1 + usize::try_from(seed % 3).unwrap_or(0));
    stage.publish = Publish::Together;
    if seed.is_multiple_of(2) {
        stage.disposal = Disposal::Remove;
    }
    let root = stage.ground().root().to_owned();
    fs::create_dir_all(root.join("d/deep")).unwrap();
    fs::create_dir_all(root.join("was-dir/in")).unwrap();
    for name in ["same", "changed", "d/changed", "gone", "d/deep/gone", "moved", "rewritten", "a", "was-file", "was-dir/in/x"] {
        stage.ground().put(name, format!("old {name}").as_bytes());
    }
    stage.conclude()?;
    let old = visible(&stage.remote.tree());
    fs::remove_file(root.join("gone")).unwrap();
    fs::remove_dir_all(root.join("d/deep")).unwrap();
    fs::rename(root.join("moved"), root.join("d/moved-here")).unwrap();
    // The same content in another file of another time, as a checkout leaves it.
    fs::remove_file(root.join("rewritten")).unwrap();
    stage.ground().put("d/rewritten-here", b"old rewritten");
    let rewritten = fs::File::options().write(true).open(root.join("d/rewritten-here")).unwrap();
    rewritten.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_600_000_000)).unwrap();
    // Another file takes the name of one that moves.
    fs::rename(root.join("a"), root.join("b")).unwrap();
    fs::remove_file(root.join("was-file")).unwrap();
    fs::create_dir_all(root.join("was-file/sub")).unwrap();
    fs::remove_dir_all(root.join("was-dir")).unwrap();
    fs::create_dir_all(root.join("new/er")).unwrap();
    for name in ["changed", "d/changed", "a", "was-file/sub/y", "was-dir", "new/1", "new/2", "new/er/3"] {
        stage.ground().put(name, format!("the new {name}").as_bytes());
    }
    let observer = observed(&stage, old);
    Ok((stage, observer))
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

fn judge(stage: &Stage, observer: &Mutex<Observer>, late: bool) -> Result<(), Wrong> {
    let found = lock(observer);
    if !found.wrong.is_empty() {
        return Err(format!("seen: {:#?}\n{}", found.wrong, stage.story()));
    }
    if found.late > 0 && !late {
        return Err(format!("{} bodies were sent while something of the release was visible\n{}", found.late, stage.story()));
    }
    Ok(())
}

fn switch(number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    let (stage, observer) = two_trees(number)?;
    misbehave(&stage, number, fault, kills);
    stage.live(async |scene| {
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })?;
    stage.conclude()?;
    // What is refused alone, with what depends on it, comes later than the rest.
    judge(&stage, &observer, matches!(fault, Fault::Fail(_)))
}

/// Where case is folded, a directory that has to make way answers for the one that comes in its place.
fn changes_case(number: u64, fault: Fault, kills: bool) -> Result<(), Wrong> {
    fastrand::seed(number);
    let mut stage = Stage::new(number, Fold::Apart, Ears::default(), 1);
    stage.publish = Publish::Together;
    if number.is_multiple_of(2) {
        stage.disposal = Disposal::Remove;
    }
    let root = stage.ground().root().to_owned();
    for name in ["empty", "dir/deep", "bare/in"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in ["dir/f", "dir/deep/g", "file", "was-file", "was-small"] {
        stage.ground().put(name, format!("old {name}").as_bytes());
    }
    stage.conclude()?;
    for (from, to) in [("empty", "Empty"), ("dir", "Dir"), ("bare/in", "bare/In"), ("bare", "Bare"), ("file", "File")] {
        fs::rename(root.join(from), root.join(to)).unwrap();
    }
    fs::remove_file(root.join("was-file")).unwrap();
    fs::create_dir(root.join("Was-File")).unwrap();
    stage.ground().put("Dir/f", b"the new f");
    // What is there is looked at before this is sent.
    fs::remove_file(root.join("was-small")).unwrap();
    stage.ground().put("Was-Small", &[b'x'; 300 << 10]);
    let begun = stage.remote.log().last().map_or(0, |call| call.number + 1);
    misbehave(&stage, begun + number, fault, kills);
    stage.live(async |scene| {
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })?;
    stage.conclude().map_err(|wrong| format!("{wrong}\n{}", stage.story()))
}

fn in_order() -> Result<(), Wrong> {
    for seed in 0..6 {
        let (stage, observer) = two_trees(seed)?;
        let before = stage.remote.log().len();
        stage.conclude()?;
        judge(&stage, &observer, false)?;
        let log = &stage.remote.log()[before..];
        let last_body = log.iter().rposition(|call| call.primitive == Primitive::Store).unwrap_or(0);
        let shown = |path: &RelPath| !path.name().starts_with(b".towline-") && !is_trash(path);
        let renames: Vec<(usize, &Call, &RelPath)> = log
            .iter()
            .enumerate()
            .filter_map(|(at, call)| Some((at, call, call.to.as_ref()?)))
            .filter(|(_, call, to)| call.primitive == Primitive::Rename && (shown(to) || is_trash(to)))
            .collect();
        if renames.iter().any(|(at, ..)| *at < last_body) {
            return Err(format!("a rename before the last body\n{}", stage.story()));
        }
        let at = |name: &str| renames.iter().position(|(_, _, to)| to.as_bytes() == name.as_bytes());
        let (new, replaced) = (["new/1", "new/2", "new/er/3"].map(at), ["changed", "d/changed"].map(at));
        if new.iter().chain(&replaced).any(Option::is_none) || new.iter().max() > replaced.iter().min() {
            return Err(format!("new ones at {new:?}, replaced ones at {replaced:?}\n{}", stage.story()));
        }
        let gone = |call: &&Call| {
            let path = call.path.as_ref().map(RelPath::as_bytes);
            matches!(call.primitive, Primitive::RemoveFile | Primitive::Rename) && matches!(path, Some(b"gone" | b"d/deep/gone"))
        };
        let first_gone = log.iter().position(|call| gone(&call));
        let last_replaced = replaced.iter().flatten().map(|n| renames[*n].0).max();
        if log.iter().filter(gone).count() != 2 || first_gone < last_replaced {
            return Err(format!("removals from {first_gone:?}, replacements to {last_replaced:?}\n{}", stage.story()));
        }
    }
    Ok(())
}

/// A path that is refused keeps everything back, and the status says which.
fn withheld() -> Result<(), Wrong> {
    let (stage, observer) = two_trees(1)?;
    let mut stores = 0;
    stage.remote.set_faults(Faults::script(move |_, primitive| {
        stores += u32::from(primitive == Primitive::Store);
        // The same file is refused again after each full scan.
        if primitive == Primitive::Store && stores % 8 == 1 { Fault::Fail(Class::Refused) } else { Fault::None }
    }));
    stage.live(async |scene| {
        scene.watch(Duration::from_secs(1800), false).await?;
        let status = scene.handle.status.borrow().clone();
        let release = status.release.clone().ok_or("no release in the status")?;
        let why = release.withheld.clone().ok_or_else(|| format!("nothing is withheld: {status:#?}"))?;
        if status.phase != Phase::Withheld || why.waits || why.hint.is_empty() || !why.why.contains("refused by the server") {
            return Err(format!("{why:?} {:?}", status.phase));
        }
        if release.staged_files != 7 || release.publishing {
            return Err(format!("{release:?}"));
        }
        Ok(End::Stopped)
    })?;
    if !lock(&observer).switched.is_empty() {
        return Err(format!("something was published\n{}", stage.story()));
    }
    stage.conclude()?;
    judge(&stage, &observer, false)
}

/// A content that was here once, as all that are seen must have been.
const THEIRS: &[u8] = b"old gone";

fn drifted() -> Result<(), Wrong> {
    let (stage, observer) = two_trees(3)?;
    let path = RelPath::new("changed").unwrap();
    stage.remote.edit(|tree| tree.store(&path, THEIRS.to_vec().into())).unwrap();
    lock(&observer).old.insert(path.clone(), THEIRS.to_vec());
    stage.live(async |scene| {
        scene.watch(Duration::from_secs(5000), false).await?;
        let status = scene.handle.status.borrow().clone();
        let why = status.release.clone().and_then(|release| release.withheld).ok_or("nothing is withheld")?;
        if !why.why.starts_with("changed: changed on the server by somebody else") {
            return Err(format!("{why:?}"));
        }
        if !lock(&observer).switched.is_empty() {
            return Err("something was published".into());
        }
        let (answer, answered) = tokio::sync::oneshot::channel();
        let command = towline::mirror::Command::Overwrite(Some(path.clone()), answer);
        scene.handle.commands.send(command).await.map_err(|_| "the engine is gone")?;
        if answered.await != Ok(1) {
            return Err("nothing was released".into());
        }
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })?;
    stage.check_rest()?;
    judge(&stage, &observer, false)
}

/// While something keeps a release back, what is staged goes on changing here.
fn changes_again() -> Result<(), Wrong> {
    let (stage, observer) = two_trees(5)?;
    stage.ground().put("line\nbreak", b"no server takes such a name");
    stage.live(async |scene| {
        scene.watch(Duration::from_secs(600), false).await?;
        stage.ground().put("new/2", b"another two");
        stage.ground().put("d/changed", b"changed once more");
        stage.ground().overflow();
        lock(&observer).new = here(&stage);
        scene.watch(Duration::from_secs(600), false).await?;
        let temporaries = stage.remote.temporaries().len();
        if temporaries != 8 || !lock(&observer).switched.is_empty() {
            return Err(format!("{temporaries} temporary files\n{}", stage.story()));
        }
        fs::remove_file(stage.ground().root().join("line\nbreak")).unwrap();
        stage.ground().overflow();
        lock(&observer).new = here(&stage);
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })?;
    stage.conclude()?;
    judge(&stage, &observer, false)
}

/// The old tree is back here before the new one was published: nothing of it is left on the server.
fn reverted() -> Result<(), Wrong> {
    let (stage, observer) = two_trees(7)?;
    stage.remote.set_faults(Faults::script(|number, primitive| {
        if primitive == Primitive::Store && number < 20 { Fault::Fail(Class::Refused) } else { Fault::None }
    }));
    stage.live(async |scene| {
        scene.watch(Duration::from_secs(600), false).await?;
        for name in ["new", "was-file"] {
            fs::remove_dir_all(stage.ground().root().join(name)).unwrap();
        }
        stage.ground().overflow();
        lock(&observer).new = here(&stage);
        Ok(End::Killed)
    })?;
    stage.conclude()?;
    judge(&stage, &observer, false)
}

/// A life that ends when everything is staged: the next one sends nothing again.
fn kept() -> Result<(), Wrong> {
    for seed in [9, 10] {
        let (stage, observer) = two_trees(seed)?;
        let doom = stage.doom.clone();
        stage.remote.set_faults(Faults::script(move |number, primitive| {
            if primitive == Primitive::Rename {
                doom.at(number);
                return Fault::Cut;
            }
            Fault::None
        }));
        stage.live(async |scene| {
            scene.watch_until_sync().await?;
            Ok(End::Stopped)
        })?;
        let sent = stage.remote.stored();
        if stage.remote.temporaries().len() != 8 || !lock(&observer).switched.is_empty() {
            return Err(format!("staged: {:?}\n{}", stage.remote.temporaries(), stage.story()));
        }
        stage.conclude()?;
        if stage.remote.stored() != sent {
            return Err(format!("{} bytes were sent again\n{}", stage.remote.stored() - sent, stage.story()));
        }
        judge(&stage, &observer, false)?;
    }
    Ok(())
}

/// The configuration changes between two lives: what is staged is removed, and sent as ever.
fn each_again() -> Result<(), Wrong> {
    let (mut stage, _) = two_trees(11)?;
    let doom = stage.doom.clone();
    stage.remote.set_faults(Faults::script(move |number, primitive| {
        if primitive == Primitive::Rename {
            doom.at(number);
            return Fault::LostReply;
        }
        Fault::None
    }));
    stage.live(async |scene| {
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })?;
    stage.publish = Publish::Each;
    stage.conclude()
}
