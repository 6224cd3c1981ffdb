//! What somebody else does on the server: another state's marker, a moved directory, files that were changed there. In memory,
//! pass by pass over a real index and a real directory; and the same words of the real binary on real servers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
    time::Duration,
};

use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use towline::{
    clock,
    index::{Index, Note},
    mirror::{
        Drift, Mirror, MirrorStatus, Priority, Publish, Scrub, Seats, Settings, Siblings, Until,
        marker::{self, Bond, MARKER},
    },
    model::{Abilities, Disposal, RelPath, Retention},
    plan::{Approval, Budget, Changed, Halt},
    remote::{
        Remote, RemoteError,
        memory::{Fault, Faults, MemoryRemote, MemorySession, Options, Primitive, tree::Node},
    },
    scan::View,
    watch::ScriptedWatcher,
};

use crate::{
    rig::Rig,
    servers::{self, Kind, Tls},
    support::{temp_dir, trial},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("marker::a_second_state_stops_before_it_overwrites", second_state),
        trial("marker::a_restored_state_stops_before_it_overwrites", restored_state),
        trial("marker::without_the_marker_nothing_is_removed", lost_marker),
        trial("marker::another_directory_is_a_new_mirror", elsewhere),
        trial("marker::a_directory_that_moved_along_is_the_same", moved_along),
        trial("marker::a_local_file_of_that_name_is_not_mirrored", own_name),
        trial("drift::a_change_on_the_server_stays_until_it_is_given_up", kept),
        trial("drift::as_it_was_recorded_again_it_goes_on", as_recorded_again),
        trial("drift::both_are_kept", both),
        trial("drift::ours_wins", overwritten),
        trial("drift::what_was_there_before_the_first_sync", strangers),
        trial("drift::a_changed_file_is_not_renamed_to_where_ours_belongs", moved),
        trial("drift::what_a_job_left_in_doubt_is_overwritten", in_doubt),
    ];
    trials.extend([
        trial("guards::files_that_lost_their_content_are_not_sent", lost_content),
        trial("guards::another_source_in_the_configuration_is_another_root", edited_source),
    ]);
    for kind in Kind::ALL {
        trials.push(servers::trial(
            kind,
            format!("drift::{}::from_sync_to_approve", kind.name()),
            move || async move { real(kind) },
        ));
    }
    trials
}

/// A server that goes by a name.
struct Named(MemoryRemote, &'static str);

impl Remote for Named {
    type Session = MemorySession;

    async fn connect(&self) -> Result<MemorySession, RemoteError> {
        self.0.connect().await
    }

    fn target(&self) -> String {
        self.1.to_owned()
    }

    fn abilities(&self) -> Abilities {
        self.0.abilities()
    }
}

/// A directory here, a state, and a directory on a server.
struct Home {
    dir: TempDir,
    remote: MemoryRemote,
    drift: Drift,
    /// The name of the directory here.
    name: &'static str,
}

impl Home {
    fn new(remote: &MemoryRemote) -> Self {
        let dir = temp_dir();
        fs::create_dir(dir.path().join("source")).unwrap();
        Self { dir, remote: remote.clone(), drift: Drift::default(), name: "source" }
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join(self.name)
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state/m.db")
    }

    fn write(&self, name: &str, body: &str) {
        let path = self.source().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.source().join(name)).unwrap();
    }

    fn index(&self) -> Index {
        Index::open(&self.state(), clock::now()).unwrap()
    }

    fn settings(&self) -> Settings {
        Settings {
            name: "m".into(),
            source: self.source(),
            view: View::default(),
            ignore: Vec::new(),
            append: Vec::new(),
            quiet: Duration::from_millis(5),
            full_scan: Duration::from_secs(3600),
            identity: marker::identity("machine", &self.state()),
            budget: Budget { files: 50, percent: 25 },
            drift: self.drift,
            publish: Publish::default(),
            scan: Priority::default(),
            scrub: Scrub::default(),
            disposal: Disposal::Remove,
            retention: Retention::default(),
            neighbours: Vec::new(),
            seats: Seats::new(2),
            siblings: Siblings::default(),
            clock: clock::now,
            observer: None,
        }
    }

    async fn pass(&self) -> MirrorStatus {
        self.pass_to("there").await
    }

    async fn pass_to(&self, target: &'static str) -> MirrorStatus {
        let remote = Arc::new(Named(self.remote.clone(), target));
        let (mirror, _handle) = Mirror::<_, ScriptedWatcher>::new(self.settings(), self.index(), remote, None).unwrap();
        MirrorStatus::clone(&mirror.run(Until::Settled, CancellationToken::new()).await.unwrap())
    }

    /// As `towline approve` does it without a daemon.
    fn take_over(&self) {
        let mut index = self.index();
        let bond = index.note::<Bond>(Note::Marker).unwrap().unwrap();
        index.set_note(Note::Marker, Some(&Bond { takes_over: true, ..bond })).unwrap();
    }

    fn there(&self, name: &str) -> Option<String> {
        there(&self.remote, name)
    }
}

fn there(remote: &MemoryRemote, name: &str) -> Option<String> {
    match remote.tree().get(&path(name)) {
        Some(Node::File { body, .. }) => Some(String::from_utf8(body.to_vec()).unwrap()),
        _ => None,
    }
}

fn path(name: &str) -> RelPath {
    RelPath::new(name).unwrap()
}

fn in_sync(status: &MirrorStatus) {
    let tally = status.tally;
    let open = tally.pending_files + tally.pending_dirs + tally.pending_removals;
    assert!(open == 0 && status.halt.is_none(), "{status:#?}");
}

fn halt(status: &MirrorStatus) -> Option<&Halt> {
    status.halt.as_ref().map(|halt| &halt.halt)
}

fn server() -> MemoryRemote {
    MemoryRemote::new(Options::default())
}

async fn second_state() {
    let remote = server();
    let (first, second) = (Home::new(&remote), Home::new(&remote));
    first.write("a", "of the first");
    in_sync(&first.pass().await);
    second.write("a", "of the second machine");
    second.write("b", "new");
    let before = remote.live();
    let status = second.pass().await;
    assert!(matches!(halt(&status), Some(Halt::MarkerForeign { .. })), "{status:#?}");
    assert!(status.halt.as_ref().unwrap().hint.contains("towline approve m"), "{status:#?}");
    assert_eq!(remote.live(), before);
    // A new attempt changes nothing, consent does.
    second.pass().await;
    assert_eq!(remote.live(), before);
    second.take_over();
    second.pass().await;
    assert_eq!(second.there("b").as_deref(), Some("new"));
    // From now on it is the first one that stops.
    first.write("c", "of the first");
    let status = first.pass().await;
    assert!(matches!(halt(&status), Some(Halt::MarkerForeign { .. })), "{status:#?}");
    assert_eq!(first.there("c"), None);
}

async fn restored_state() {
    let home = Home::new(&server());
    home.write("a", "one");
    in_sync(&home.pass().await);
    let backup = home.dir.path().join("backup.db");
    home.index().copy_to(&backup).unwrap();
    home.write("a", "two, longer");
    in_sync(&home.pass().await);
    for end in ["db", "db-wal", "db-shm"] {
        let _ = fs::remove_file(home.state().with_extension(end));
    }
    fs::copy(&backup, home.state()).unwrap();
    home.write("a", "three");
    home.write("b", "new");
    let status = home.pass().await;
    assert!(matches!(halt(&status), Some(Halt::MarkerForeign { found }) if found.contains("restored")), "{status:#?}");
    assert_eq!((home.there("a").as_deref(), home.there("b")), (Some("two, longer"), None));
}

async fn lost_marker() {
    let home = Home::new(&server());
    for n in 0..8 {
        home.write(&n.to_string(), "x");
    }
    in_sync(&home.pass().await);
    home.remote.edit(|tree| tree.remove_file(&path(MARKER))).unwrap();
    home.remove("0");
    home.write("new", "y");
    let status = home.pass().await;
    assert_eq!(halt(&status), Some(&Halt::MarkerMissing), "{status:#?}");
    assert_eq!((home.there("0").as_deref(), home.there("new").as_deref()), (Some("x"), Some("y")));
    home.take_over();
    in_sync(&home.pass().await);
    assert_eq!(home.there("0"), None);
    assert!(home.there(MARKER).is_some());
}

async fn elsewhere() {
    let (old, new) = (server(), server());
    let mut home = Home::new(&old);
    home.write("a", "one");
    home.write("gone", "x");
    in_sync(&home.pass().await);
    home.remove("gone");
    new.edit(|tree| tree.store(&path("gone"), "somebody's".into())).unwrap();
    home.remote = new.clone();
    in_sync(&home.pass_to("elsewhere").await);
    assert_eq!((there(&new, "a").as_deref(), there(&new, "gone").as_deref()), (Some("one"), Some("somebody's")));
    assert_eq!((there(&old, "gone").as_deref(), new.deletes(), old.deletes()), (Some("x"), 0, 0));
    // And on from there as ever.
    home.remove("a");
    home.write("b", "two");
    let status = home.pass_to("elsewhere").await;
    assert!(!matches!(halt(&status), Some(Halt::MarkerForeign { .. } | Halt::MarkerMissing)), "{status:#?}");
    assert_eq!(there(&new, "b").as_deref(), Some("two"));
}

async fn moved_along() {
    let home = Home::new(&server());
    home.write("a", "one");
    in_sync(&home.pass().await);
    home.write("b", "two");
    let sent = home.remote.stored();
    in_sync(&home.pass_to("elsewhere").await);
    assert_eq!(home.remote.stored() - sent, 3, "only what is new was sent");
}

async fn own_name() {
    let home = Home::new(&server());
    home.write(MARKER, "not a marker");
    home.write("a", "one");
    in_sync(&home.pass().await);
    home.write("a", "another");
    in_sync(&home.pass().await);
    assert!(Path::new(&home.source()).join(MARKER).exists());
}

/// A mirror with the files `a`, `b` and `c`, in sync.
async fn settled(drift: Drift) -> Home {
    let mut home = Home::new(&server());
    home.drift = drift;
    for name in ["a", "b", "c"] {
        home.write(name, &format!("{name} as it was sent"));
    }
    in_sync(&home.pass().await);
    home
}

impl Home {
    /// Somebody else writes to the server.
    fn tamper(&self, name: &str, body: &'static str) {
        self.remote.edit(|tree| tree.store(&path(name), body.into())).unwrap();
    }

    fn give_up(&self, prefix: Option<&str>) -> usize {
        self.index().give_up_drift(prefix.map(path).as_ref(), clock::now()).unwrap()
    }

    /// What visitors see.
    fn names(&self) -> Vec<String> {
        self.remote.live().keys().map(ToString::to_string).collect()
    }
}

/// The paths that are parked for drift.
fn drifted(status: &MirrorStatus) -> Vec<&str> {
    let drift =
        |problem: &&towline::mirror::status::PathStatus| problem.why.starts_with("changed on the server by somebody else");
    let found: Vec<_> = status.problems.iter().filter(drift).collect();
    assert!(found.iter().all(|problem| problem.retry_at.is_none() && problem.hint.contains("towline approve")), "{found:#?}");
    found.into_iter().map(|problem| problem.path.as_str()).collect()
}

async fn kept() {
    let home = settled(Drift::KeepRemote).await;
    home.tamper("a", "theirs");
    home.tamper("b", "theirs, too");
    home.write("a", "ours, changed");
    home.remove("b");
    home.write("c", "c, changed here alone");
    let status = home.pass().await;
    assert_eq!(drifted(&status), ["a", "b"], "{status:#?}");
    assert_eq!((home.there("a").as_deref(), home.there("b").as_deref()), (Some("theirs"), Some("theirs, too")));
    assert_eq!(home.there("c").as_deref(), Some("c, changed here alone"));
    assert_eq!(home.remote.temporaries(), []);
    // Nothing comes of trying again, nor of giving up something else.
    assert_eq!(home.give_up(Some("c")), 0);
    assert_eq!(drifted(&home.pass().await), ["a", "b"]);
    assert_eq!((home.give_up(Some("a")), home.give_up(None)), (1, 1));
    in_sync(&home.pass().await);
    assert_eq!((home.there("a").as_deref(), home.there("b")), (Some("ours, changed"), None));
    // What is sent from then on is compared as ever.
    home.tamper("a", "theirs again");
    home.write("a", "ours again, longer");
    assert_eq!(drifted(&home.pass().await), ["a"]);
}

async fn as_recorded_again() {
    let home = settled(Drift::KeepRemote).await;
    let before = home.remote.tree().get(&path("a")).cloned();
    home.tamper("a", "theirs");
    home.write("a", "ours, changed");
    assert_eq!(drifted(&home.pass().await), ["a"]);
    let Some(Node::File { body, modified: Some(modified) }) = before else { panic!("no file") };
    home.remote.edit(|tree| tree.store(&path("a"), body).and_then(|()| tree.set_modified(&path("a"), modified))).unwrap();
    in_sync(&home.pass().await);
    assert_eq!(home.there("a").as_deref(), Some("ours, changed"));
}

async fn both() {
    let home = settled(Drift::KeepBoth).await;
    home.tamper("a", "theirs");
    home.tamper("b", "theirs, too");
    home.write("a", "ours, changed");
    home.remove("b");
    in_sync(&home.pass().await);
    let names = home.names();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names[0] == "a" && names[1].starts_with("a.server-20") && names[2].starts_with("b.server-20"), "{names:?}");
    let found = [&names[0], &names[1], &names[2]].map(|name| home.there(name).unwrap());
    assert_eq!(found, ["ours, changed", "theirs", "theirs, too"]);
}

async fn overwritten() {
    let home = settled(Drift::Overwrite).await;
    home.tamper("a", "theirs");
    home.tamper("b", "theirs, too");
    home.write("a", "ours, changed");
    home.remove("b");
    in_sync(&home.pass().await);
    assert_eq!((home.names(), home.there("a").as_deref()), (vec!["a".to_owned(), "c".to_owned()], Some("ours, changed")));
}

async fn strangers() {
    let remote = server();
    let home = Home::new(&remote);
    for (name, body) in [("same", "the same"), ("other", "of ours"), ("new", "new")] {
        home.write(name, body);
    }
    let modified = fs::metadata(home.source().join("same")).unwrap().modified().unwrap();
    let seconds = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().cast_signed();
    home.tamper("same", "the same");
    remote.edit(|tree| tree.set_modified(&path("same"), seconds)).unwrap();
    home.tamper("other", "of somebody else");
    home.tamper("unrelated", "stays");
    let status = home.pass().await;
    assert_eq!(drifted(&status), ["other"]);
    assert_eq!((home.there("other").as_deref(), home.there("new").as_deref()), (Some("of somebody else"), Some("new")));
    assert_eq!(home.give_up(Some("other")), 1);
    in_sync(&home.pass().await);
    assert_eq!((home.there("other").as_deref(), home.there("unrelated").as_deref()), (Some("of ours"), Some("stays")));
}

async fn moved() {
    for (drift, old) in [(Drift::KeepRemote, Some("theirs")), (Drift::KeepBoth, None), (Drift::Overwrite, None)] {
        let home = settled(drift).await;
        home.tamper("a", "theirs");
        fs::rename(home.source().join("a"), home.source().join("moved")).unwrap();
        let status = home.pass().await;
        assert_eq!(home.there("moved").as_deref(), Some("a as it was sent"), "{drift:?} {status:#?}");
        assert_eq!(home.there("a").as_deref(), old, "{drift:?}");
        assert_eq!(drifted(&status), if drift == Drift::KeepRemote { vec!["a"] } else { vec![] }, "{status:#?}");
        let aside = home.names().iter().any(|name| name.starts_with("a.server-"));
        assert_eq!(aside, drift == Drift::KeepBoth);
        // And onto one that was changed.
        home.tamper("c", "theirs");
        fs::rename(home.source().join("b"), home.source().join("c")).unwrap();
        let status = home.pass().await;
        let expected = if drift == Drift::KeepRemote { "theirs" } else { "b as it was sent" };
        assert_eq!(home.there("c").as_deref(), Some(expected), "{drift:?} {status:#?}");
    }
}

async fn in_doubt() {
    let home = settled(Drift::KeepRemote).await;
    home.write("a", "ours, changed");
    // It was renamed into place, and nobody heard of it.
    let mut renames = 0;
    home.remote.set_faults(Faults::script(move |_, primitive| {
        renames += u8::from(primitive == Primitive::Rename);
        if primitive == Primitive::Rename && renames == 1 { Fault::LostReply } else { Fault::None }
    }));
    in_sync(&home.pass().await);
    assert_eq!(home.there("a").as_deref(), Some("ours, changed"));
}

/// The words of the command line; and that no server's way with times makes drift of what nobody changed.
fn real(kind: Kind) {
    let rig = Rig::new(kind, Tls::Both);
    let ended = |output: Output, code: i32| {
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{said}\n{}", rig.server.log());
        said
    };
    let ends = |args: &[&str], code: i32| ended(rig.towline(args), code);
    let at = |name: &str| rig.mirrored().join(name);
    rig.write("d/a.txt", "one");
    rig.write("b", "x".repeat(300_000));
    ends(&["sync"], 0);
    // As it was recorded, whatever is done with it.
    rig.write("d/a.txt", "two, longer");
    rig.write("b", "y".repeat(300_001));
    ends(&["sync"], 0);
    fs::rename(rig.source.join("d/a.txt"), rig.source.join("d/c.txt")).unwrap();
    ends(&["sync"], 0);
    let stored = rig.commands("STOR");
    fs::write(at("d/c.txt"), "of somebody else").unwrap();
    fs::write(at("b"), "of somebody else, too").unwrap();
    rig.write("d/c.txt", "three, much longer");
    rig.write("b", "z".repeat(300_002));
    let said = ends(&["sync"], 3);
    assert!(said.contains("changed on the server by somebody else: a file of 16 bytes") && said.contains("d/c.txt"), "{said}");
    assert!(said.contains("towline approve"), "{said}");
    assert_eq!(fs::read_to_string(at("d/c.txt")).unwrap(), "of somebody else");
    // Pure-FTPd logs no commands.
    if kind != Kind::PureFtpd {
        assert_eq!(rig.commands("STOR"), stored + 1, "the large one was not sent in vain");
    }
    ends(&["approve", "site", "no such"], 1);
    let said = ends(&["approve", "site", "d"], 0);
    assert!(said.contains("1 file on the server will be overwritten"), "{said}");
    ends(&["sync"], 3);
    assert_eq!(fs::read_to_string(at("d/c.txt")).unwrap(), "three, much longer");
    ends(&["approve", "site", "."], 0);
    ends(&["sync"], 0);
    assert!(rig.is_equal());
    // A lost state: the directory is known to be this mirror's, and nothing of what is in it.
    fs::remove_dir_all(rig.state()).unwrap();
    rig.write("d/c.txt", "four");
    let said = ends(&["sync"], 3);
    assert!(said.contains("d/c.txt") && !said.contains("marker"), "{said}");
    assert_eq!(fs::read_to_string(at("d/c.txt")).unwrap(), "three, much longer");
    ends(&["approve", "site", "."], 0);
    ends(&["sync"], 0);
    assert!(rig.is_equal());
    // With a daemon.
    let daemon = rig.run();
    rig.await_sync();
    fs::write(at("d/c.txt"), "of somebody else").unwrap();
    rig.write("d/c.txt", "five, as long as it takes");
    rig.await_status("it is parked", |status| status["tally"]["parked"] == 1);
    ends(&["approve", "site", "d/c.txt"], 0);
    rig.await_sync();
    drop(daemon);
    // Another state, as on a second machine.
    let other =
        |args: &[&str], code: i32| ended(rig.command_with(&rig.state().with_file_name("other"), args).output().unwrap(), code);
    rig.write("d/c.txt", "six");
    let said = other(&["sync"], 3);
    assert!(said.contains("another marker than this mirror's") && said.contains("towline approve site"), "{said}");
    assert_eq!(fs::read_to_string(at("d/c.txt")).unwrap(), "five, as long as it takes");
    assert!(other(&["approve", "site"], 0).contains("approved"));
    let said = other(&["sync"], 3);
    assert!(said.contains("d/c.txt") && !said.contains("marker"), "{said}");
    let said = ends(&["sync"], 3);
    assert!(said.contains("another marker than this mirror's"), "the first one notices: {said}");
}

async fn lost_content() {
    for lost in [vec![], vec![0; 5000]] {
        let home = Home::new(&server());
        for n in 0..80 {
            home.write(&format!("d/{n}"), "content");
        }
        in_sync(&home.pass().await);
        for n in 0..60 {
            fs::write(home.source().join(format!("d/{n}")), &lost).unwrap();
        }
        home.write("d/70", "changed in earnest");
        home.write("new", "new");
        let status = home.pass().await;
        assert!(matches!(halt(&status), Some(Halt::ContentLost { changed: 61, spoilt: 60, .. })), "{status:#?}");
        assert_eq!((home.there("d/0").as_deref(), home.there("new").as_deref()), (Some("content"), Some("new")));
        home.pass().await;
        assert_eq!(home.there("d/59").as_deref(), Some("content"));
        let approval = Approval { deletes: 0, root: None, changes: home.index().changes(Changed::ORDINARY).unwrap().files };
        home.index().set_note(Note::Approval, Some(&approval)).unwrap();
        in_sync(&home.pass().await);
        assert_eq!(home.there("d/59").map(String::into_bytes), Some(lost));
    }
}

async fn edited_source() {
    let mut home = Home::new(&server());
    home.write("a", "one");
    home.write("b", "two");
    in_sync(&home.pass().await);
    fs::rename(home.source(), home.dir.path().join("renamed")).unwrap();
    home.name = "renamed";
    home.remove("a");
    home.write("c", "three");
    let status = home.pass().await;
    assert!(matches!(halt(&status), Some(Halt::RootReplaced { .. })), "{status:#?}");
    assert_eq!((home.there("a").as_deref(), home.there("c").as_deref()), (Some("one"), Some("three")));
    // As it was: nothing is wrong any more.
    fs::rename(home.source(), home.dir.path().join("source")).unwrap();
    home.name = "source";
    in_sync(&home.pass().await);
    assert_eq!(home.there("a"), None);
}
