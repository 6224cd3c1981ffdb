//! Who comes first, against a real server that takes its time: an edit before what waits, and beside what takes long.

use std::fs;

use libtest_mimic::Trial;

use crate::{
    rig::{PATIENCE, Rig, names},
    servers::{self, Kind, Options, Server},
    support::wait_until,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        servers::trial(Kind::ProFtpd, "turns::an_edit_goes_before_what_waits", || async { before_what_waits() }),
        servers::trial(Kind::ProFtpd, "turns::large_files_leave_a_session_to_an_edit", || async { beside_large_files() }),
    ]
}

/// A mirror in sync with one file, on a server that takes `rate` KiB a second.
fn slow(rate: u32) -> Rig {
    let extra = format!("TransferRate STOR {rate}");
    let rig = Rig::with(Server::start(Kind::ProFtpd, Options { extra, ..Options::default() }));
    rig.write("zz/edited", "before");
    rig
}

/// Edits the file, and waits until the server has it.
fn edit(rig: &Rig) {
    rig.write("zz/edited", "edited");
    let there = || fs::read_to_string(rig.mirrored().join("zz/edited")).is_ok_and(|text| text == "edited");
    assert!(wait_until(PATIENCE, there), "{}", rig.log());
}

fn before_what_waits() {
    let rig = slow(256);
    let _daemon = rig.run();
    rig.await_sync();
    let many = 160;
    for i in 0..many {
        rig.write(&format!("many/{i:03}"), vec![b'x'; 64 << 10]);
    }
    let arrived = || names(&rig.mirrored()).iter().filter(|name| name.starts_with("many/") && !name.ends_with(".part")).count();
    assert!(wait_until(PATIENCE, || arrived() > 4), "{}", rig.log());
    edit(&rig);
    let before = arrived();
    assert!(before < many * 3 / 4, "{before} of {many} went before the edit");
}

fn beside_large_files() {
    let rig = slow(1 << 10);
    let _daemon = rig.run();
    rig.await_sync();
    let large: Vec<String> = (0..5).map(|i| format!("a-large-file-{i}")).collect();
    for name in &large {
        // At once: a file that is seen when it is half written counts as what it was then.
        let aside = rig.dir.path().join("aside");
        fs::write(&aside, vec![b'x'; 24 << 20]).unwrap();
        fs::rename(aside, rig.source.join(name)).unwrap();
    }
    let sending = |status: &serde_json::Value| status["in_flight"].as_array().is_some_and(|jobs| jobs.len() >= 3);
    rig.await_status("a transfer of each large file that may run", sending);
    edit(&rig);
    assert!(!large.iter().any(|name| rig.mirrored().join(name).exists()), "the edit waited for a large file");
}
