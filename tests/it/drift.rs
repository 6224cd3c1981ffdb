//! What somebody else does on the server: another state's marker, a moved directory, files that were changed there. In memory,
//! pass by pass over a real index and a real directory; and the same words of the real binary on real servers.

use std::{
    fs,
    path::{Path, PathBuf},
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
        Mirror, MirrorStatus, Seats, Settings, Until,
        marker::{Bond, MARKER},
    },
    model::{Abilities, RelPath},
    plan::{Budget, Halt},
    remote::{
        Remote, RemoteError,
        memory::{MemoryRemote, MemorySession, Options, tree::Node},
    },
    scan::View,
    watch::ScriptedWatcher,
};

use crate::support::{temp_dir, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("marker::a_second_state_stops_before_it_overwrites", second_state),
        trial("marker::a_restored_state_stops_before_it_overwrites", restored_state),
        trial("marker::without_the_marker_nothing_is_removed", lost_marker),
        trial("marker::another_directory_is_a_new_mirror", elsewhere),
        trial("marker::a_directory_that_moved_along_is_the_same", moved_along),
        trial("marker::a_local_file_of_that_name_is_not_mirrored", own_name),
    ]
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
}

impl Home {
    fn new(remote: &MemoryRemote) -> Self {
        let dir = temp_dir();
        fs::create_dir(dir.path().join("source")).unwrap();
        Self { dir, remote: remote.clone() }
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
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
            quiet: Duration::from_millis(5),
            full_scan: Duration::from_secs(3600),
            budget: Budget { files: 50, percent: 25 },
            seats: Seats::new(2),
            clock: clock::now,
            observer: None,
        }
    }

    async fn pass(&self) -> Arc<MirrorStatus> {
        self.pass_to("there").await
    }

    async fn pass_to(&self, target: &'static str) -> Arc<MirrorStatus> {
        let remote = Arc::new(Named(self.remote.clone(), target));
        let (mirror, _handle) = Mirror::<_, ScriptedWatcher>::new(self.settings(), self.index(), remote, None).unwrap();
        mirror.run(Until::Settled, CancellationToken::new()).await.unwrap()
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
