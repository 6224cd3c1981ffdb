//! Large files that were changed inside: on the server they are copied, and in the copy what changed is written over. And what becomes of
//! each way to spare bytes when a connection is cut in the middle, or the daemon is killed.

use std::{fs, os::unix::fs::FileExt};

use libtest_mimic::Trial;

use crate::{
    chaos::{
        leads_through,
        proxy::{Fault, Harm, Lane, Proxy, Way},
    },
    rig::{PATIENCE, Rig},
    servers::{self, Kind, Options, Server},
    support::wait_until,
};

const MIB: usize = 1 << 20;
/// What is changed of a file.
const EDIT: usize = 64 * 1024;

/// The file's size in MiB.
fn mebibytes() -> usize {
    if std::env::var_os("TOWLINE_FULL").is_some() { 500 } else { 12 }
}

pub(crate) fn trials() -> Vec<Trial> {
    let kind = Kind::ProFtpd;
    let mut trials = vec![
        servers::trial(kind, "shortcuts::proftpd::what_was_changed_inside", move || changed_inside(kind)),
        servers::trial(Kind::Vsftpd, "shortcuts::vsftpd::are_sent", || changed_inside(Kind::Vsftpd)),
        servers::trial(kind, "shortcuts::proftpd::kill_9", || async { killed() }),
    ];
    for (name, what) in [
        ("a_copy", What::Copied),
        ("what_has_grown", What::Grown),
        ("what_was_changed_inside", What::Changed),
        ("a_move", What::Moved),
        ("what_comes_back", What::Back),
    ] {
        for (how, lane) in [("data", Lane::Data), ("control", Lane::Control)] {
            // The others have no data connection.
            if matches!(what, What::Grown | What::Changed) || lane == Lane::Control {
                let name = format!("shortcuts::proftpd::{name}_whose_{how}_connection_is_cut");
                trials.push(servers::trial(kind, name, move || cut(what, lane)));
            }
        }
    }
    for (name, what) in [("a_move", What::Moved), ("what_comes_back", What::Back)] {
        let name = format!("shortcuts::proftpd::{name}_and_kill_9");
        trials.push(servers::trial(kind, name, move || async move { killed_at(what) }));
    }
    trials
}

fn server(kind: Kind) -> Server {
    let extra = if kind == Kind::ProFtpd { "LoadModule mod_copy.c\nLoadModule mod_digest.c\n".to_owned() } else { String::new() };
    Server::start(kind, Options { extra, data_ports: Some(20), ..Options::default() })
}

/// Bytes that look like nothing else.
fn body(seed: u8, size: usize) -> Vec<u8> {
    let mut body = vec![0; size];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut body);
    body
}

/// Changes a part of `image` in place, as a virtual machine does, and waits until it is there.
fn edit(rig: &Rig, at: usize, seed: u8) {
    let file = fs::File::options().write(true).open(rig.source.join("image")).unwrap();
    file.write_all_at(&body(seed, EDIT), at as u64).unwrap();
}

async fn changed_inside(kind: Kind) {
    let size = mebibytes() * MIB;
    let server = server(kind);
    let proxy = Proxy::start(server.port, server.passive()).await;
    let rig = Rig::with(server);
    leads_through(&rig);
    rig.write("image", body(1, size));
    let _daemon = rig.run();
    rig.await_sync();
    // What it costs to find out more about the server is no part of it.
    edit(&rig, 0, 2);
    rig.await_sync();
    for (n, at) in [(3, size / 2), (4, size - EDIT), (5, size / 3 + 7)] {
        proxy.arm(Fault { harm: Harm::Cut, lane: Lane::Data, way: Way::Up, at: u64::MAX });
        edit(&rig, at, n);
        rig.await_sync();
        assert!(rig.is_equal());
        if kind == Kind::ProFtpd {
            assert!(proxy.passed() < MIB as u64, "{} bytes for one edit", proxy.passed());
        } else {
            assert!(proxy.passed() > size as u64);
        }
    }
    if kind == Kind::ProFtpd {
        let told = format!("patched 1 of {} chunks", 4 * mebibytes());
        assert!(rig.log().contains(&told), "{}", rig.log());
        let log = rig.towline(&["log"]);
        assert!(String::from_utf8_lossy(&log.stdout).contains("patched   image (256.00 KiB of"), "{log:?}");
    }
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

fn killed() {
    let rig = Rig::with(server(Kind::ProFtpd));
    rig.write("image", body(1, 12 * MIB));
    assert!(rig.towline(&["sync"]).status.success());
    for n in 2..6 {
        let daemon = rig.run();
        rig.await_sync();
        let (copied, stored) = (rig.commands("CPTO"), rig.commands("STOR"));
        edit(&rig, usize::from(n) * MIB, n);
        let reached = wait_until(PATIENCE, || rig.commands("CPTO") > copied && (n % 2 == 0 || rig.commands("STOR") > stored));
        assert!(reached, "{}", rig.log());
        // It is killed.
        drop(daemon);
    }
    let _daemon = rig.run();
    rig.await_sync();
    assert!(rig.is_equal());
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Copied,
    Grown,
    Changed,
    /// A directory.
    Moved,
    /// From the trash.
    Back,
}

/// Files of the directory that moves, or goes and comes back.
const ALBUM: usize = 30;

fn fill_album(rig: &Rig, name: &str) {
    for n in 0..ALBUM {
        rig.write(&format!("{name}/{n}"), body(u8::try_from(n).unwrap(), 5_000));
    }
}

/// What the daemon is to do next, of [`What::Moved`] and [`What::Back`].
fn move_album(rig: &Rig, what: What, n: u8) {
    if what == What::Moved {
        fs::rename(rig.source.join(format!("album {}", n - 1)), rig.source.join(format!("album {n}"))).unwrap();
    } else {
        fill_album(rig, "album");
    }
}

/// The daemon is killed at one moment and another.
fn killed_at(what: What) {
    let rig = rig(server(Kind::ProFtpd), what);
    assert!(rig.towline(&["sync"]).status.success());
    for n in 2..8 {
        take_album(&rig, what);
        let renamed = rig.commands("RNTO");
        move_album(&rig, what, n);
        let daemon = rig.run();
        let reached = wait_until(PATIENCE, || rig.commands("RNTO") > renamed || rig.is_equal());
        assert!(reached, "{}", rig.log());
        // It is killed.
        drop(daemon);
    }
    let _daemon = rig.run();
    rig.await_sync();
    assert!(rig.is_equal());
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

fn rig(server: Server, what: What) -> Rig {
    let rig = Rig::with(server);
    rig.configure("delete_budget = { files = 10000, percent = 100 }\n");
    // A source that is empty holds removals back.
    rig.write("stays", "here");
    match what {
        What::Moved => fill_album(&rig, "album 1"),
        What::Back => fill_album(&rig, "album"),
        _ => {}
    }
    rig
}

/// It goes to the trash.
fn take_album(rig: &Rig, what: What) {
    if what == What::Back {
        fs::remove_dir_all(rig.source.join("album")).unwrap();
        let synced = rig.towline(&["sync"]);
        assert!(synced.status.success() && rig.is_equal(), "{}", String::from_utf8_lossy(&synced.stderr));
    }
}

/// A connection is cut at one byte and another, while somebody looks at what is live.
async fn cut(what: What, lane: Lane) {
    let server = server(Kind::ProFtpd);
    let proxy = Proxy::start(server.port, server.passive()).await;
    let rig = rig(server, what);
    leads_through(&rig);
    let mut image = body(1, 8 * MIB);
    rig.write("image", &image);
    let _daemon = rig.run();
    rig.await_sync();
    let live = rig.mirrored().join("image");
    let mut fired = 0;
    for (n, at) in [(2, 1), (3, 100), (4, 300), (5, 900), (6, 20_000), (7, 150_000)] {
        let former = image.clone();
        if what == What::Back {
            fs::remove_dir_all(rig.source.join("album")).unwrap();
            rig.await_sync();
        }
        proxy.arm(Fault { harm: Harm::Cut, lane, way: Way::Up, at });
        match what {
            What::Copied => {
                let aside = rig.dir.path().join("aside");
                fs::copy(rig.source.join("image"), &aside).unwrap();
                fs::rename(aside, rig.source.join(format!("copy {n}"))).unwrap();
            }
            What::Grown => image.extend(body(n, 200_000)),
            What::Changed => image[usize::from(n) * MIB..][..EDIT].copy_from_slice(&body(n, EDIT)),
            What::Moved | What::Back => move_album(&rig, what, n),
        }
        if matches!(what, What::Grown | What::Changed) {
            let aside = rig.dir.path().join("aside");
            fs::write(&aside, &image).unwrap();
            fs::rename(aside, rig.source.join("image")).unwrap();
        }
        let is_there = || fs::read(&live).is_ok_and(|seen| seen == image);
        let came = wait_until(PATIENCE, || {
            let seen = fs::read(&live).unwrap();
            assert!(seen == former || seen == image, "what is live is neither the old file nor the new one");
            is_there()
        });
        assert!(came, "{}", rig.log());
        rig.await_sync();
        assert!(rig.is_equal());
        fired += usize::from(proxy.has_fired());
    }
    // A move is over before most of them.
    assert!(fired > 1, "only {fired} cuts were met");
    assert_eq!(rig.orphans(), Vec::<String>::new());
}
