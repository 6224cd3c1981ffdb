//! Listings of the real servers: which way shows which names, and what is said of a directory that is too big for one. What the
//! engine makes of the lines is tested beside it.

use std::{fs, os::unix::fs::MetadataExt, sync::Arc};

use libtest_mimic::Trial;
use towline::ftps::{
    Client, Credentials, Endpoint, Profile, TcpDial, Timeouts, TlsSettings,
    proto::{
        ListedKind, Listing, Pathname,
        listing::{Completeness, Doubt, Keep, Lookup, Way},
    },
};

use crate::{
    rig::Rig,
    servers::{self, Kind, Options, Server, Tls},
    support::scaled,
};

/// More than Pure-FTPd lists.
const MANY: usize = 12_500;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in Kind::ALL {
        let name = |what: &str| format!("listing::{}::{what}", kind.name());
        trials.push(servers::trial(kind, name("every_way_shows_every_name"), move || every_name(kind)));
        trials.push(servers::trial(kind, name("12_500_files"), move || many(kind)));
    }
    trials.push(servers::trial(Kind::PureFtpd, "listing::pureftpd::a_second_sync_of_a_capped_directory_does_nothing", twice));
    trials
}

async fn client(server: &Server) -> Client<TcpDial> {
    let timeouts = Timeouts::default();
    let dial = TcpDial::new(server.host.to_owned(), server.port, timeouts.connect);
    let tls = TlsSettings { ca: Some(server.ca.clone()), ..TlsSettings::default() };
    let credentials = Credentials::new(server.user, server.password).unwrap();
    let endpoint =
        Endpoint::new(dial, server.host, credentials, &tls, timeouts, Profile::default(), Arc::new(|_: &Profile| {})).unwrap();
    Client::connect(Arc::new(endpoint)).await.unwrap()
}

fn names(listing: &Listing) -> Vec<String> {
    let mut names: Vec<_> = listing.entries.iter().map(|entry| entry.name.escape_ascii().to_string()).collect();
    names.sort();
    names
}

fn ways(kind: Kind) -> &'static [Way] {
    match kind {
        Kind::Vsftpd => &[Way::ListAll, Way::StatAll, Way::List],
        // It takes `-a` with STAT for a name, and its LIST hides nothing.
        Kind::Pyftpdlib => &[Way::Facts, Way::ListAll],
        _ => &Way::ALL,
    }
}

/// Whether the directory itself (`.`) is in the listing, or nothing would be without it. With neither, no listing of pyftpdlib's proves that
/// it is about this directory, and none without a name that begins with a dot that it shows those.
fn shows_itself(kind: Kind, way: Way) -> bool {
    kind != Kind::Pyftpdlib || way == Way::Facts
}

async fn every_name(kind: Kind) {
    const NAMES: [&str; 12] = [
        " leading",
        "  two in front",
        "trailing ",
        "inner  spaces",
        ".hidden",
        "-dash",
        "Jan  1 2020 x",
        "a -> b",
        "semi;colon=x",
        "[x]*",
        "quote\"s",
        "gr\u{fc}n",
    ];
    let server = Server::start(kind, Tls::Both);
    let dir = server.root.join("a dir");
    fs::create_dir(&dir).unwrap();
    for (size, name) in NAMES.iter().enumerate() {
        fs::write(dir.join(name), vec![b'x'; size]).unwrap();
    }
    fs::create_dir(dir.join("sub")).unwrap();
    fs::create_dir(server.root.join("empty")).unwrap();
    server.give(&server.root);
    let mut expected: Vec<_> = NAMES.iter().map(|name| name.as_bytes().escape_ascii().to_string()).collect();
    expected.push("sub".to_owned());
    expected.sort();

    let mut client = client(&server).await;
    let at = |name: &str| Pathname::new(server.remote(name)).unwrap();
    for way in ways(kind) {
        let listing = client.list_by(*way, &at("a dir"), &Keep::All).await.unwrap();
        let empty = client.list_by(*way, &at("empty"), &Keep::All).await.unwrap();
        if *way == Way::List {
            let without: Vec<_> = expected.iter().filter(|name| !name.starts_with('.')).cloned().collect();
            assert_eq!(
                (names(&listing), listing.completeness),
                (without, Completeness::Unknown(Doubt::DotfilesHidden)),
                "{way:?}"
            );
            assert!(!empty.is_complete());
            continue;
        }
        assert_eq!((names(&listing), listing.completeness), (expected.clone(), Completeness::Complete), "{way:?}");
        for (size, name) in NAMES.iter().enumerate() {
            match listing.lookup(name.as_bytes()) {
                Lookup::There(entry) => {
                    assert_eq!((entry.kind, entry.size), (ListedKind::File, Some(size as u64)), "{way:?}: {name}");
                }
                other => panic!("{way:?}: {name}: {other:?}"),
            }
        }
        assert_eq!(listing.lookup(b"missing"), Lookup::Absent);
        let doubt = if shows_itself(kind, *way) { Completeness::Complete } else { Completeness::Unknown(Doubt::EmptyUnproven) };
        assert_eq!((empty.seen, empty.completeness), (0, doubt), "{way:?}");
        client.list_by(*way, &at("missing"), &Keep::All).await.expect_err("a missing directory is not an empty one");
        client.noop().await.unwrap();
    }
    assert!(client.list(&at("a dir")).await.unwrap().is_complete());
    client.list(&at("missing")).await.expect_err("missing");
    assert_eq!(client.find(&at("missing")).await.unwrap(), None);
    assert_eq!(client.find(&at("missing/x")).await.unwrap(), None);
    assert_eq!(client.find(&at("a dir")).await.unwrap().map(|found| found.kind), Some(ListedKind::Dir));
    client.quit().await;
}

async fn many(kind: Kind) {
    let server = Server::start(kind, Tls::Both);
    let dir = server.root.join("many");
    fs::create_dir(&dir).unwrap();
    for n in 0..MANY {
        fs::write(dir.join(format!("file-{n:05}")), "").unwrap();
    }
    server.give(&dir);
    let path = Pathname::new(server.remote("many")).unwrap();
    let mut client = client(&server).await;
    for way in ways(kind) {
        let listing = client.list_by(*way, &path, &Keep::Named(b"file-00007".to_vec())).await.unwrap();
        let (seen, completeness) = (listing.seen, listing.completeness);
        match (kind, way) {
            (Kind::PureFtpd, Way::StatAll) => assert_eq!(completeness, Completeness::Unknown(Doubt::SuspiciousCount(seen))),
            (Kind::PureFtpd, _) => assert_eq!(completeness, Completeness::Capped, "{way:?}, {seen} names"),
            (_, Way::List) => assert_eq!((seen, completeness), (MANY, Completeness::Unknown(Doubt::DotfilesHidden))),
            _ if shows_itself(kind, *way) => assert_eq!((seen, completeness), (MANY, Completeness::Complete), "{way:?}"),
            _ => assert_eq!((seen, completeness), (MANY, Completeness::Unknown(Doubt::DotfilesHidden)), "{way:?}"),
        }
        if kind == Kind::PureFtpd {
            assert!((9_998..=10_000).contains(&seen), "{way:?}: {seen}");
        }
    }
    // What a cut listing leaves open, the question by name answers.
    let at = |name: &str| Pathname::new(server.remote(&format!("many/{name}"))).unwrap();
    assert!(client.find(&at("file-12499")).await.unwrap().is_some());
    assert_eq!(client.find(&at("file-12500")).await.unwrap(), None);
    client.quit().await;
}

async fn twice() {
    // Just as many more than the server lists; in full as it is installed.
    let many = usize::try_from(scaled(1_250, MANY as u64)).unwrap();
    let extra = if many < MANY { "-L 1000:8" } else { "" };
    let rig = Rig::with(Server::start(Kind::PureFtpd, Options { extra: extra.to_owned(), ..Options::default() }));
    for n in 0..many {
        rig.write(&format!("all/file-{n:05}"), "");
    }
    let path = Pathname::new(rig.server.remote("mirror/all")).unwrap();
    let synced = |n: u32| {
        let output = rig.towline(&["sync"]);
        assert!(output.status.success(), "sync {n}: {}", String::from_utf8_lossy(&output.stderr));
    };
    synced(1);
    assert!(rig.is_equal());
    let inodes = |rig: &Rig| -> Vec<_> {
        let dir = rig.mirrored().join("all");
        let mut inodes: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), entry.metadata().unwrap().ino())
            })
            .collect();
        inodes.sort();
        inodes
    };
    let (log, before) = (rig.server.log(), inodes(&rig));
    assert_eq!(before.len(), many);
    let mut client = client(&rig.server).await;
    assert_eq!(client.list(&path).await.unwrap().completeness, Completeness::Capped);
    client.quit().await;
    synced(2);
    // Pure-FTPd writes down transfers and removals only: there is none.
    assert_eq!(rig.server.log(), log);
    assert_eq!(inodes(&rig), before);
}
