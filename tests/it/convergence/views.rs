//! Links, permissions and names that a server does not keep: one small story each, the first with a crash at every call.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use libtest_mimic::Trial;
use towline::{
    mirror::{MirrorStatus, Phase},
    model::{Mode, RelPath},
    remote::memory::{
        Fault, Faults, Options, Primitive,
        tree::{Manners, Node},
    },
    scan::{Modes, Symlinks, View},
};

use super::{
    each,
    ground::{Ears, Ground},
    history::Fold,
    stage::{End, Stage, Wrong},
};

/// At least as many calls as the story takes.
const CALLS: u64 = 70;

/// At least as many calls as it takes to rename a directory in case only.
const DIR_CALLS: u64 = 25;

const LINKS: View = View { symlinks: Symlinks::Link, modes: Modes::Keep };

/// The trials.
pub fn trials() -> Vec<Trial> {
    let crash = |name: &str, fault: Fault| {
        Trial::test(format!("convergence::{name}"), move || {
            each(0..CALLS, |number| crash_at(number, fault).map_err(|wrong| format!("call {number}: {wrong}")));
            Ok(())
        })
    };
    vec![
        crash("links_and_permissions_crash_before_every_operation", Fault::Cut),
        crash("links_and_permissions_crash_after_every_operation", Fault::LostReply),
        Trial::test("convergence::names_that_the_server_alters_are_parked", || Ok(altered()?)),
        Trial::test("convergence::nothing_is_parked_by_its_name_while_nothing_is_known", || Ok(unknown()?)),
        Trial::test("convergence::case_is_changed_where_the_server_refuses_that", || Ok(changes_case()?)),
        Trial::test("convergence::links_and_permissions_that_the_server_cannot_have", || Ok(incapable()?)),
        Trial::test("convergence::a_directory_renamed_in_case_survives_a_crash_at_every_call", || {
            each(0..DIR_CALLS * 2, |n| renamed_dir(n / 2, n % 2 == 0).map_err(|wrong| format!("call {}: {wrong}", n / 2)));
            Ok(())
        }),
    ]
}

fn stage(seed: u64, view: View, manners: Manners) -> Stage {
    Stage::with(seed, Fold::No, Ears::default(), 2, view, Options { manners, strict: true, unknown: false })
}

fn sync(stage: &Stage) -> Result<End, Wrong> {
    stage.live(async |scene| {
        scene.watch_until_sync().await?;
        Ok(End::Stopped)
    })
}

/// One life, and the last that the status said.
fn rest(stage: &Stage) -> Result<MirrorStatus, Wrong> {
    let mut last = MirrorStatus::default();
    stage.live(async |scene| {
        scene.reach_rest().await?;
        last = MirrorStatus::clone(&scene.handle.status.borrow());
        Ok(End::Stopped)
    })?;
    Ok(last)
}

fn crash_at(number: u64, fault: Fault) -> Result<(), Wrong> {
    fastrand::seed(number);
    let stage = stage(number, LINKS, Manners::default());
    begin(&mut stage.ground());
    stage.conclude()?;
    check_modes(&stage)?;
    go_on(&mut stage.ground());
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
        ended => ended.and_then(|_| stage.conclude()).and_then(|()| check_modes(&stage)),
    };
    told.map_err(|wrong| format!("{wrong}\n{}", stage.story()))
}

/// Whether the server's copies have the permissions of what is here.
fn check_modes(stage: &Stage) -> Result<(), Wrong> {
    let (root, tree) = (stage.ground().root().to_owned(), stage.remote.tree());
    for (path, node) in stage.remote.live() {
        if matches!(node, Node::Link { .. }) {
            continue;
        }
        let found = fs::symlink_metadata(path.below(&root)).map_err(|e| format!("{path}: {e}"))?;
        let mode = Mode::of(found.mode());
        let wanted = if found.is_dir() { mode.open_to_owner() } else { mode };
        if tree.mode(&path) != Some(wanted) {
            return Err(format!("{path} has {:?} instead of {wanted:?}", tree.mode(&path)));
        }
    }
    Ok(())
}

fn begin(ground: &mut Ground) {
    let root = ground.root().to_owned();
    for dir in ["d/e", "gone"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for (path, mode) in [("a", 0o644), ("d/b", 0o600), ("d/e/c", 0o755), ("moves", 0o640), ("becomes", 0o644), ("copied", 0o644)]
    {
        ground.put(path, path.as_bytes());
        chmod(&root.join(path), mode);
    }
    for (path, target) in [("l", "a"), ("d/up", "../a"), ("gone/l", "x"), ("was", "d"), ("stays", "d/b")] {
        symlink(target, root.join(path)).unwrap();
    }
}

fn go_on(ground: &mut Ground) {
    let root = ground.root().to_owned();
    let at = |path: &str| root.join(path);
    let relink = |path: &str, target: &str| {
        fs::remove_file(root.join(path)).unwrap();
        symlink(target, root.join(path)).unwrap();
    };
    chmod(&at("a"), 0o400);
    chmod(&at("d"), 0o711);
    fs::rename(at("moves"), at("d/moved")).unwrap();
    chmod(&at("d/moved"), 0o604);
    // Found by its content.
    ground.put("d/copy", b"copied");
    fs::remove_file(at("copied")).unwrap();
    relink("l", "d/b");
    relink("d/up", "e");
    fs::remove_dir_all(at("gone")).unwrap();
    fs::remove_file(at("was")).unwrap();
    ground.put("was", b"a file");
    fs::remove_file(at("becomes")).unwrap();
    symlink("a", at("becomes")).unwrap();
    fs::create_dir(at("new")).unwrap();
    symlink("../d", at("new/l")).unwrap();
    ground.put("new/f", b"new");
    chmod(&at("new/f"), 0o4755);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn names(stage: &Stage) -> Vec<String> {
    stage.remote.live().keys().map(ToString::to_string).collect()
}

fn expect<T: PartialEq + std::fmt::Debug>(found: &T, wanted: &T) -> Result<(), Wrong> {
    if found == wanted { Ok(()) } else { Err(format!("found {found:?}, wanted {wanted:?}")) }
}

fn altered() -> Result<(), Wrong> {
    let stage = stage(0, View::default(), Manners { mangles: true, ..Manners::default() });
    fs::create_dir(stage.ground().root().join("d ")).unwrap();
    for name in [" front", "d /f", "tab\t", "\u{e9}", "ok"] {
        stage.ground().put(name, name.as_bytes());
    }
    let status = rest(&stage)?;
    let parked: Vec<_> = status.problems.iter().map(|problem| problem.path.clone()).collect();
    expect(&parked, &[" front", "d ", "tab\\t"].map(String::from).to_vec())?;
    expect(&names(&stage), &["ok", "\u{e9}"].map(String::from).to_vec())?;
    if !status.problems[0].why.contains("this server stores spaces") {
        return Err(format!("{:?}", status.problems));
    }
    for (from, to) in [(" front", "front"), ("d ", "d"), ("tab\t", "tab")] {
        let root = stage.ground().root().to_owned();
        fs::rename(root.join(from), root.join(to)).unwrap();
    }
    stage.conclude()
}

fn unknown() -> Result<(), Wrong> {
    let manners = Manners { mangles: true, fold_case: true, ..Manners::default() };
    let options = Options { manners, strict: false, unknown: true };
    let stage = Stage::with(0, Fold::No, Ears::default(), 1, View::default(), options);
    for name in ["b ", "readme", "README"] {
        stage.ground().put(name, name.as_bytes());
    }
    let mut problems = 0;
    stage
        .live(async |scene| {
            // What it says of being in sync cannot be true, and it cannot know.
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            problems = scene.handle.status.borrow().problems.len();
            Ok(End::Stopped)
        })
        .or_else(|wrong| if wrong.contains("but the trees differ") { Ok(End::Stopped) } else { Err(wrong) })?;
    expect(&problems, &0)
}

fn changes_case() -> Result<(), Wrong> {
    for fault in [Fault::None, Fault::Cut, Fault::LostReply] {
        let manners = Manners { fold_case: true, refuse_case_change: true, ..Manners::default() };
        let options = Options { manners, strict: false, unknown: false };
        let stage = Stage::with(0, Fold::Apart, Ears::default(), 1, View::default(), options);
        stage.ground().put("README", b"content");
        sync(&stage)?;
        let root = stage.ground().root().to_owned();
        fs::rename(root.join("README"), root.join("readme")).unwrap();
        // The last of the three renames.
        let mut renames = 0;
        stage.remote.set_faults(Faults::script(move |_, primitive| {
            renames += u8::from(primitive == Primitive::Rename);
            if primitive == Primitive::Rename && renames == 3 { fault } else { Fault::None }
        }));
        sync(&stage)?;
        expect(&names(&stage), &vec!["readme".to_owned()])?;
        let puts = stage.remote.log().iter().filter(|call| call.primitive == Primitive::Store).count();
        // When the connection is lost with the file under its temporary name, it is sent again.
        expect(&puts, &if fault == Fault::Cut { 2 } else { 1 })?;
        stage.check_rest()?;
    }
    Ok(())
}

fn incapable() -> Result<(), Wrong> {
    let stage = stage(0, LINKS, Manners { no_modes: true, no_links: true, ..Manners::default() });
    stage.ground().put("f", b"content");
    symlink("f", stage.ground().root().join("l")).unwrap();
    let status = rest(&stage)?;
    expect(&(status.phase, status.warnings.len(), status.problems.len()), &(Phase::Parked, 1, 1))?;
    expect(&names(&stage), &vec!["f".to_owned()])?;
    let link = RelPath::new("l").unwrap();
    expect(&stage.remote.log().iter().any(|call| call.path.as_ref() == Some(&link)), &false)
}

/// What the server said of the old name was once taken for the new one, since at the start of a life the index was not told
/// that the server folds case.
fn renamed_dir(number: u64, cut: bool) -> Result<(), Wrong> {
    let stage = Stage::new(number, Fold::Apart, Ears::default(), 2);
    let root = stage.ground().root().to_owned();
    fs::create_dir(root.join("f.txt")).unwrap();
    for name in ["f.txt/a", "f.txt/b"] {
        stage.ground().put(name, name.as_bytes());
    }
    stage.conclude()?;
    fs::rename(root.join("f.txt"), root.join("F.TXT")).unwrap();
    fs::remove_file(root.join("F.TXT/b")).unwrap();
    let doom = stage.doom.clone();
    // Calls are numbered from 0 again when faults are set.
    stage.remote.set_faults(Faults::script(move |n, _| {
        if n != number {
            return Fault::None;
        }
        doom.at(number);
        if cut { Fault::Cut } else { Fault::LostReply }
    }));
    let told = match sync(&stage) {
        Ok(End::Killed) if number + 1 == DIR_CALLS => Err("it takes more calls than that".into()),
        ended => ended.and_then(|_| stage.conclude()),
    };
    told.map_err(|wrong| format!("{wrong}\n{}", stage.story()))
}
