//! The FTPS engine against the real servers, through [`Remote`]: that puts arrive byte for byte, that sessions are resumed,
//! that no byte is lost at the end of a transfer. What the mirror makes of it is not here.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use libtest_mimic::Trial;
use tokio::sync::mpsc;
use towline::{
    ftps::{DataMode, Mode, Profile, Timeouts, Tls13, TlsSettings},
    model::RelPath,
    remote::{
        Remote, Session, Source,
        ftps::{FtpsRemote, FtpsSettings},
    },
};

use crate::{
    servers::{self, Kind, Server, Tls},
    support::scaled,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in [Kind::Vsftpd, Kind::ProFtpd, Kind::PureFtpd] {
        for tls in Tls::ALL {
            let name = |what: &str| format!("ftps::{}::{}::{what}", kind.name(), tls.name());
            trials.push(servers::trial(kind, name("500_consecutive_puts"), move || consecutive(kind, tls)));
            trials.push(servers::trial(kind, name("no_truncation"), move || large(kind, tls)));
        }
        trials.push(servers::trial(kind, format!("ftps::{}::every_verb", kind.name()), move || verbs(kind)));
    }
    for tls in Tls::ALL {
        let name = format!("ftps::proftpd::{}::six_connections_at_once", tls.name());
        trials.push(servers::trial(Kind::ProFtpd, name, move || six_at_once(tls)));
    }
    trials
}

pub(crate) fn remote(server: &Server, profile: Profile) -> FtpsRemote {
    let settings = FtpsSettings {
        host: server.host.to_owned(),
        port: server.port,
        mode: Mode::default(),
        data: DataMode::default(),
        proxy: None,
        user: server.user.to_owned(),
        password: server.password.to_owned().into(),
        base: server.remote("mirror").into_bytes(),
        tls: TlsSettings { ca: Some(server.ca.clone()), ..TlsSettings::default() },
        timeouts: Timeouts::default(),
        throttle: None,
    };
    FtpsRemote::new(settings, profile, Arc::new(|_: &Profile| {})).unwrap()
}

/// A body from memory, in chunks.
struct Body(Bytes);

impl Source for Body {
    fn open(&mut self) -> mpsc::Receiver<Bytes> {
        let (tx, rx) = mpsc::channel(4);
        let body = self.0.clone();
        tokio::spawn(async move {
            for at in (0..body.len()).step_by(128 * 1024) {
                if tx.send(body.slice(at..body.len().min(at + 128 * 1024))).await.is_err() {
                    return;
                }
            }
        });
        rx
    }
}

/// Bytes that differ with `seed` and do not repeat.
fn bytes(seed: u64, len: usize) -> Bytes {
    let mut body = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut body);
    body.into()
}

fn path(name: &str) -> RelPath {
    RelPath::new(name).unwrap()
}

/// What the mirror does for each file.
async fn put(session: &mut impl Session, name: &str, body: &Bytes) {
    let temp = path(&format!(".{name}.part"));
    let sent = session.store(&temp, &mut Body(body.clone())).await.unwrap();
    assert_eq!(sent, body.len() as u64);
    assert_eq!(session.size(&temp).await.unwrap(), Some(sent), "{name}");
    assert!(session.set_modified(&temp, 1_700_000_000).await.unwrap(), "the time of {name}");
    session.rename(&temp, &path(name)).await.unwrap();
}

fn assert_holds(server: &Server, name: &str, body: &Bytes) {
    let file = server.root.join("mirror").join(name);
    assert!(std::fs::read(&file).unwrap() == *body, "{} differs", file.display());
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(modified, std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
}

async fn consecutive(kind: Kind, tls: Tls) {
    let server = Server::start(kind, tls);
    let remote = remote(&server, Profile::default());
    let mut session = remote.connect().await.unwrap();
    for i in 0..500 {
        put(&mut session, &format!("{i}"), &bytes(i, 4096)).await;
    }
    session.close().await;
    for i in 0..500 {
        assert_holds(&server, &format!("{i}"), &bytes(i, 4096));
    }
    println!("{} {}: {}", kind.name(), tls.name(), remote.stats().summary());
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    let (stats, profile) = (remote.stats(), remote.profile());
    assert!(count(&stats.reconnects) <= 1, "{}", stats.summary());
    match (kind, tls) {
        // Resumes as a rule; a full data handshake is refused and leaves two tickets for the next.
        (Kind::ProFtpd, Tls::V13) => assert_eq!(count(&stats.data_full), count(&stats.data_refused)),
        // Gives no tickets under TLS 1.3, and does not ask for any.
        (Kind::PureFtpd, Tls::V13 | Tls::Both) => assert_eq!(count(&stats.data_refused), 0),
        _ => assert_eq!((count(&stats.data_full), count(&stats.data_refused)), (0, 0), "every data connection resumes"),
    }
    if (kind, tls) == (Kind::ProFtpd, Tls::Both) {
        assert_eq!(profile.tls13, Tls13::UploadsDoNotResume);
        let again = self::remote(&server, profile);
        let mut session = again.connect().await.unwrap();
        put(&mut session, "again", &bytes(0, 10)).await;
        assert_eq!(count(&again.stats().reconnects), 0, "what was learnt is not learnt twice");
    }
}

async fn large(kind: Kind, tls: Tls) {
    let server = Server::start(kind, tls);
    let remote = remote(&server, Profile::default());
    let mut session = remote.connect().await.unwrap();
    for (count, size) in [(scaled(2, 20), 64 << 20), (scaled(30, 200), 300 << 10)] {
        for i in 0..count {
            let body = bytes(i, size);
            put(&mut session, "large", &body).await;
            assert_holds(&server, "large", &body);
        }
    }
}

async fn six_at_once(tls: Tls) {
    let server = Server::start(Kind::ProFtpd, tls);
    let remote = Arc::new(remote(&server, Profile::default()));
    // What there is to learn of this server is learnt by one session first.
    put(&mut remote.connect().await.unwrap(), "first", &bytes(0, 10)).await;
    put(&mut remote.connect().await.unwrap(), "second", &bytes(0, 10)).await;
    let refused = remote.stats().data_refused.load(std::sync::atomic::Ordering::Relaxed);
    let workers: Vec<_> = (0..6_u64)
        .map(|worker| {
            let remote = Arc::clone(&remote);
            tokio::spawn(async move {
                let mut session = remote.connect().await.unwrap();
                for i in 0..40 {
                    put(&mut session, &format!("{worker}-{i}"), &bytes(worker * 1000 + i, 4096)).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    for worker in 0..6 {
        for i in 0..40 {
            assert_holds(&server, &format!("{worker}-{i}"), &bytes(worker * 1000 + i, 4096));
        }
    }
    println!("proftpd {}, six at once: {}", tls.name(), remote.stats().summary());
    if tls != Tls::V13 {
        let refusals = remote.stats().data_refused.load(std::sync::atomic::Ordering::Relaxed) - refused;
        assert_eq!(refusals, 0, "no data connection is refused");
    }
}

async fn verbs(kind: Kind) {
    let server = Server::start(kind, Tls::Both);
    let remote = remote(&server, Profile::default());
    let mut session = remote.connect().await.unwrap();
    let body = bytes(1, 10);
    session.make_dir(&path("a dir")).await.unwrap();
    session.make_dir(&path("a dir")).await.unwrap();
    session.store(&path("a dir/-x [1]*"), &mut Body(body.clone())).await.unwrap();
    session.rename(&path("a dir/-x [1]*"), &path("a dir/\u{fc} y")).await.unwrap();
    assert!(std::fs::read(server.root.join("mirror/a dir/\u{fc} y")).unwrap() == body);
    assert_eq!(session.stat(&path("a dir")).await.unwrap().unwrap().kind, towline::model::Kind::Dir);
    assert_eq!(session.stat(&path("a dir/\u{fc} y")).await.unwrap().unwrap().size, Some(10));
    assert_eq!(session.stat(&path("nothing")).await.unwrap(), None);
    assert_eq!(session.size(&path("nothing")).await.unwrap(), None);
    let full = session.remove_dir(&path("a dir")).await.unwrap_err();
    assert_eq!(full.class, towline::remote::Class::NotEmpty, "{full}");
    let line_break = session.remove_file(&path("a\nDELE victim")).await.unwrap_err();
    assert_eq!(line_break.class, towline::remote::Class::Name);
    session.remove_file(&path("a dir/\u{fc} y")).await.unwrap();
    session.remove_file(&path("a dir/\u{fc} y")).await.unwrap();
    session.remove_dir(&path("a dir")).await.unwrap();
    session.remove_dir(&path("a dir")).await.unwrap();
    session.ping().await.unwrap();
    // An upload into a directory that is not there is refused; the session goes on.
    let refused = session.store(&path("no dir/x"), &mut Body(body.clone())).await.unwrap_err();
    assert!(refused.session_survives(), "{refused}");
    put(&mut session, "after", &body).await;
    assert_holds(&server, "after", &body);
    session.close().await;
}
