//! The Debian package on a machine that is really booted: installed, set up, reloaded, killed, stopped, upgraded, removed and purged, with a
//! real server. What Towline does beside that is shown elsewhere.

mod machine;
mod package;

use std::{fs, process::Command};

use libtest_mimic::Trial;

use crate::{
    rig::PATIENCE,
    servers::{self, Kind, Server, Tls},
    support::{Impossible, trial_where, wait_until},
};
use machine::Machine;
use package::{FIRST, LATER};

const UNIT: &str = "towline.service";

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, test) in [
        ("from_the_package_to_a_mirror", begun as fn()),
        ("a_reload_with_a_wrong_configuration_fails", reloaded),
        ("killed_or_hanging_it_is_started_anew", killed),
        ("an_upgrade_keeps_the_queue_and_a_purge_leaves_nothing", upgraded),
        ("a_persons_service_lingers", lingering),
        ("without_a_package_uninstall_purges", installed),
    ] {
        trials.push(trial_where(format!("booted::{name}"), possible, move || async move { test() }));
    }
    trials.push(trial_where("booted::lintian_finds_nothing", lintian, || async { clean() }));
    trials
}

fn possible() -> Result<(), Impossible> {
    servers::possible(Kind::ProFtpd)?;
    Machine::possible()?;
    package::dir().map(drop)
}

/// A machine with a directory to be mirrored, and a server.
struct Scene {
    machine: Machine,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { machine: Machine::boot(), server: Server::start(Kind::ProFtpd, Tls::Both) };
        scene.machine.must("mkdir -p /srv/site/img && echo hello > /srv/site/index.html && echo '<svg/>' > /srv/site/img/a.svg");
        fs::copy(&scene.server.ca, scene.machine.path("/srv/ca.pem")).unwrap();
        scene
    }

    /// With the package installed and set up, by the commands that the README counts.
    fn mirroring() -> Self {
        let scene = Self::new();
        scene.install(FIRST);
        scene.init("", "--service system").ends(0, &[], &scene.machine);
        scene.arrives("index.html", "hello\n");
        scene
    }

    fn install(&self, version: &str) {
        let deb = package::file(version);
        fs::copy(&deb, self.machine.path("/srv/towline.deb")).unwrap();
        self.machine.must("apt-get install --yes --quiet --allow-downgrades /srv/towline.deb && rm /srv/towline.deb");
        assert_eq!(self.machine.must("dpkg-query --show --showformat '${Version}' towline"), version);
    }

    /// `towline init` behind `by`, with everything said.
    fn init(&self, by: &str, more: &str) -> machine::Said {
        let Server { host, port, user, password, .. } = &self.server;
        let flags = format!("--user {user} --dir /srv/site --path {} --ca /srv/ca.pem", self.server.remote("mirror"));
        self.machine.piped(
            &format!("{by} towline init {host}:{port} {flags} --password-stdin --remote web {more}"),
            &format!("{password}\n"),
        )
    }

    /// A file of the mirror comes to be on the server.
    #[track_caller]
    fn arrives(&self, name: &str, content: &str) {
        let file = self.server.root.join("mirror").join(name);
        let is_there = wait_until(PATIENCE, || fs::read_to_string(&file).is_ok_and(|text| text == content));
        assert!(is_there, "{name} is not on the server\n{}", self.machine.journal());
    }

    fn write(&self, name: &str, content: &str) {
        let dir = self.machine.path("/srv/site");
        fs::write(dir.join(name), content).unwrap();
    }

    fn pid(&self) -> String {
        self.machine.property(UNIT, "MainPID")
    }

    /// Lets faults show within a test: no long waits between starts.
    fn hasten(&self) {
        let drop_in = "[Service]\nRestartSec=100ms\nWatchdogSec=2\nTimeoutAbortSec=1\n";
        let script = "mkdir -p /etc/systemd/system/towline.service.d && cat > /etc/systemd/system/towline.service.d/hasten.conf && \
                      systemctl daemon-reload && systemctl restart towline";
        self.machine.piped(script, drop_in).ends(0, &[], &self.machine);
    }

    /// The daemon was started anew by systemd, and mirrors.
    #[track_caller]
    fn is_started_anew(&self, was: &str, restarts: &str) {
        let started = wait_until(PATIENCE, || {
            let (pid, state) = (self.pid(), self.machine.property(UNIT, "ActiveState"));
            pid != was && pid != "0" && state == "active"
        });
        assert!(started, "{}", self.machine.journal());
        assert_eq!(self.machine.property(UNIT, "NRestarts"), restarts);
    }
}

fn begun() {
    let scene = Scene::new();
    let machine = &scene.machine;
    scene.install(FIRST);
    // Installed, it does nothing yet, and nothing has failed.
    assert_eq!(machine.sh("systemctl is-enabled towline").text.trim(), "disabled");
    assert_eq!(machine.sh("systemctl is-active towline").text.trim(), "inactive");
    assert_eq!(machine.must("systemctl list-units --failed --plain --no-legend 'towline*'"), "");
    assert_eq!(machine.must("stat --format='%U %G %a' /etc/towline"), "root towline 750\n");
    assert!(machine.must("getent passwd towline").contains(":/var/lib/towline:"));
    machine.must(
        "cd /usr/share && zcat man/man1/towline.1.gz | grep -q '^.TH towline 1' && test -e man/man1/towline-init.1.gz && \
         grep -q _towline bash-completion/completions/towline && grep -q '^#compdef towline' zsh/vendor-completions/_towline && \
         test -s fish/vendor_completions.d/towline.fish && test -s doc/towline/examples/towline.example.toml && \
         test -s towline/towline.schema.json && test -s towline/prometheus/alerts.yml && test -s towline/grafana/towline.json",
    );
    // The second command, by a root whose files nobody else can read.
    let said = scene.init("umask 077;", "--service system").ends(0, &["written: /etc/towline/towline.toml"], machine);
    assert!(said.contains("/usr/lib/systemd/system/towline.service is as it should be; enabled and started"), "{said}");
    scene.arrives("img/a.svg", "<svg/>\n");
    // The package's own unit is in force: the next version brings the next one.
    let unit = machine.property(UNIT, "FragmentPath");
    assert!(unit.ends_with("/lib/systemd/system/towline.service"), "{unit}");
    assert_eq!(machine.sh("ls /etc/systemd/system/towline.service /etc/sysusers.d/towline.conf").code, Some(2));
    // Who can read what: the service its configuration, and root alone the password, which systemd hands over.
    machine.must("runuser -u towline -- cat /etc/towline/towline.toml | grep -q 'credential = \"web\"'");
    assert_eq!(machine.sh("runuser -u towline -- cat /etc/towline/web.pass").code, Some(1));
    assert_eq!(machine.must("stat --format='%U %a' /etc/towline/web.pass"), "root 600\n");
    assert_eq!(machine.sh("runuser -u nobody -- cat /etc/towline/towline.toml").code, Some(1));
    machine.eventually("it is said to be in sync", "towline status | grep -q 'in sync'");
    let said = machine.must("towline service status");
    assert!(said.contains("active (running), enabled") && said.contains("/run/towline/control.sock: site"), "{said}");
    // Once more: nothing is to be done.
    assert!(machine.must("towline service install").contains("nothing to do"));
    // It keeps the package's unit, and says whose it is.
    assert_eq!(machine.sh("towline service uninstall --purge").code, Some(1));
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
    let said = machine.must("towline service uninstall");
    assert!(said.contains("belongs to the package") && said.contains("the user towline"), "{said}");
    assert_eq!(machine.sh("systemctl is-active towline; systemctl is-enabled towline").text, "inactive\ndisabled\n");
}

fn reloaded() {
    let scene = Scene::mirroring();
    let machine = &scene.machine;
    let pid = scene.pid();
    // A right one is in force when the command returns.
    machine.must(
        "mkdir /srv/more && echo more > /srv/more/file && printf '\\n[[mirror]]\\nname = \"more\"\\nsource = \"/srv/more\"\\n\
         remote = \"web\"\\npath = \"/more\"\\n' >> /etc/towline/towline.toml && systemctl reload towline",
    );
    let more = scene.server.root.join("more/file");
    assert!(wait_until(PATIENCE, || more.exists()), "{}", machine.journal());
    // A wrong one is refused, visibly, and changes nothing.
    machine.must("cp /etc/towline/towline.toml /srv/right && echo 'nonsense = 1' >> /etc/towline/towline.toml");
    scene.machine.sh("systemctl reload towline").ends(1, &["failed"], machine);
    assert!(machine.journal().contains("unknown key"), "the journal says why\n{}", machine.journal());
    assert_eq!((scene.pid(), machine.property(UNIT, "ActiveState")), (pid.clone(), "active".to_owned()));
    scene.write("while-wrong", "sent\n");
    scene.arrives("while-wrong", "sent\n");
    machine.must("cp /srv/right /etc/towline/towline.toml && systemctl reload towline");
    assert_eq!(scene.pid(), pid);
}

fn killed() {
    let scene = Scene::mirroring();
    let machine = &scene.machine;
    scene.hasten();
    let pid = scene.pid();
    machine.must("systemctl kill --kill-whom=main --signal=KILL towline");
    scene.write("killed", "sent\n");
    scene.is_started_anew(&pid, "1");
    scene.arrives("killed", "sent\n");
    // One that hangs feeds the watchdog no more.
    let pid = scene.pid();
    machine.must("systemctl kill --kill-whom=main --signal=STOP towline");
    scene.write("stopped", "sent\n");
    scene.is_started_anew(&pid, "2");
    assert!(machine.journal().contains("atchdog"), "{}", machine.journal());
    scene.arrives("stopped", "sent\n");
    // What starting anew cannot mend is left to a person.
    machine.must("cp /etc/towline/towline.toml /srv/right && echo 'nonsense = 1' >> /etc/towline/towline.toml");
    machine.sh("systemctl restart towline").ends(1, &["failed"], machine);
    let state = ["ActiveState", "SubState", "ExecMainStatus", "NRestarts"].map(|name| machine.property(UNIT, name));
    assert_eq!(state, ["failed", "failed", "78", "0"]);
    machine.must("cp /srv/right /etc/towline/towline.toml && systemctl start towline");
    scene.write("mended", "sent\n");
    scene.arrives("mended", "sent\n");
}

fn upgraded() {
    let mut scene = Scene::new();
    let before = scene.machine.files();
    scene.install(FIRST);
    scene.init("", "--service system").ends(0, &[], &scene.machine);
    scene.arrives("index.html", "hello\n");
    // What waits survives the change of versions.
    scene.server.stop();
    (0..20).for_each(|n| scene.write(&format!("waiting-{n}"), "sent\n"));
    let pending = r#"towline status --json | grep -qE '"pending_files": ?20\b'"#;
    scene.machine.eventually("twenty changes are pending", pending);
    let pid = scene.pid();
    scene.install(LATER);
    assert_ne!(scene.pid(), pid, "the new version runs");
    scene.machine.eventually("they are pending still", pending);
    scene.server.start_again();
    scene.machine.must("towline retry --all");
    (0..20).for_each(|n| scene.arrives(&format!("waiting-{n}"), "sent\n"));
    // Removed, it leaves what is its user's, and takes it up again when it comes back.
    let machine = &scene.machine;
    machine.must("apt-get remove --yes --quiet towline");
    assert_eq!(machine.sh("systemctl is-active towline").text.trim(), "inactive");
    machine.must("test -s /etc/towline/towline.toml && test -d /var/lib/towline && getent passwd towline && ! pgrep -x towline");
    scene.install(FIRST);
    scene.write("back", "sent\n");
    scene.arrives("back", "sent\n");
    // Purged, it leaves nothing.
    machine.must("apt-get purge --yes --quiet towline && rm -r /srv/site/back /srv/site/waiting-*");
    let after = machine.files();
    let differs: Vec<_> = after
        .iter()
        .filter(|(name, file)| before.get(*name) != Some(file))
        .chain(before.iter().filter(|(name, _)| !after.contains_key(*name)))
        .collect();
    assert!(differs.is_empty(), "{differs:#?}");
}

fn lingering() {
    let scene = Scene::new();
    let machine = &scene.machine;
    scene.install(FIRST);
    machine.must("useradd --create-home --uid 1234 ann && loginctl enable-linger ann");
    machine.eventually("ann's manager runs", "systemctl is-active user@1234.service");
    let ann = "runuser -u ann -- env HOME=/home/ann XDG_RUNTIME_DIR=/run/user/1234";
    let said = scene.init(ann, "--service user").ends(0, &["written: /home/ann/.config/towline/towline.toml"], machine);
    assert!(said.contains("/usr/lib/systemd/user/towline.service is as it should be; enabled and started"), "{said}");
    scene.arrives("index.html", "hello\n");
    // Nobody is logged in; it is started anew all the same.
    assert_eq!(machine.must("loginctl list-sessions --no-legend"), "");
    let asked = format!("{ann} systemctl --user show --value --property=MainPID towline");
    let pid = machine.must(&asked);
    machine.must(&format!("kill -KILL {pid}"));
    scene.write("killed", "sent\n");
    scene.arrives("killed", "sent\n");
    assert_ne!(machine.must(&asked), pid);
    let said = machine.must(&format!("{ann} towline service status"));
    assert!(said.contains("active (running), enabled") && said.contains("/run/user/1234/towline/control.sock: site"), "{said}");
    // The machine's service is another one.
    assert_eq!(machine.sh("systemctl is-active towline").text.trim(), "inactive");
}

/// As from a tarball: the program alone, which brings its unit and its user, and takes them away again.
fn installed() {
    let scene = Scene::new();
    let machine = &scene.machine;
    fs::copy(env!("CARGO_BIN_EXE_towline"), machine.path("/usr/local/bin/towline")).unwrap();
    let before = machine.files();
    let said =
        scene.init("umask 077;", "--service system").ends(0, &["installed as /etc/systemd/system/towline.service"], machine);
    assert!(said.contains("enabled and started"), "{said}");
    scene.arrives("index.html", "hello\n");
    machine.must("runuser -u towline -- cat /etc/towline/towline.toml");
    let said = machine.must("towline service uninstall");
    for words in ["removed", "kept: ", "/etc/towline/towline.toml", "/var/lib/towline", "the user towline", "--purge"] {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    machine.must("getent passwd towline && test -d /var/lib/towline");
    let said = machine.must("towline service uninstall --purge");
    assert!(said.contains("removed: ") && said.contains("the user towline"), "{said}");
    let after = machine.files();
    let left: Vec<_> = after.iter().filter(|(name, file)| before.get(*name) != Some(file)).collect();
    assert!(left.is_empty(), "{left:#?}");
}

fn lintian() -> Result<(), Impossible> {
    let tried = Command::new("lintian").arg("--version").output();
    tried.map(drop).map_err(|e| Impossible::Missing(format!("lintian: {e}")))?;
    package::dir().map(drop)
}

fn clean() {
    let mut command = Command::new("lintian");
    command.args(["--fail-on", "error,warning", "--display-info", "--tag-display-limit", "0"]).arg(package::file(FIRST));
    let output = command.output().unwrap();
    let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{said}");
}
