//! `towline init` against real servers: by questions on a terminal, and by flags; and that what it wrote mirrors.

mod keyring;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::{
    lost::full::fill,
    pty::Pty,
    rig::{PATIENCE, tree},
    servers::{self, Kind, Options, Server, Tls},
    support::{self, Impossible, temp_dir, trial},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for kind in [Kind::ProFtpd, Kind::Vsftpd, Kind::PureFtpd] {
        let name = |what: &str| format!("init::{}::{what}", kind.name());
        trials.push(servers::trial(kind, name("by_questions"), move || async move { by_questions(kind) }));
        trials.push(servers::trial(kind, name("by_flags"), move || async move { by_flags(kind) }));
        trials.push(servers::trial(kind, name("a_directory_that_may_not_be_written_to"), move || async move { read_only(kind) }));
    }
    for (name, test) in [
        ("a_key_that_is_declined_leaves_nothing", declined as fn()),
        ("ctrl_c_at_any_question_leaves_nothing", interrupted),
        ("an_existing_configuration_is_added_to", added),
        ("what_is_wrong_is_said_and_nothing_written", wrong),
        ("implicit_tls_is_found", implicit),
        ("the_password_is_in_its_file_alone", canary),
        ("a_password_for_a_pipe_that_is_typed_is_not_shown", typed),
        ("password_places", places),
        ("a_service_is_installed", service),
    ] {
        trials.push(servers::trial(Kind::ProFtpd, format!("init::{name}"), move || async move { test() }));
    }
    trials.push(servers::trial(Kind::Vsftpd, "init::a_limit_on_connections_is_named", || async { limit() }));
    // Needs a file system of its own, as vsftpd does.
    trials.push(servers::trial(Kind::Vsftpd, "init::a_full_server_is_named", || async { full() }));
    trials.push(support::trial_where("init::the_machines_service_gets_the_password", namespace, || async { machine() }));
    trials.extend(keyring::trials());
    trials.push(trial("init::flags_that_are_missing_are_named", || async { missing() }));
    trials
}

/// A server, a directory to be mirrored, and no configuration.
struct Scene {
    server: Server,
    dir: TempDir,
}

impl Scene {
    fn new(kind: Kind) -> Self {
        Self::with(Server::start(kind, Tls::Both))
    }

    fn with(server: Server) -> Self {
        let dir = temp_dir();
        fs::create_dir_all(dir.path().join("site/img")).unwrap();
        fs::write(dir.path().join("site/index.html"), "<h1>hello</h1>\n").unwrap();
        fs::write(dir.path().join("site/img/a.svg"), "<svg/>\n").unwrap();
        Self { server, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("conf/towline.toml")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.dir.path());
        command.arg("--config").arg(self.config()).arg("--state-dir").arg(self.path("state")).args(args);
        command.stdin(Stdio::null());
        command
    }

    fn towline(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// `host:port`, as the server is named.
    fn place(&self) -> String {
        format!("{}:{}", self.server.host, self.server.port)
    }

    /// `init` with everything said but the trust and the password, and `more`.
    fn flags(&self, more: &[&str]) -> Vec<String> {
        let all =
            ["init", &self.place(), "--user", self.server.user, "--dir", self.path("site").to_str().unwrap()].map(str::to_owned);
        let path = ["--path".to_owned(), self.server.remote("mirror")];
        all.into_iter().chain(path).chain(more.iter().map(|&word| word.to_owned())).collect()
    }

    /// The same, run with the server's authority trusted, and this on standard input.
    fn init(&self, more: &[&str], password: &str) -> Output {
        let ca = self.server.ca.to_str().unwrap().to_owned();
        let flags = self.flags(&[&["--ca", ca.as_str(), "--password-stdin"], more].concat());
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        self.piped(&flags, password)
    }

    fn piped(&self, args: &[&str], input: &str) -> Output {
        let mut child = self.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may end without reading.
        let _ = child.stdin.take().unwrap().write_all(format!("{input}\n").as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Nothing was written here.
    #[track_caller]
    fn is_untouched(&self) {
        assert!(!self.path("conf").exists() && !self.path("state").exists(), "something was left");
    }

    /// What was written mirrors.
    #[track_caller]
    fn mirrors(&self) {
        ends(&self.towline(&["check"]), 0, &["configuration is right"]);
        ends(&self.towline(&["sync"]), 0, &["2 files sent", "in sync"]);
        assert_eq!(tree(&self.path("site")), tree(&self.server.root.join("mirror")));
    }

    /// What is on the server in the mirror's directory.
    fn held(&self) -> Vec<String> {
        let entries = fs::read_dir(self.server.root.join("mirror")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn logged_in(&self) -> bool {
        self.server.log().contains("USER ")
    }
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

#[track_caller]
fn ends(output: &Output, code: i32, says: &[&str]) -> String {
    let said = text(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    says.iter().for_each(|words| assert!(said.contains(words), "{words:?} is missing in:\n{said}"));
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn by_questions(kind: Kind) {
    let scene = Scene::new(kind);
    let mut pty = Pty::spawn(&scene.command(&["init"]));
    pty.talk("Server (", "ftp://127.0.0.1");
    pty.expect("nothing is ever sent without encryption");
    pty.talk("Server (", &scene.place());
    pty.talk("User: ", scene.server.user);
    pty.talk("Directory here: ", scene.path("nowhere").to_str().unwrap());
    pty.expect("does not exist");
    pty.talk("Directory here: ", "~/site");
    pty.talk("Directory on the server", &scene.server.remote("mirror"));
    pty.expect("pin        sha256/");
    pty.expect("Compare the pin above");
    pty.talk("from now on? [y/N]", "y");
    pty.talk("(not shown): ", "wrong-guess-4711");
    pty.expect("no login: ");
    pty.talk("(not shown): ", scene.server.password);
    pty.expect("is missing, and is made");
    pty.expect("a test file was sent to");
    pty.expect("to be sent: 2 files (22 B), 1 directory");
    pty.talk("from now on", "n");
    let (code, heard) = pty.end();
    assert_eq!(code, Some(0), "{heard}");
    assert!(heard.contains("written: ") && heard.contains("towline sync"), "{heard}");
    assert!(!heard.contains(scene.server.password) && !heard.contains("wrong-guess"), "{heard}");
    assert!(pty.echoes());
    assert_eq!(scene.held(), Vec::<String>::new(), "the test file went again");
    let pass = scene.path("conf/server.pass");
    assert_eq!(fs::metadata(&pass).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_to_string(&pass).unwrap(), format!("{}\n", scene.server.password));
    let config = fs::read_to_string(scene.config()).unwrap();
    assert!(config.contains("trust = \"pin\"") && config.contains("{ file = \"server.pass\" }"), "{config}");
    scene.mirrors();
}

fn by_flags(kind: Kind) {
    let scene = Scene::new(kind);
    let said = ends(
        &scene.init(&["--mirror", "site-2"], scene.server.password),
        0,
        &["verified   yes", "a test file was sent", "written: "],
    );
    assert!(!said.contains("[y/N]"), "{said}");
    let config = fs::read_to_string(scene.config()).unwrap();
    assert!(config.contains("ca = ") && config.contains("name = \"site-2\"") && !config.contains("pin = "), "{config}");
    scene.mirrors();
    // What is there is told of, and stays.
    let other = scene.server.root.join("theirs");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("page"), "theirs").unwrap();
    scene.server.give(&other);
    let theirs = scene.server.remote("theirs");
    let ca = scene.server.ca.to_str().unwrap();
    let mut flags = scene.flags(&["--ca", ca, "--password-stdin", "--remote", "again", "--mirror", "again"]);
    let path = flags.iter().position(|flag| *flag == scene.server.remote("mirror")).unwrap();
    flags[path] = theirs;
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    fs::copy(scene.config(), scene.path("kept")).unwrap();
    ends(&scene.piped(&flags, scene.server.password), 0, &["holds 1 name already", "towline adopt again"]);
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    fs::rename(scene.path("kept"), scene.config()).unwrap();
    fs::remove_file(scene.path("conf/again.pass")).unwrap();
    // Once more: the names are taken, and nothing changes.
    ends(&scene.init(&[], scene.server.password), 78, &["a remote called \"server\" already", "--remote NAME"]);
    ends(&scene.init(&["--remote", "two"], scene.server.password), 78, &["overlaps with the directory of mirror `site-2`"]);
    assert_eq!(fs::read_to_string(scene.config()).unwrap(), config);
    assert_eq!(fs::read_dir(scene.path("conf")).unwrap().count(), 2);
}

fn read_only(kind: Kind) {
    let scene = Scene::new(kind);
    let there = scene.server.root.join("mirror");
    fs::create_dir(&there).unwrap();
    scene.server.give(&there);
    if servers::is_root() {
        chown(&there, Some(0), Some(0)).unwrap();
    }
    fs::set_permissions(&there, fs::Permissions::from_mode(0o555)).unwrap();
    let path = scene.server.remote("mirror");
    let remedy = format!("let the account towline write to {path} on the server");
    ends(
        &scene.init(&[], scene.server.password),
        1,
        &["the test file could not be sent: ", "55", &remedy, "nothing was written here"],
    );
    scene.is_untouched();
    fs::set_permissions(&there, fs::Permissions::from_mode(0o777)).unwrap();
}

fn declined() {
    let scene = Scene::new(Kind::ProFtpd);
    let flags = scene.flags(&[]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    for answer in ["n", ""] {
        let mut pty = Pty::spawn(&scene.command(&flags));
        pty.talk("from now on? [y/N]", answer);
        let (code, heard) = pty.end();
        assert_eq!(code, Some(76), "{heard}");
        assert!(heard.contains("nothing was written, nor was the password sent"), "{heard}");
        scene.is_untouched();
    }
    assert!(!scene.logged_in(), "{}", scene.server.log());
}

fn interrupted() {
    let scene = Scene::new(Kind::ProFtpd);
    let path = scene.server.remote("mirror");
    let place = scene.place();
    let talk = [
        ("Server (", place.as_str()),
        ("User: ", scene.server.user),
        ("Directory here: ", "~/site"),
        ("Directory on the server", &path),
        ("from now on? [y/N]", "y"),
        ("(not shown): ", scene.server.password),
        ("from now on", "n"),
    ];
    for stop in 0..talk.len() {
        let mut pty = Pty::spawn(&scene.command(&["init"]));
        for (question, answer) in &talk[..stop] {
            pty.talk(question, answer);
        }
        pty.expect(talk[stop].0);
        pty.interrupt();
        let (code, heard) = pty.end();
        assert_eq!(code, Some(1), "{heard}");
        assert!(heard.contains("interrupted; nothing was written"), "{heard}");
        assert!(pty.echoes(), "the terminal is left silent");
        scene.is_untouched();
        assert_eq!(scene.held(), Vec::<String>::new());
    }
}

fn added() {
    let scene = Scene::new(Kind::ProFtpd);
    ends(&scene.init(&[], scene.server.password), 0, &[]);
    let first = fs::read_to_string(scene.config()).unwrap();
    fs::create_dir(scene.path("more")).unwrap();
    fs::write(scene.path("more/page"), "second\n").unwrap();
    let (ca, dir) = (scene.server.ca.to_str().unwrap(), scene.path("more"));
    let place = scene.place();
    let other = scene.server.remote("other");
    let flags = ["init", &place, "--user", scene.server.user, "--dir", dir.to_str().unwrap(), "--path", &other, "--ca", ca];
    // By questions: another name is asked for.
    let mut pty = Pty::spawn(&scene.command(&flags));
    pty.talk("A name for this one: ", "server");
    pty.expect("expected a name that no remote has");
    pty.talk("A name for this one: ", "second");
    pty.talk("(not shown): ", scene.server.password);
    pty.talk("from now on", "n");
    assert_eq!(pty.end().0, Some(0), "{}", pty.all());
    let both = fs::read_to_string(scene.config()).unwrap();
    assert!(both.starts_with(&first) && both.len() > first.len(), "{both}");
    ends(&scene.towline(&["sync"]), 0, &["site: 2 files sent", "more: 1 file sent"]);
    assert_eq!(tree(&scene.path("more")), tree(&scene.server.root.join("other")));
    // What is wrong already stays as it is.
    fs::write(scene.config(), "[remot").unwrap();
    ends(&scene.init(&["--remote", "third"], scene.server.password), 78, &["not valid TOML"]);
    assert_eq!(fs::read_to_string(scene.config()).unwrap(), "[remot");
}

fn wrong() {
    let mut scene = Scene::new(Kind::ProFtpd);
    let run = |scene: &Scene, more: &[&str], input: &str| {
        let flags = scene.flags(more);
        scene.piped(&flags.iter().map(String::as_str).collect::<Vec<_>>(), input)
    };
    let password = scene.server.password;
    // Nobody vouches, and nobody is there to be asked, not even with --yes.
    for more in [&["--password-stdin"][..], &["--password-stdin", "--yes"]] {
        ends(&run(&scene, more, password), 76, &["is not trusted", "then say --pin sha256/", "nothing was written"]);
    }
    let other = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    ends(&run(&scene, &["--password-stdin", "--pin", other], password), 76, &["not the one of --pin", "somebody is in between"]);
    ends(&run(&scene, &["--password-stdin", "--pin", "sha256/x"], password), 2, &["44 characters"]);
    assert!(!scene.logged_in(), "{}", scene.server.log());
    ends(&scene.init(&[], "not-the-password"), 77, &["530", "check the user (towline) and the password", "nothing was written"]);
    ends(&scene.init(&[], ""), 78, &["standard input holds no password: it is empty"]);
    ends(&scene.init(&["--service", "user", "--password-store", "credential"], password), 2, &["could not start"]);
    ends(&scene.init(&["--password-store", "env"], password), 2, &["--password-env VAR"]);
    let mut url = scene.flags(&["--password-stdin"]);
    url[1] = format!("ftpes://u:hunter2@{}", scene.place());
    let said = ends(&scene.piped(&url.iter().map(String::as_str).collect::<Vec<_>>(), password), 2, &["can read a command line"]);
    assert!(!said.contains("hunter2"), "{said}");
    scene.server.stop();
    let both = ["explicit TLS on port", "implicit TLS on port", "check host and port", "nothing was written"];
    ends(&scene.init(&[], password), 69, &both);
    scene.is_untouched();
    // A file of that name is there.
    fs::create_dir(scene.path("conf")).unwrap();
    fs::write(scene.path("conf/server.pass"), "mine").unwrap();
    ends(&scene.init(&[], password), 78, &["server.pass is there already", "--password-file"]);
    assert_eq!(fs::read_to_string(scene.path("conf/server.pass")).unwrap(), "mine");
}

fn implicit() {
    let scene = Scene::with(Server::start(Kind::ProFtpd, Options { implicit: true, ..Options::default() }));
    ends(&scene.init(&[], scene.server.password), 0, &["found: implicit TLS", "over TLS 1.3", "written: "]);
    let config = fs::read_to_string(scene.config()).unwrap();
    assert!(config.contains("mode = \"implicit\""), "{config}");
    scene.mirrors();
}

/// In the file that is for it, and nowhere else that anybody sees.
fn canary() {
    let scene = Scene::new(Kind::ProFtpd);
    let secret = scene.server.password;
    let ca = scene.server.ca.to_str().unwrap();
    let flags = scene.flags(&["--ca", ca]);
    let flags: Vec<&str> = ["--log", "trace"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let mut pty = Pty::spawn(&scene.command(&flags));
    pty.talk("(not shown): ", &format!("{secret}-not"));
    pty.expect("no login");
    pty.talk("(not shown): ", secret);
    // While it is in memory: the argument list and the environment of every process of ours.
    pty.expect("a test file was sent");
    for process in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let shown = fs::read(process.path().join(file)).unwrap_or_default();
            let ours = String::from_utf8_lossy(&shown).contains(scene.dir.path().to_str().unwrap());
            assert!(!ours || !holds(&shown, secret), "{}", process.path().display());
        }
    }
    pty.talk("from now on", "n");
    let (code, heard) = pty.end();
    assert_eq!(code, Some(0), "{heard}");
    assert!(heard.contains("PASS ***"), "the trace shows the login: {heard}");
    assert!(!holds(heard.as_bytes(), secret), "{heard}");
    for (path, body) in tree(scene.dir.path()) {
        let its_own = path.ends_with("server.pass");
        assert_eq!(holds(&body.unwrap_or_default(), secret), its_own, "{}", path.display());
    }
}

fn typed() {
    let scene = Scene::new(Kind::ProFtpd);
    let flags = scene.flags(&["--ca", scene.server.ca.to_str().unwrap(), "--password-stdin"]);
    let mut pty = Pty::spawn(&scene.command(&flags.iter().map(String::as_str).collect::<Vec<_>>()));
    pty.expect("verified   yes");
    assert!(support::wait_until(PATIENCE, || !pty.echoes()), "it would be shown");
    pty.answer(scene.server.password);
    let (code, heard) = pty.end();
    assert_eq!(code, Some(0), "{heard}");
    assert!(pty.echoes() && !holds(heard.as_bytes(), scene.server.password), "{heard}");
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|part| part == secret.as_bytes())
}

fn places() {
    let scene = Scene::new(Kind::ProFtpd);
    let ca = scene.server.ca.to_str().unwrap().to_owned();
    let password = scene.server.password;
    let mine = scene.path("mine");
    crate::servers::pki::write_secret(&mine, password);
    let run = |more: &[&str]| {
        let _ = fs::remove_dir_all(scene.path("conf"));
        let flags = scene.flags(&[&["--ca", ca.as_str()], more].concat());
        scene.command(&flags.iter().map(String::as_str).collect::<Vec<_>>()).env("SECRET", password).output().unwrap()
    };
    let written = || fs::read_to_string(scene.config()).unwrap();
    // A file of one's own is used where it is.
    ends(&run(&["--password-file", mine.to_str().unwrap()]), 0, &[]);
    assert!(written().contains(&format!("{{ file = {:?} }}", mine.to_str().unwrap())), "{}", written());
    scene.mirrors();
    ends(&run(&["--password-env", "SECRET"]), 0, &["server.pass with the password"]);
    assert!(written().contains("{ file = \"server.pass\" }"));
    ends(&run(&["--password-env", "SECRET", "--password-store", "env"]), 0, &["The variable SECRET must be set"]);
    assert!(written().contains("{ env = \"SECRET\" }") && !scene.path("conf/server.pass").exists());
    let says = ["systemd-creds encrypt --name=server", "LoadCredentialEncrypted=server"];
    ends(&run(&["--password-env", "SECRET", "--password-store", "credential"]), 0, &says);
    assert!(written().contains("{ credential = \"server\" }") && !scene.path("conf/server.pass").exists());
    ends(&run(&["--password-env", "NOTHING"]), 78, &["NOTHING is not set"]);
    fs::set_permissions(&mine, fs::Permissions::from_mode(0o644)).unwrap();
    ends(&run(&["--password-file", mine.to_str().unwrap()]), 78, &["others can read", "chmod 600"]);
    assert!(!scene.path("conf").exists());
}

const SYSTEMCTL: &str = "#!/bin/sh\necho \"$*\" >> \"$HOME/told\"\n[ ! -e \"$HOME/no-bus\" ] || { echo no bus >&2; exit 1; }\n";

fn service() {
    let scene = Scene::new(Kind::ProFtpd);
    fs::create_dir(scene.path("bin")).unwrap();
    fs::write(scene.path("bin/systemctl"), SYSTEMCTL).unwrap();
    fs::set_permissions(scene.path("bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let mine = scene.path("mine");
    crate::servers::pki::write_secret(&mine, scene.server.password);
    let ca = scene.server.ca.to_str().unwrap();
    let flags = scene.flags(&["--ca", ca, "--password-file", mine.to_str().unwrap(), "--service", "user"]);
    let run = || {
        let mut command = scene.command(&flags.iter().map(String::as_str).collect::<Vec<_>>());
        command.env("PATH", format!("{}:/usr/bin:/bin", scene.path("bin").display())).output().unwrap()
    };
    ends(&run(), 0, &["written: ", "enabled and started"]);
    let unit = fs::read_to_string(scene.path(".config/systemd/user/towline.service")).unwrap();
    assert!(unit.contains(&format!("--config {}", scene.config().display())), "{unit}");
    let told = fs::read_to_string(scene.path("told")).unwrap();
    assert!(told.contains("--user --no-ask-password enable --now towline.service"), "{told}");
    // No service manager: the configuration stays, and that is said.
    fs::remove_dir_all(scene.path("conf")).unwrap();
    fs::write(scene.path("no-bus"), "").unwrap();
    ends(&run(), 1, &["no service manager answers", "the configuration is written, and works"]);
    scene.mirrors();
}

/// Whether the machine's units can be hidden from it: as for vsftpd's accounts.
fn namespace() -> Result<(), Impossible> {
    servers::possible(Kind::Vsftpd).and_then(|()| servers::possible(Kind::ProFtpd))
}

/// As root, in a mount namespace with an `/etc` of its own.
fn machine() {
    let scene = Scene::new(Kind::ProFtpd);
    fs::create_dir(scene.path("bin")).unwrap();
    for program in ["systemctl", "systemd-sysusers"] {
        fs::write(scene.path("bin").join(program), SYSTEMCTL).unwrap();
        fs::set_permissions(scene.path("bin").join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let ca = scene.server.ca.to_str().unwrap();
    let flags = scene.flags(&["--ca", ca, "--password-env", "SECRET", "--service", "system"]);
    let init = scene.command(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let script = "mount -t tmpfs etc \"$0\" && cp -a /etc/. \"$0\" && mount --bind \"$0\" /etc && { \"$@\"; code=$?; \
                  cat /etc/systemd/system/towline.service /etc/systemd/system/towline.service.d/*; exit $code; }";
    let etc = scene.path("etc");
    fs::create_dir(&etc).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", servers::mount_propagation().unwrap(), "sh", "-c", script]);
    command.arg(&etc).arg(init.get_program()).args(init.get_args()).env_clear().stdin(Stdio::null());
    command.env("HOME", scene.dir.path()).env("SECRET", scene.server.password);
    command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", scene.path("bin").display()));
    let pass = scene.path("conf/server.pass");
    let loads = format!("LoadCredential=server:{}\n", pass.display());
    ends(
        &command.output().unwrap(),
        0,
        &["written: ", "who must be able to read", "enabled and started", &loads, "User=towline"],
    );
    let config = fs::read_to_string(scene.config()).unwrap();
    assert!(config.contains("{ credential = \"server\" }"), "{config}");
    assert_eq!(fs::metadata(&pass).unwrap().permissions().mode() & 0o7777, 0o600);
    // As systemd hands it over.
    fs::create_dir(scene.path("credentials")).unwrap();
    fs::copy(&pass, scene.path("credentials/server")).unwrap();
    let mut sync = scene.command(&["sync"]);
    ends(&sync.env("CREDENTIALS_DIRECTORY", scene.path("credentials")).output().unwrap(), 0, &["2 files sent", "in sync"]);
}

fn limit() {
    let scene = Scene::with(Server::start(Kind::Vsftpd, Options { max_clients: Some(1), ..Options::default() }));
    let _other = std::net::TcpStream::connect((scene.server.host, scene.server.port)).unwrap();
    let said = scene.init(&[], scene.server.password);
    let said = ends(&said, 69, &["421", "nothing was written"]);
    assert!(said.contains("limit"), "{said}");
    scene.is_untouched();
}

/// The server's disk is full.
fn full() {
    let scene = Scene::new(Kind::ProFtpd);
    let mount = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).arg(&scene.server.root).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", text(&output));
    };
    mount("mount", &["-t", "tmpfs", "-o", "size=1m,uid=65534,gid=65534,mode=755", "towline-test"]);
    fs::create_dir(scene.server.root.join("mirror")).unwrap();
    scene.server.give(&scene.server.root.join("mirror"));
    fill(&scene.server.root);
    let output = scene.init(&[], scene.server.password);
    mount("umount", &["-l"]);
    ends(&output, 1, &["nothing was written", "free space there"]);
    scene.is_untouched();
}

fn missing() {
    let dir = temp_dir();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
        command.env_clear().env("HOME", dir.path()).arg("--config").arg(dir.path().join("towline.toml"));
        command.arg("init").args(args).stdin(Stdio::null()).output().unwrap()
    };
    let here = dir.path().to_str().unwrap();
    ends(&run(&[]), 2, &["nobody is there to be asked", "SERVER"]);
    ends(&run(&["h"]), 2, &["--user USER"]);
    ends(&run(&["ftpes://u@h"]), 2, &["--dir DIR"]);
    ends(&run(&["h", "--user", "u", "--dir", here]), 2, &["--path DIR"]);
    ends(&run(&["h", "--user", "u", "--dir", "/nowhere/at/all", "--path", "/p"]), 2, &["--dir: expected", "does not exist"]);
    ends(&run(&["h", "--user", "u", "--dir", here, "--path", "relative"]), 2, &["absolute path on the server"]);
    ends(&run(&["h", "--user", "u", "--dir", here, "--path", "/p"]), 2, &["--password-stdin"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
