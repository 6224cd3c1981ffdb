//! Servers that stop answering while the daemon is at work: frozen, and behind a cut cable. Noticed in time, resumed, nothing lost.
//! The timeouts are those that users have.

use std::{fs, process::Stdio, sync::Arc, time::Duration};

use libtest_mimic::Trial;
use tokio::time::Instant;

use crate::{
    rig::{Daemon, Rig},
    servers::{self, Cable, Kind, Options, Server},
    support::{trial_where, wait_until},
};

/// Within this a dead server has to be noticed, by the timeouts that users have.
const NOTICED: Duration = Duration::from_secs(30);

/// The large file, and how much of it a second the server takes in KiB: it is under way for seconds, however fast the machine is.
const LARGE: usize = 64 << 20;
const RATE: u32 = 12 << 10;

pub(crate) fn trials() -> Vec<Trial> {
    let cable = || {
        servers::possible(Kind::ProFtpd)?;
        Cable::possible()
    };
    vec![
        trial_where("network::a_cut_cable_in_mid_transfer_is_noticed_and_nothing_is_lost", cable, || async { cut() }),
        servers::trial(Kind::ProFtpd, "network::a_server_frozen_in_mid_transfer_is_noticed_and_nothing_is_lost", || async {
            frozen();
        }),
    ]
}

fn cut() {
    let cable = Arc::new(Cable::lay().unwrap());
    let rig = rig(Options { cable: Some(Arc::clone(&cable)), ..Options::default() });
    let log = fs::File::options().create(true).append(true).open(rig.dir.path().join("log")).unwrap();
    let mut command = cable.at_near_end(&rig.command(&["--log", "debug", "run"]));
    let daemon = Daemon(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    goes_dead(&rig, || cable.cut(), || cable.mend());
    drop(daemon);
}

fn frozen() {
    let rig = rig(Options::default());
    let _daemon = rig.run();
    goes_dead(&rig, || rig.server.freeze(), || rig.server.thaw());
}

/// A server that takes its time for a large file, and timeouts as they are without configuration.
fn rig(options: Options) -> Rig {
    let extra = format!("TransferRate STOR {RATE}");
    let rig = Rig::with(Server::start(Kind::ProFtpd, Options { extra, ..options }));
    let file = rig.dir.path().join("towline.toml");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once("[remote.lab.timeouts]").unwrap();
    let (_, behind) = rest.split_once("[[mirror]]").unwrap();
    fs::write(file, format!("{before}[[mirror]]{behind}")).unwrap();
    rig
}

fn goes_dead(rig: &Rig, kill: impl FnOnce(), revive: impl FnOnce()) {
    (0..10).for_each(|i| rig.write(&format!("before/{i}"), format!("file {i}")));
    rig.await_sync();
    rig.write("large", vec![b'x'; LARGE]);
    rig.await_status("the upload is under way", |status| {
        status["in_flight"]
            .as_array()
            .is_some_and(|jobs| jobs.iter().any(|job| job["path"] == "large" && job["sent"].as_u64() > Some(0)))
    });
    kill();
    let killed = Instant::now();
    rig.write("meanwhile", "2");
    fs::remove_file(rig.source.join("before/7")).unwrap();
    let mut last = serde_json::Value::Null;
    let noticed = wait_until(NOTICED, || {
        last = rig.status().unwrap_or_default();
        last["link"]["state"].as_str().is_some_and(|state| state != "up")
    });
    assert!(noticed, "not within {NOTICED:?}: {last:#}\n{}", rig.log());
    assert!(!rig.mirrored().join("large").exists(), "the upload was not under way any more");
    println!("noticed after {:.1} s: {}", killed.elapsed().as_secs_f32(), last["link"]);
    revive();
    rig.await_sync();
    assert_eq!(rig.orphans(), Vec::<String>::new());
}
