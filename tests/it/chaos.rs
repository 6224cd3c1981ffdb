//! Faults on the wire: a proxy between the daemon and each real server cuts, resets, stalls, slows and alters at a random byte of a
//! control or data connection. Whatever happens, live names hold old or new contents, what is recorded is there, `in sync` is true.

pub(crate) mod ledger;
pub(crate) mod observer;
pub(crate) mod proxy;

use std::{fs, time::Duration};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::{
    rig::{PATIENCE, Rig},
    servers::{self, Kind, Options, Server, Tls},
    support::{scaled, seed, wait_until},
};
use observer::{Observer, content};
use proxy::{Fault, Harm, Lane, Proxy, Way};

/// Files that are never removed: their names must always be there.
const KEPT: u64 = 6;
/// Within this a change must have been heard of: an `in sync` behind it counts.
const HEARD: Duration = Duration::from_secs(2);
/// How long a stalled connection stays so, unless it is noticed sooner.
const STALLED: Duration = Duration::from_secs(3);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in Kind::ALL {
        for tls in [Tls::V12, Tls::V13] {
            let name = format!("chaos::{}::{}::old_or_new_and_nothing_else", kind.name(), tls.name());
            trials.push(servers::trial(kind, name, move || rounds(kind, tls)));
        }
    }
    trials
}

async fn rounds(kind: Kind, tls: Tls) {
    let server = Server::start(kind, Options { data_ports: Some(60), ..Options::from(tls) });
    let proxy = Proxy::start(server.port, server.passive()).await;
    let scene = Scene::new(server, proxy);
    let first = seed("TOWLINE_SEED");
    let (mut fired, mut compared) = (0, 0);
    let observer = Observer::start(scene.rig.mirrored(), (0..KEPT).map(kept).collect());
    let daemon = scene.rig.run();
    let pid = Pid::from_child(&daemon.0);
    scene.settle("at the start", Instant::now());
    for number in first..first + scaled(3, 50) {
        let round = scene.round(number, pid);
        fired += u64::from(round.fired);
        compared += round.compared;
    }
    drop(daemon);
    let seen = observer.finish();
    assert!(seen.wrong.is_empty(), "{:#?}\n{}", seen.wrong, scene.rig.log());
    assert_eq!(scene.rig.orphans(), Vec::<String>::new());
    println!(
        "{} {}: {fired} faults in {} seeds; {} reads of live names, 0 torn, 0 missing; {compared} records compared, 0 false",
        kind.name(),
        tls.name(),
        scaled(3, 50),
        seen.reads
    );
}

fn kept(i: u64) -> String {
    format!("kept/{i}")
}

struct Scene {
    rig: Rig,
    proxy: Proxy,
}

struct Round {
    fired: bool,
    compared: u64,
}

impl Scene {
    fn new(server: Server, proxy: Proxy) -> Self {
        let rig = Rig::with(server);
        rig.configure("delete_budget = { files = 100000, percent = 100 }");
        leads_through(&rig);
        edit(&rig, |text| text.replace("reply = \"10s\"\nstall = \"10s\"", "reply = \"2s\"\nstall = \"2s\""));
        let scene = Self { rig, proxy };
        (0..KEPT).for_each(|i| scene.save(&kept(i), 1, 1000));
        scene
    }

    /// One seed: a fault, changes while it lasts, and the books compared in the middle and at the end.
    fn round(&self, number: u64, daemon: Pid) -> Round {
        let mut rng = fastrand::Rng::with_seed(number);
        let fault = fault(&mut rng);
        println!("seed {number}: {fault:?}");
        self.proxy.arm(fault);
        for _ in 0..rng.u32(2..6) {
            self.edit(&mut rng);
        }
        let edited = Instant::now();
        let said = format!("seed {number}, {fault:?}");
        wait_until(HEARD, || self.proxy.has_fired() || self.rig.phase() == "in-sync" && self.rig.is_equal());
        let fired = self.proxy.has_fired();
        let mut compared = if fired { self.audit(&said, daemon) } else { 0 };
        if fired && matches!(fault.harm, Harm::Stall | Harm::Slow) {
            // Half of the time it ends before anybody noticed.
            let patience = if rng.bool() { STALLED } else { STALLED / 10 };
            wait_until(patience, || self.rig.status().is_some_and(|status| status["link"]["state"] == "waiting"));
            compared += self.audit(&said, daemon);
        }
        self.proxy.heal();
        self.settle(&said, edited);
        compared += self.audit(&said, daemon);
        assert_eq!(self.rig.orphans(), Vec::<String>::new(), "{said}");
        Round { fired, compared }
    }

    /// Waits until all is on the server. An `in sync` that is not true ends it.
    fn settle(&self, said: &str, edited: Instant) {
        let settled = wait_until(PATIENCE, || {
            let heard = edited.elapsed() > HEARD;
            let in_sync = self.rig.phase() == "in-sync";
            let equal = self.rig.is_equal();
            assert!(!in_sync || equal || !heard, "{said}: it says `in sync`, which is false\n{}", self.rig.log());
            in_sync && equal
        });
        let status = self.rig.status().unwrap_or_default();
        assert!(settled, "{said}: not in sync: {status:#}\n{}", self.rig.log());
    }

    /// Holds the daemon still and compares what it has recorded with what the server has.
    fn audit(&self, said: &str, daemon: Pid) -> u64 {
        kill_process(daemon, Signal::STOP).unwrap();
        let audit = ledger::audit(&self.rig.state().join("mirrors/site.db"), &self.rig.mirrored());
        kill_process(daemon, Signal::CONT).unwrap();
        let audit = audit.unwrap_or_default();
        assert!(audit.wrong.is_empty(), "{said}: recorded and not so: {:#?}\n{}", audit.wrong, self.rig.log());
        audit.compared
    }

    fn edit(&self, rng: &mut fastrand::Rng) {
        let noise = match rng.u8(0..4) {
            0 => rng.usize(0..100),
            1 | 2 => rng.usize(0..30_000),
            _ => rng.usize(0..400_000),
        };
        let free = |rng: &mut fastrand::Rng| format!("free/{}", rng.u8(0..8));
        match rng.u8(0..8) {
            0..4 => {
                let name = kept(rng.u64(0..KEPT));
                let body = fs::read(self.rig.source.join(&name)).unwrap();
                let (_, version) = observer::version(&body).unwrap();
                self.save(&name, version + 1, noise);
            }
            4 | 5 => self.save(&free(rng), rng.u64(..), noise),
            6 => drop(fs::remove_file(self.rig.source.join(free(rng)))),
            _ => drop(fs::rename(self.rig.source.join(free(rng)), self.rig.source.join(free(rng)))),
        }
    }

    /// As a careful program saves: nobody ever reads half of it here either.
    fn save(&self, name: &str, version: u64, noise: usize) {
        let (aside, path) = (self.rig.dir.path().join("aside"), self.rig.source.join(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&aside, content(name, version, noise)).unwrap();
        fs::rename(aside, path).unwrap();
    }
}

/// From now on Towline reaches the server through a proxy.
pub(crate) fn leads_through(rig: &Rig) {
    edit(rig, |text| {
        text.replace("host = \"127.0.0.1\"", &format!("host = {:?}", Proxy::HOST))
            .replace("[remote.lab.tls]", "[remote.lab.tls]\nserver_name = \"127.0.0.1\"")
    });
}

fn edit(rig: &Rig, edited: impl FnOnce(String) -> String) {
    let file = rig.dir.path().join("towline.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, edited(text)).unwrap();
}

/// Any fault at any byte, of which the first ones (greeting, handshake) and those of a body are about as likely.
fn fault(rng: &mut fastrand::Rng) -> Fault {
    let harm = Harm::ALL[rng.usize(0..Harm::ALL.len())];
    let (lane, way) = match rng.u8(0..6) {
        0 => (Lane::Control, Way::Up),
        1 => (Lane::Control, Way::Down),
        2 => (Lane::Data, Way::Down),
        _ => (Lane::Data, Way::Up),
    };
    let reach = if (lane, way) == (Lane::Data, Way::Up) { 18 } else { 11 };
    let reach = 1 << rng.u32(0..=reach);
    Fault { harm, lane, way, at: rng.u64(..reach) }
}
