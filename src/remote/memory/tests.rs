use tokio::sync::mpsc;

use super::*;

struct Body(&'static [u8]);

impl Source for Body {
    fn open(&mut self) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(4);
        let body = self.0;
        tokio::spawn(async move {
            for chunk in body.chunks(3) {
                sender.send(Bytes::from_static(chunk)).await.expect("somebody reads");
            }
        });
        receiver
    }
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

fn strict() -> MemoryRemote {
    MemoryRemote::new(Options { strict: true, ..Options::default() })
}

fn class<T>(result: Result<T, RemoteError>) -> Option<Class> {
    result.err().map(|error| error.class)
}

#[tokio::test]
async fn a_body_is_stored_and_told_of() {
    let remote = strict();
    let mut session = remote.connect().await.expect("connected");
    let temp = path(".towline-1-2.part");
    assert_eq!(session.store(&temp, &mut Body(b"0123456789")).await.expect("stored"), 10);
    assert_eq!((remote.temporaries(), remote.live().len()), (vec![temp.clone()], 0));
    assert_eq!(session.size(&temp).await.expect("told"), Some(10));
    assert!(session.set_modified(&temp, 7).await.expect("set"));
    session.rename(&temp, &path("a")).await.expect("renamed");
    let stat = session.stat(&path("a")).await.expect("told");
    assert_eq!(stat, Some(Stat { kind: Kind::File, size: Some(10) }));
    assert_eq!(session.stat(&temp).await.expect("told"), None);
    assert_eq!(remote.live()[&path("a")], Node::File { body: Bytes::from_static(b"0123456789"), modified: Some(7) });
    session.ping().await.expect("alive");
    assert_eq!((remote.sessions(), remote.stored(), remote.log().len()), (1, 10, 8));
    session.close().await;
    assert_eq!((remote.sessions(), remote.violations()), (0, vec![]));
}

#[tokio::test]
async fn what_is_so_already_is_a_success_unless_it_is_strict() {
    let remote = MemoryRemote::new(Options::default());
    let mut session = remote.connect().await.expect("connected");
    session.make_dir(&path("d")).await.expect("made");
    session.make_dir(&path("d")).await.expect("there");
    session.remove_file(&path("x")).await.expect("gone");
    session.remove_dir(&path("x")).await.expect("gone");
    assert_eq!(class(session.make_dir(&path("x/y")).await), Some(Class::Refused));
    session.make_dir(&path("d/e")).await.expect("made");
    assert_eq!(class(session.remove_dir(&path("d")).await), Some(Class::NotEmpty));
    assert_eq!(class(session.remove_file(&path("d")).await), Some(Class::Refused));
    session.remove_dir(&path("d/e")).await.expect("the session has survived");
    assert_eq!((remote.deletes(), remote.violations()), (1, vec![]));

    let remote = strict();
    let mut session = remote.connect().await.expect("connected");
    session.make_dir(&path("d")).await.expect("made");
    assert_eq!(class(session.make_dir(&path("d")).await), Some(Class::Refused));
    assert_eq!(class(session.remove_file(&path("x")).await), Some(Class::Refused));
    assert_eq!(remote.violations(), ["MKD d: it exists already", "DELE x: no such file or directory"]);
}

#[tokio::test]
async fn permissions_and_links_are_kept_where_the_server_can() {
    let remote = strict();
    let mut session = remote.connect().await.expect("connected");
    session.store(&path("t"), &mut Body(b"x")).await.expect("stored");
    assert!(session.set_mode(&path("t"), Mode::of(0o640)).await.expect("set"));
    session.rename(&path("t"), &path("f")).await.expect("renamed");
    assert_eq!(remote.tree().mode(&path("f")), Some(Mode::of(0o640)));
    assert_eq!(class(session.set_mode(&path("no"), Mode::of(0)).await), Some(Class::Refused));
    session.make_link(&path("l"), b"f").await.expect("made");
    assert_eq!(session.stat(&path("l")).await.expect("told"), Some(Stat { kind: Kind::Link, size: None }));
    assert_eq!(class(session.make_link(&path("l"), b"g").await), Some(Class::Refused));
    session.rename(&path("l"), &path("f")).await.expect("replaced");
    session.remove_file(&path("f")).await.expect("removed");
    assert_eq!(remote.live().len(), 0);

    let manners = Manners { no_modes: true, no_links: true, ..Manners::default() };
    let remote = MemoryRemote::new(Options { manners, ..Options::default() });
    let mut session = remote.connect().await.expect("connected");
    session.make_dir(&path("d")).await.expect("made");
    assert!(!session.set_mode(&path("d"), Mode::of(0o700)).await.expect("answered"));
    assert_eq!(class(session.make_link(&path("l"), b"d").await), Some(Class::Refused));
    assert_eq!((remote.abilities().chmod, remote.abilities().symlink), (Some(false), Some(false)));
}

#[tokio::test]
async fn a_server_that_mangles_names_does_so_without_a_word() {
    let manners = Manners { mangles: true, ..Manners::default() };
    let remote = MemoryRemote::new(Options { manners, ..Options::default() });
    let mut session = remote.connect().await.expect("connected");
    session.make_dir(&path(" d")).await.expect("made");
    let odd = RelPath::new(b" d/a\tb c\xff").expect("a valid path");
    session.store(&odd, &mut Body(b"x")).await.expect("stored");
    assert_eq!(remote.live().keys().map(ToString::to_string).collect::<Vec<_>>(), ["_d", "_d/a_b c_"]);
    assert_eq!(session.size(&odd).await.expect("told"), Some(1));
}

#[tokio::test]
async fn faults_come_as_scripted() {
    let remote = strict();
    remote.set_faults(Faults::script(|number, _| match number {
        0 => Fault::Fail(Class::Busy),
        2 => Fault::LostReply,
        4 => Fault::Cut,
        6 => Fault::Fail(Class::Full),
        8 => Fault::Cut,
        _ => Fault::None,
    }));
    assert_eq!(class(remote.connect().await), Some(Class::Busy));

    let mut session = remote.connect().await.expect("connected");
    assert_eq!(class(session.make_dir(&path("d")).await), Some(Class::Transient));
    assert!(remote.tree().get(&path("d")).is_some(), "it happened, only the reply was lost");
    assert_eq!(class(session.ping().await), Some(Class::Transient), "the session is dead");
    assert_eq!(remote.violations(), ["NOOP: the session is dead"]);

    let mut session = remote.connect().await.expect("connected");
    assert_eq!(class(session.store(&path("d/f"), &mut Body(b"0123456789")).await), Some(Class::Transient));
    assert_eq!(remote.tree().stat(&path("d/f")).and_then(|stat| stat.size), Some(5), "half of it is there");

    let mut session = remote.connect().await.expect("connected");
    assert_eq!(class(session.store(&path("d/g"), &mut Body(b"0")).await), Some(Class::Full));
    assert_eq!(session.stat(&path("d/g")).await.expect("the session has survived"), None);
    assert_eq!(class(session.remove_file(&path("d/f")).await), Some(Class::Transient));
    assert!(remote.tree().get(&path("d/f")).is_some(), "it did not happen");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults() {
    let mut logs = Vec::new();
    for _ in 0..2 {
        let remote = MemoryRemote::new(Options::default());
        remote.set_faults(Faults::seeded(42, 300, 150));
        let mut session = None;
        for n in 0..200 {
            let Some(mut open) = session.take() else {
                session = remote.connect().await.ok();
                continue;
            };
            let result = open.make_dir(&path(&format!("d{n}"))).await;
            session = result.err().is_none_or(|error| error.session_survives()).then_some(open);
        }
        logs.push(remote.log());
    }
    assert_eq!(logs[0], logs[1]);
    let faulty = |calls: &[Call]| calls.iter().filter(|call| call.fault != Fault::None).count();
    assert!(faulty(&logs[0][..150]) > 20 && faulty(&logs[0][150..]) == 0);
}

#[tokio::test]
async fn of_many_changes_each_has_its_own_end_and_a_lost_reply_is_that_of_its_flight() {
    let paths: Vec<RelPath> = (0..20).map(|n| path(&format!("d{n:02}"))).collect();
    let changes: Vec<Change<'_>> = paths.iter().map(Change::MakeDir).collect();
    for (fault, made) in [(Fault::Fail(Class::Refused), 19), (Fault::LostReply, 16), (Fault::Cut, 3)] {
        let remote = strict();
        let mut session = remote.connect().await.expect("connected");
        remote.set_faults(Faults::at(3, fault));
        let results = session.change_all(&changes).await;
        let failed: Vec<usize> = (0..results.len()).filter(|at| results[*at].is_err()).collect();
        assert_eq!((failed, remote.live().len()), (vec![3], made), "{fault:?}");
        assert_eq!(results.len(), if made == 19 { 20 } else { 4 }, "{fault:?}");
    }
}
