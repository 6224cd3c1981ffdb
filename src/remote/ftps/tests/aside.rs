//! Replacing a file on a server that refuses to rename over one, with a death at every step of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::support::{connected, remote_to};
use crate::{
    ftps::testing::{Heard, Peer, Pipe, Server},
    model::RelPath,
    remote::{Class, RemoteError, Session, ftps::FtpsRemote},
};

const LIVE: &str = "live";
const TEMP: &str = ".towline-1-2.part";
/// BLAKE3 of "live".
const ASIDE: &str = ".towline-aside-e11e2e613d6de13b";

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("valid")
}

/// A server's files, and when it dies.
#[derive(Default)]
struct Disk {
    files: Mutex<BTreeMap<String, &'static str>>,
    /// Commands until it dies; 0 is never.
    left: AtomicUsize,
    /// It dies after a command took effect, else before.
    after: bool,
    /// A rename to this name is always refused.
    barred: Mutex<Option<&'static str>>,
    /// RNFR is not looked at before RNTO.
    careless: bool,
    /// RNTO over a file is refused with this.
    code: u16,
}

impl Disk {
    fn with(files: &[(&str, &'static str)]) -> Self {
        let files = files.iter().map(|(name, content)| ((*name).to_owned(), *content)).collect();
        Self { files: Mutex::new(files), code: 550, ..Self::default() }
    }

    fn files(&self) -> BTreeMap<String, &'static str> {
        self.files.lock().expect("unpoisoned").clone()
    }

    fn bar(&self, name: Option<&'static str>) {
        *self.barred.lock().expect("unpoisoned") = name;
    }

    async fn serve(self: Arc<Self>, peer: Peer) -> Option<()> {
        let mut peer = peer.log_in().await?;
        let mut renaming = None;
        loop {
            let line = peer.hear().await?;
            let dies = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) == Ok(1);
            if dies && !self.after {
                return None;
            }
            let answer = self.answer(&line, &mut renaming);
            if dies {
                return None;
            }
            peer.say(&answer).await?;
        }
    }

    fn answer(&self, line: &str, renaming: &mut Option<String>) -> String {
        let (verb, name) = line.split_once(" /").unwrap_or((line, ""));
        let source = renaming.take();
        let mut files = self.files.lock().expect("unpoisoned");
        match verb {
            "SIZE" => files.get(name).map_or("550 which?".to_owned(), |content| format!("213 {}", content.len())),
            "RNFR" if self.careless || files.contains_key(name) => {
                *renaming = Some(name.to_owned());
                "350 to what?".to_owned()
            }
            "RNTO" if files.contains_key(name) => format!("{} it is there", self.code),
            "RNTO" if *self.barred.lock().expect("unpoisoned") == Some(name) => "550 not here".to_owned(),
            "RNTO" => match source.and_then(|source| files.remove(&source)) {
                Some(content) => {
                    files.insert(name.to_owned(), content);
                    "250 renamed".to_owned()
                }
                None => "550 from what?".to_owned(),
            },
            "DELE" if files.remove(name).is_some() => "250 gone".to_owned(),
            "NOOP" => "200 here".to_owned(),
            _ => "550 no".to_owned(),
        }
    }
}

fn remote(disk: &Arc<Disk>) -> (FtpsRemote<Pipe>, Heard) {
    let disk = disk.clone();
    remote_to(Server::new(move |peer: Peer| disk.clone().serve(peer)))
}

async fn publish(remote: &FtpsRemote<Pipe>) -> Result<(), RemoteError> {
    connected(remote).await.rename(&path(TEMP), &path(LIVE)).await
}

#[tokio::test(start_paused = true)]
async fn the_old_file_is_moved_aside_and_goes_last() {
    for code in [550, 553, 450, 451, 501, 521] {
        let disk = Arc::new(Disk { code, ..Disk::with(&[(LIVE, "old"), (TEMP, "new")]) });
        let (remote, heard) = remote(&disk);
        publish(&remote).await.expect("replaced");
        assert_eq!(disk.files(), BTreeMap::from([(LIVE.to_owned(), "new")]));
        let temp = format!("/{TEMP}");
        let aside = format!("/{ASIDE}");
        let (temp, aside) = (temp.as_str(), aside.as_str());
        let steps = [
            ("RNFR", temp),
            ("RNTO", "/live"),
            ("SIZE", "/live"),
            ("SIZE", temp),
            ("DELE", aside),
            ("RNFR", "/live"),
            ("RNTO", aside),
            ("RNFR", temp),
            ("RNTO", "/live"),
            ("DELE", aside),
        ];
        assert_eq!(heard.lines()[8..], steps.map(|(verb, path)| format!("{verb} {path}")), "{code}");
        assert_eq!(remote.profile().rename_replaces, Some(false));
    }
}

/// Every row of the table in `ftps::client::rename`: the server dies at each command in turn, before it takes effect or
/// after. What the engine does with a job in doubt follows, and then the same change once more.
#[tokio::test(start_paused = true)]
async fn a_death_at_every_step_is_mended() {
    let mut seen_aside = 0;
    for after in [false, true] {
        for step in 1.. {
            let disk = Arc::new(Disk { after, ..Disk::with(&[(LIVE, "old"), (TEMP, "new")]) });
            let (remote, _) = remote(&disk);
            disk.left.store(step, Ordering::SeqCst);
            let result = publish(&remote).await;
            let case = format!("died at command {step}, after it: {after}");
            let left = disk.files();
            assert!(left.values().any(|content| *content == "old") || left.get(LIVE) == Some(&"new"), "{case}: {left:?}");
            let Err(error) = result else {
                assert!(step > 10, "{case}");
                break;
            };
            assert!(!error.session_survives(), "{case}: it must be in doubt");
            if left.contains_key(ASIDE) {
                seen_aside += 1;
                assert_eq!(remote.profile().rename_replaces, Some(false), "{case}: it must be known that something is aside");
            }

            let mut session = connected(&remote).await;
            session.remove_file(&path(TEMP)).await.expect("swept");
            let found = session.stat(&path(LIVE)).await.expect("an answer");
            assert_eq!(found.and_then(|stat| stat.size), Some(3), "{case}");
            let mended = disk.files();
            assert!(mended.contains_key(LIVE) && mended.len() == 1, "{case}: {mended:?}");

            disk.files.lock().expect("unpoisoned").insert(TEMP.to_owned(), "newer");
            session.rename(&path(TEMP), &path(LIVE)).await.expect("replaced");
            assert_eq!(disk.files(), BTreeMap::from([(LIVE.to_owned(), "newer")]), "{case}");
        }
    }
    assert!(seen_aside >= 6, "the deaths were not where they hurt: {seen_aside}");
}

/// Nobody asks for the file after the death, and the next thing is another rename to it, or its removal.
#[tokio::test(start_paused = true)]
async fn a_rename_or_a_removal_clears_what_was_left_aside() {
    for left in [&[(ASIDE, "old")][..], &[(ASIDE, "old"), (LIVE, "new")]] {
        for removal in [true, false] {
            let disk = Arc::new(Disk::with(&[(LIVE, "old"), (TEMP, "new")]));
            let (remote, _) = remote(&disk);
            publish(&remote).await.expect("replaced");
            *disk.files.lock().expect("unpoisoned") = Disk::with(left).files();
            let mut session = connected(&remote).await;
            if removal {
                session.remove_file(&path(LIVE)).await.expect("removed");
                assert_eq!(disk.files(), BTreeMap::new());
            } else {
                disk.files.lock().expect("unpoisoned").insert(TEMP.to_owned(), "newer");
                session.rename(&path(TEMP), &path(LIVE)).await.expect("renamed");
                assert_eq!(disk.files(), BTreeMap::from([(LIVE.to_owned(), "newer")]));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_put_back_leaves_doubt_until_it_can() {
    let disk = Arc::new(Disk::with(&[(LIVE, "old"), (TEMP, "new")]));
    disk.bar(Some(LIVE));
    let (remote, _) = remote(&disk);
    let error = publish(&remote).await.expect_err("refused");
    assert_eq!((error.class, error.session_survives()), (Class::Transient, false), "{error}");
    assert!(error.to_string().contains("cannot be moved back"), "{error}");
    let mut session = connected(&remote).await;
    let error = session.stat(&path(LIVE)).await.expect_err("not yet");
    assert!(error.to_string().contains("cannot be moved back"), "{error}");
    disk.bar(None);
    let found = connected(&remote).await.stat(&path(LIVE)).await.expect("an answer");
    assert_eq!(found.and_then(|stat| stat.size), Some(3));
    assert_eq!(disk.files().get(LIVE), Some(&"old"));
}

#[tokio::test(start_paused = true)]
async fn other_refusals_move_nothing() {
    let (new, old) = ((TEMP, "new"), (LIVE, "old"));
    for (disk, moves) in [
        // Nothing is in the way.
        (Disk::with(&[new]), false),
        // The new file has gone, and the server finds out late.
        (Disk { careless: true, ..Disk::with(&[old]) }, false),
        // No space.
        (Disk { code: 452, ..Disk::with(&[new, old]) }, false),
        (Disk { code: 552, ..Disk::with(&[new, old]) }, false),
        // No name beside it either.
        (Disk::with(&[new, old]), true),
    ] {
        let disk = Arc::new(disk);
        disk.bar(Some(if moves { ASIDE } else { LIVE }));
        let before = disk.files();
        let (remote, heard) = remote(&disk);
        let mut session = connected(&remote).await;
        let error = session.rename(&path(TEMP), &path(LIVE)).await.expect_err("refused");
        assert!(error.session_survives() && error.to_string().starts_with("RNTO was refused"), "{error}");
        session.ping().await.expect("still in step");
        assert_eq!(disk.files(), before);
        let tried = heard.lines().iter().any(|line| line.contains(ASIDE));
        assert_eq!((tried, remote.profile().rename_replaces), (moves, None));
    }
}

/// A 421 in the middle is the end of the session, never a file in the way.
#[tokio::test(start_paused = true)]
async fn a_server_that_leaves_is_not_asked_further() {
    let disk = Arc::new(Disk { code: 421, ..Disk::with(&[(LIVE, "old"), (TEMP, "new")]) });
    let (remote, heard) = remote(&disk);
    let error = publish(&remote).await.expect_err("closed");
    assert_eq!((error.class, error.session_survives()), (Class::Transient, false), "{error}");
    assert_eq!(heard.lines().len(), 10);
}
