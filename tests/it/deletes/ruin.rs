//! The table of what can befall a mirror, one row each: how it comes about, and by what one sees that the daemon has noticed.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::Moment;
use crate::{rig::Rig, servers, support::Impossible};

/// As whom the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// As whoever runs the tests.
    Us,
    /// As an account without privileges.
    Nobody,
}

pub(super) struct Ruin {
    pub(super) name: &'static str,
    pub(super) moments: &'static [Moment],
    pub(super) who: Who,
    pub(super) possible: fn() -> Result<(), Impossible>,
    /// Before the source is filled.
    pub(super) before: fn(&Rig),
    pub(super) happens: fn(&Rig),
    /// Whether a status shows that it was noticed, and that all is done that will be.
    pub(super) shows: fn(&Value) -> bool,
    /// Whether the daemon may end by itself.
    pub(super) ends: fn() -> bool,
    /// A program to start Towline through, once it has happened.
    pub(super) through: fn(&Rig) -> Option<Command>,
    /// At the end.
    pub(super) after: fn(&Rig),
}

const fn ruin(name: &'static str, happens: fn(&Rig), shows: fn(&Value) -> bool) -> Ruin {
    Ruin {
        name,
        moments: &Moment::ALL,
        who: Who::Us,
        possible: || Ok(()),
        before: |_| {},
        happens,
        shows,
        ends: || false,
        through: |_| None,
        after: |_| {},
    }
}

/// To the configuration, which a daemon reads at its start, and when it is told to.
const fn configured(name: &'static str, happens: fn(&Rig), shows: fn(&Value) -> bool) -> Ruin {
    Ruin { moments: &Moment::CONFIGURED, ..ruin(name, happens, shows) }
}

/// While the daemon is down.
const fn down(name: &'static str, happens: fn(&Rig), shows: fn(&Value) -> bool) -> Ruin {
    Ruin { moments: &Moment::DOWN, ..ruin(name, happens, shows) }
}

const fn mounted(name: &'static str, before: fn(&Rig), happens: fn(&Rig)) -> Ruin {
    Ruin { possible: root, before, after: unmount, ..ruin(name, happens, halted) }
}

const fn forbidden(name: &'static str, happens: fn(&Rig), shows: fn(&Value) -> bool) -> Ruin {
    Ruin { who: Who::Nobody, after: allow, ..ruin(name, happens, shows) }
}

pub(super) static RUINS: [Ruin; 29] = [
    ruin("root_emptied", |rig| empty(&rig.source), halted),
    ruin("root_removed", |rig| fs::remove_dir_all(&rig.source).unwrap(), halted),
    ruin("root_renamed", |rig| drop(aside(rig)), halted),
    ruin("root_replaced_by_an_empty_directory", |rig| replaced(rig, |path| fs::create_dir(path).unwrap()), halted),
    ruin("root_replaced_by_another_directory", |rig| replaced(rig, other_files), halted),
    ruin("root_replaced_by_a_copy_of_half_of_it", |rig| replaced(rig, half), halted),
    ruin("root_replaced_by_a_file", |rig| replaced(rig, |path| fs::write(path, "a file").unwrap()), halted),
    ruin("root_replaced_by_a_link_to_nothing", |rig| replaced(rig, |path| link("/nonexistent", path)), halted),
    ruin("root_replaced_by_a_link_to_itself", |rig| replaced(rig, |path| link("source", path)), halted),
    Ruin {
        before: |rig| {
            let one = rig.dir.path().join("one");
            fs::rename(&rig.source, &one).unwrap();
            link("one", &rig.source);
        },
        ..ruin(
            "link_to_the_root_leads_elsewhere",
            |rig| {
                other_files(&rig.dir.path().join("two"));
                fs::remove_file(&rig.source).unwrap();
                link("two", &rig.source);
            },
            halted,
        )
    },
    mounted("root_unmounted", mount, unmount),
    mounted("root_mounted_over_by_an_empty_disk", |_| {}, mount),
    mounted(
        "root_mounted_over_by_another_disk",
        |_| {},
        |rig| {
            mount(rig);
            rig.write("other", "another disk's");
        },
    ),
    forbidden("root_unreadable", |rig| mode(&rig.source, 0), held_or_unseen),
    forbidden("root_readable_but_not_searchable", |rig| mode(&rig.source, 0o600), held_or_unseen),
    forbidden("subtree_unreadable", |rig| mode(&rig.source.join("e"), 0), unseen),
    forbidden("deep_subtree_unreadable", |rig| mode(&rig.source.join("e/deep"), 0), unseen),
    forbidden("subtree_readable_but_not_searchable", |rig| mode(&rig.source.join("d"), 0o600), unseen),
    Ruin {
        moments: &[Moment::Start, Moment::Crash, Moment::Once],
        possible: filter_possible,
        through: unlisting,
        ends: || true,
        ..ruin("directories_cannot_be_read", |rig| fs::write(rig.dir.path().join("unlisting"), "").unwrap(), held_or_unseen)
    },
    ruin("over_budget", |rig| fs::rename(rig.source.join("d"), rig.dir.path().join("d")).unwrap(), halted),
    ruin("everything_ignored_by_a_file", |rig| rig.write(".towlineignore", "*\n"), nothing_left),
    configured(
        "everything_ignored_by_the_configuration",
        |rig| reconfigure(rig, "quiet =", "ignore = [\"*\"]\nquiet ="),
        nothing_left,
    ),
    configured("source_leads_to_an_empty_directory", |rig| elsewhere(rig, |path| fs::create_dir(path).unwrap()), halted),
    configured("source_leads_to_another_directory", |rig| elsewhere(rig, other_files), halted),
    configured("source_leads_into_itself", |rig| reconfigure(rig, "source = \"source\"", "source = \"source/d\""), halted),
    configured("the_mirror_has_another_name", |rig| reconfigure(rig, "name = \"site\"", "name = \"other\""), quiet),
    configured("the_path_on_the_server_is_another", |rig| reconfigure(rig, "/mirror\"", "/elsewhere\""), quiet),
    down("database_lost", |rig| fs::remove_dir_all(rig.state()).unwrap(), in_sync),
    Ruin { ends: || true, ..down("database_overwritten", overwrite_database, quiet) },
];

fn halted(status: &Value) -> bool {
    status["phase"] == "halted"
}

fn in_sync(status: &Value) -> bool {
    status["phase"] == "in-sync"
}

/// Something could not be looked at, and nothing is under way.
fn unseen(status: &Value) -> bool {
    status["unseen"].as_array().is_some_and(|places| !places.is_empty()) && quiet(status)
}

fn held_or_unseen(status: &Value) -> bool {
    halted(status) || unseen(status)
}

fn quiet(status: &Value) -> bool {
    status["phase"].as_str().is_some_and(|phase| ["halted", "in-sync", "waiting", "parked", "stopped"].contains(&phase))
}

/// Nothing is mirrored any more.
fn nothing_left(status: &Value) -> bool {
    status["tally"]["recorded_files"] == 0 && quiet(status)
}

fn root() -> Result<(), Impossible> {
    if servers::is_root() { Ok(()) } else { Err(Impossible::NotAllowed("mounting needs root".to_owned())) }
}

fn empty(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

fn aside(rig: &Rig) -> PathBuf {
    let aside = rig.dir.path().join("aside");
    fs::rename(&rig.source, &aside).unwrap();
    aside
}

fn replaced(rig: &Rig, by: fn(&Path)) {
    aside(rig);
    by(&rig.source);
}

fn elsewhere(rig: &Rig, make: fn(&Path)) {
    make(&rig.dir.path().join("elsewhere"));
    reconfigure(rig, "source = \"source\"", "source = \"elsewhere\"");
}

fn other_files(dir: &Path) {
    fs::create_dir(dir).unwrap();
    (0..3).for_each(|i| fs::write(dir.join(format!("other {i}")), "another file").unwrap());
}

fn half(dir: &Path) {
    fs::create_dir_all(dir.join("d")).unwrap();
    (0..6).for_each(|i| fs::write(dir.join(format!("d/{i}")), format!("file {i}")).unwrap());
}

fn link(target: &str, path: &Path) {
    std::os::unix::fs::symlink(target, path).unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn allow(rig: &Rig) {
    for dir in ["", "d", "e", "e/deep"] {
        let _ = fs::set_permissions(rig.source.join(dir), fs::Permissions::from_mode(0o755));
    }
}

fn mount(rig: &Rig) {
    let output = Command::new("mount").args(["-t", "tmpfs", "towline-test"]).arg(&rig.source).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Lazily: the daemon may be looking.
fn unmount(rig: &Rig) {
    let _ = Command::new("umount").arg("-l").arg(&rig.source).output().unwrap();
}

fn reconfigure(rig: &Rig, from: &str, to: &str) {
    let file = rig.dir.path().join("towline.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

fn overwrite_database(rig: &Rig) {
    let file = rig.state().join("mirrors/site.db");
    let size = fs::metadata(&file).unwrap().len();
    let mut rng = fastrand::Rng::with_seed(size);
    fs::write(file, std::iter::repeat_with(|| rng.u8(..)).take(usize::try_from(size).unwrap()).collect::<Vec<_>>()).unwrap();
}

/// Once the file `unlisting` is there: Towline in a filter that answers EIO to every reading of a directory.
fn unlisting(rig: &Rig) -> Option<Command> {
    let command = Command::new(crate::tools::unlisting().expect("asked by `possible`"));
    rig.dir.path().join("unlisting").exists().then_some(command)
}

fn filter_possible() -> Result<(), Impossible> {
    crate::tools::unlisting().map(drop)
}
