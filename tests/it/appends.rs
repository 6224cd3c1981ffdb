//! Files that only grow, on servers that copy nothing: where that was allowed, what is new is added to the file there.

use std::{fs, io::Write};

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

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in [Kind::Vsftpd, Kind::PureFtpd] {
        let name = kind.name();
        trials.push(servers::trial(kind, format!("appends::{name}::what_is_new_is_added"), move || async move { added(kind) }));
        trials.push(servers::trial(kind, format!("appends::{name}::a_cut_connection"), move || cut(kind)));
        trials.push(servers::trial(kind, format!("appends::{name}::kill_9"), move || async move { killed(kind) }));
    }
    trials.push(servers::trial(Kind::ProFtpd, "appends::proftpd::is_not_needed_where_it_copies", || async { copied() }));
    trials
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("{n}: something happened\n")).collect()
}

/// A mirror that has a log, and another file.
fn rig(server: Server) -> Rig {
    let rig = Rig::with(server);
    rig.configure("append = [\"*.log\"]\n");
    rig.write("logs/web.log", lines(0, 1000));
    rig.write("page.html", lines(0, 1000));
    rig
}

fn append(rig: &Rig, name: &str, more: &str) {
    fs::File::options().append(true).open(rig.source.join(name)).unwrap().write_all(more.as_bytes()).unwrap();
}

fn added(kind: Kind) {
    let rig = rig(Server::start(kind, Options::default()));
    let _daemon = rig.run();
    rig.await_sync();
    for n in 0..3 {
        append(&rig, "logs/web.log", &lines(1000 + n * 10, 1010 + n * 10));
        rig.await_sync();
        assert!(rig.is_equal());
    }
    assert_eq!(rig.log().matches("appended mirror=site path=logs/web.log").count(), 3, "{}", rig.log());
    assert_eq!(rig.log().matches("put mirror=site path=logs/web.log").count(), 1, "{}", rig.log());
    // What was not named is sent.
    append(&rig, "page.html", "more\n");
    rig.await_sync();
    assert!(rig.is_equal() && !rig.log().contains("appended mirror=site path=page.html"), "{}", rig.log());
    // Nor is what was changed in front, or rotated away.
    rig.write("logs/web.log", lines(1, 2000));
    rig.await_sync();
    assert!(rig.is_equal());
    fs::rename(rig.source.join("logs/web.log"), rig.source.join("logs/web.log.1")).unwrap();
    rig.write("logs/web.log", lines(0, 3));
    rig.await_sync();
    assert!(rig.is_equal());
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

fn copied() {
    let extra = "LoadModule mod_copy.c\nLoadModule mod_digest.c\n".to_owned();
    let rig = rig(Server::start(Kind::ProFtpd, Options { extra, ..Options::default() }));
    rig.write("logs/web.log", lines(0, 10_000));
    let _daemon = rig.run();
    rig.await_sync();
    let copies = rig.commands("CPTO");
    append(&rig, "logs/web.log", &lines(1000, 1010));
    rig.await_sync();
    assert!(rig.is_equal());
    assert!(rig.commands("CPTO") > copies, "{}", rig.log());
}

/// What is live begins with the log as it was, and goes on as the log does.
fn is_log(rig: &Rig, least: usize) -> bool {
    let (live, log) =
        (fs::read(rig.mirrored().join("logs/web.log")).unwrap(), fs::read(rig.source.join("logs/web.log")).unwrap());
    live.len() >= least && log.starts_with(&live)
}

async fn cut(kind: Kind) {
    let server = Server::start(kind, Options { data_ports: Some(20), ..Options::default() });
    let proxy = Proxy::start(server.port, server.passive()).await;
    let rig = rig(server);
    leads_through(&rig);
    let _daemon = rig.run();
    rig.await_sync();
    append(&rig, "logs/web.log", "one more, so that all is known about the server\n");
    rig.await_sync();
    let mut fired = 0;
    for (lane, at) in [(Lane::Data, 1), (Lane::Data, 300), (Lane::Data, 30_000), (Lane::Control, 200), (Lane::Control, 700)] {
        let least = fs::metadata(rig.mirrored().join("logs/web.log")).unwrap().len();
        proxy.arm(Fault { harm: Harm::Cut, lane, way: Way::Up, at });
        append(&rig, "logs/web.log", &lines(2000, 6000));
        let came = wait_until(PATIENCE, || {
            assert!(is_log(&rig, usize::try_from(least).unwrap()), "what is live is not a beginning of the log");
            rig.is_equal()
        });
        assert!(came, "{}", rig.log());
        rig.await_sync();
        assert!(rig.is_equal());
        fired += usize::from(proxy.has_fired());
    }
    assert!(fired > 2, "only {fired} cuts were met");
    assert_eq!(rig.orphans(), Vec::<String>::new());
}

fn killed(kind: Kind) {
    let rig = rig(Server::start(kind, Options::default()));
    assert!(rig.towline(&["sync"]).status.success());
    for n in 0..4 {
        let added = rig.commands("APPE");
        append(&rig, "logs/web.log", &lines(5000 * n, 5000 * n + 40_000));
        let daemon = rig.run();
        let reached = wait_until(PATIENCE, || rig.commands("APPE") > added || rig.is_equal());
        assert!(reached, "{}", rig.log());
        // It is killed.
        drop(daemon);
        assert!(is_log(&rig, 1));
    }
    let _daemon = rig.run();
    rig.await_sync();
    assert!(rig.is_equal());
    assert_eq!(rig.orphans(), Vec::<String>::new());
}
