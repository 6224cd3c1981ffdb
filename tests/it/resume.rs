//! Uploads that were cut off, against real servers: they go on behind what is proven to be there, and begin anew where that cannot be.

use std::{fs, path::PathBuf};

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

/// Bytes of the file.
const SIZE: usize = 8 << 20;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        servers::trial(Kind::ProFtpd, "resume::proftpd::a_cut_data_connection", || cut(Kind::ProFtpd, Lane::Data)),
        servers::trial(Kind::ProFtpd, "resume::proftpd::a_reset_data_connection", || reset(Kind::ProFtpd)),
        servers::trial(Kind::Vsftpd, "resume::vsftpd::computes_no_checksums", || cut(Kind::Vsftpd, Lane::Data)),
        servers::trial(Kind::ProFtpd, "resume::proftpd::kill_9", || async { killed(false) }),
        servers::trial(Kind::ProFtpd, "resume::proftpd::changed_meanwhile", || async { killed(true) }),
    ]
}

/// What no two places of the file have in common.
fn body() -> Vec<u8> {
    (0..SIZE as u64 / 8).flat_map(u64::to_le_bytes).collect()
}

fn server(kind: Kind, more: &str) -> Server {
    let extra = if kind == Kind::ProFtpd { format!("LoadModule mod_digest.c\n{more}") } else { String::new() };
    Server::start(kind, Options { extra, data_ports: Some(20), ..Options::default() })
}

async fn cut(kind: Kind, lane: Lane) {
    broken(kind, Fault { harm: Harm::Cut, lane, way: Way::Up, at: SIZE as u64 * 3 / 4 }).await;
}

async fn reset(kind: Kind) {
    broken(kind, Fault { harm: Harm::Reset, lane: Lane::Data, way: Way::Up, at: SIZE as u64 * 3 / 4 }).await;
}

async fn broken(kind: Kind, fault: Fault) {
    let server = server(kind, "");
    let proxy = Proxy::start(server.port, server.passive()).await;
    let rig = Rig::with(server);
    leads_through(&rig);
    rig.write("small", "while the server is asked what it can do");
    assert!(rig.towline(&["sync"]).status.success());
    let probed = rig.commands("APPE");
    rig.write("large", body());
    proxy.arm(fault);
    let _daemon = rig.run();
    rig.await_sync();
    assert!(proxy.has_fired());
    assert_eq!(rig.orphans(), Vec::<String>::new());
    let (appended, passed) = (rig.commands("APPE") - probed, proxy.passed());
    if kind == Kind::ProFtpd {
        assert!(appended >= 1, "{}", rig.log());
        // What lay in buffers is lost with them.
        assert!(passed < fault.at + SIZE as u64, "{passed} bytes were sent: it began anew");
    } else {
        assert_eq!(appended, 0, "{}", rig.log());
    }
}

/// The temporary file of the large one, while that is not there.
fn temporary(rig: &Rig) -> Option<PathBuf> {
    let entries = fs::read_dir(rig.mirrored()).ok()?.flatten();
    let mut parts = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "part"));
    parts.find(|path| fs::metadata(path).is_ok_and(|meta| meta.len() > 1 << 20))
}

fn killed(changed: bool) {
    let rig = Rig::with(server(Kind::ProFtpd, "TransferRate STOR 4096\n"));
    rig.write("small", "while the server is asked what it can do");
    assert!(rig.towline(&["sync"]).status.success());
    let (probed, before) = (rig.commands("APPE"), rig.commands("STOR"));
    let mut body = body();
    rig.write("large", &body);
    let daemon = rig.run();
    let mut part = None;
    let came = wait_until(PATIENCE, || {
        part = temporary(&rig);
        part.is_some()
    });
    drop(daemon);
    assert!(came && !rig.mirrored().join("large").exists(), "{}", rig.log());
    if changed {
        body[0] ^= 1;
        rig.write("large", &body);
    }
    let _daemon = rig.run();
    rig.await_sync();
    assert_eq!(rig.orphans(), Vec::<String>::new());
    let (appended, stored) = (rig.commands("APPE") - probed, rig.commands("STOR") - before);
    assert_eq!((appended, stored), if changed { (0, 2) } else { (1, 1) }, "{}", rig.log());
}
