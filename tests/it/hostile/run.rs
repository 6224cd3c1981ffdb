//! Runs a scenario against the engine in this process, and against the real program; and says what must hold after each.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use secrecy::SecretString;
use tokio::{process::Command, sync::OnceCell, sync::mpsc, time};
use towline::{
    ftps::{DataMode, Mode, Profile, Timeouts, TlsSettings},
    model::RelPath,
    remote::{
        Class, Remote, RemoteError, Session, Source,
        ftps::{FtpsRemote, FtpsSettings},
    },
};

use super::{
    house::{House, Kept, MARK, PASSWORD},
    identity::IDENTITIES,
    scene::{Act, By, Scene, scene},
};
use crate::{
    rig::tree,
    support::{eventually, temp_dir},
};

/// Everything ends within this, with the waits of the tests.
const END: Duration = Duration::from_secs(30);
/// How much more memory the program may need than it does with an honest server, in KiB.
const MOST_GROWN: u64 = 2 * 1024;

/// Runs `scene` as it says.
pub(super) async fn run(scene: Scene) {
    match scene.by {
        By::Engine => engine(&scene).await,
        By::Binary(code) => binary(&scene, code).await,
        By::Both(code) => {
            tokio::join!(engine(&scene), binary(&scene, code));
        }
    }
}

/// The body that is sent.
fn body(scene: &Scene) -> Bytes {
    let mut body = vec![b'x'; if scene.is_large { 12 << 20 } else { 16 << 10 }];
    body[..MARK.len()].copy_from_slice(MARK);
    body.into()
}

struct Body(Bytes);

impl Source for Body {
    fn open(&mut self) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(2);
        let mut rest = self.0.clone();
        tokio::spawn(async move {
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(128 << 10));
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

async fn engine(scene: &Scene) {
    let house = House::open(scene).await;
    let ca = temp_dir();
    fs::write(ca.path().join("ca.pem"), &IDENTITIES.ca).unwrap();
    let settings = FtpsSettings {
        mode: Mode::Explicit,
        data: DataMode::Passive,
        proxy: None,
        host: "127.0.0.1".into(),
        port: house.port,
        user: "somebody".into(),
        password: SecretString::from(PASSWORD),
        base: b"/mirror".to_vec(),
        tls: TlsSettings {
            ca: Some(ca.path().join("ca.pem")),
            pins: scene.pin().into_iter().collect(),
            ..TlsSettings::default()
        },
        timeouts: Timeouts { connect: scene.wait, reply: scene.wait, stall: scene.wait },
        throttle: None,
    };
    let remote = FtpsRemote::new(settings, Profile::default(), Arc::new(|_| {})).unwrap();
    let ended = time::timeout(END, act(&remote, scene)).await.expect("no end");
    nothing_leaked(scene, &house).await;
    match (ended, scene.class) {
        (Ok(()), None) => {}
        (Err(error), Some(class)) => {
            let said = format!("{error}");
            assert_eq!(error.class, class, "{said}");
            assert_says(scene, &said);
            assert!(!said.contains(PASSWORD), "the password is in: {said}");
            assert!(!said.contains(|c: char| c.is_control()), "control characters in: {said:?}");
        }
        (Ok(()), Some(_)) => panic!("it went well; heard:\n{}", house.commands()),
        (Err(error), None) => panic!("{error}; heard:\n{}", house.commands()),
    }
}

async fn act(remote: &FtpsRemote, scene: &Scene) -> Result<(), RemoteError> {
    let path = |name| RelPath::new(name).unwrap();
    let mut session = remote.connect().await?;
    if scene.act == Act::RemoveDir {
        session.remove_dir(&path("d")).await?;
    } else {
        let (temp, body) = (path(".live.txt.part"), body(scene));
        let sent = session.store(&temp, &mut Body(body.clone())).await?;
        if session.size(&temp).await? != Some(sent) || sent != body.len() as u64 {
            return Err(RemoteError::new(Class::Refused, "the size is not proven"));
        }
        session.rename(&temp, &path("live.txt")).await?;
    }
    session.close().await;
    Ok(())
}

/// What must hold whatever the server did.
async fn nothing_leaked(scene: &Scene, house: &House) {
    eventually("the client has gone", END, || house.is_empty()).await;
    assert!(!house.heard(Kept::Wire, PASSWORD.as_bytes()), "the password was on the wire");
    assert!(!house.heard(Kept::Wire, MARK), "the body was on the wire");
    assert!(scene.logs_in || !house.heard(Kept::Inside, PASSWORD.as_bytes()), "the password was told");
    assert!(scene.logs_in || !house.heard(Kept::Inside, b"USER"), "the account was told");
    assert!(scene.sends || !house.heard(Kept::Bodies, MARK), "the body was sent");
    assert_eq!(house.third(), 0, "a third host was connected to");
    assert!(house.pushed() <= scene.pushed, "{} bytes were taken", house.pushed());
    let (live, stored) = (b"RNTO /mirror/live.txt".as_slice(), b"STOR /mirror/live.txt".as_slice());
    assert!(!house.heard(Kept::Inside, stored), "a body was stored under the live name");
    let may_publish = scene.class.is_none() || scene.act == Act::RemoveDir;
    assert!(may_publish || !house.heard(Kept::Inside, live), "it was published");
}

fn assert_says(scene: &Scene, said: &str) {
    for word in scene.words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

/// A run of the program.
struct Ran {
    code: Option<i32>,
    /// On both streams.
    said: String,
    /// The most memory of its own, seen every other millisecond, in KiB; 0 where the system does not tell.
    peak: u64,
}

async fn binary(scene: &Scene, code: i32) {
    let house = House::open(scene).await;
    let dir = temp_dir();
    let ran = sync(scene, &house, dir.path()).await;
    nothing_leaked(scene, &house).await;
    let said = &ran.said;
    assert_eq!(ran.code, Some(code), "{said}\nheard:\n{}", house.commands());
    assert_says(scene, said);
    assert!(!said.contains("panicked"), "{said}");
    assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "control characters in: {said:?}");
    let kept = tree(dir.path()).into_iter().filter(|(name, _)| name != Path::new("pass"));
    let files = kept.filter_map(|(name, bytes)| Some((name.display().to_string(), bytes?)));
    for (name, bytes) in files.chain([("the output".to_owned(), said.clone().into_bytes())]) {
        let found = bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
        assert!(!found, "the password is in {name}: {}", String::from_utf8_lossy(&bytes));
    }
    let honest = if scene.is_large { honest_peak(&LARGE_PEAK, scene).await } else { honest_peak(&PEAK, scene).await };
    assert!(honest > 0 || cfg!(not(target_os = "linux")), "the program was too quick to be measured");
    assert!(ran.peak <= honest + MOST_GROWN, "{} KiB of memory; {honest} with an honest server", ran.peak);
}

static PEAK: OnceCell<u64> = OnceCell::const_new();
static LARGE_PEAK: OnceCell<u64> = OnceCell::const_new();

/// What the program needs with an honest server.
async fn honest_peak(cell: &OnceCell<u64>, like: &Scene) -> u64 {
    *cell
        .get_or_init(|| async {
            let mut honest = scene("honest", |mut guest| async move { guest.go_on().await });
            honest.is_large = like.is_large;
            let (house, dir) = (House::open(&honest).await, temp_dir());
            let ran = sync(&honest, &house, dir.path()).await;
            assert_eq!(ran.code, Some(0), "{}", ran.said);
            ran.peak
        })
        .await
}

/// Runs `towline sync` at trace level, with a configuration in `dir`.
async fn sync(scene: &Scene, house: &House, dir: &Path) -> Ran {
    configure(scene, house, dir);
    let source = dir.join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("live.txt"), body(scene)).unwrap();
    if scene.act == Act::RemoveDir {
        fs::create_dir(source.join("d")).unwrap();
        house.is_honest.store(true, Ordering::SeqCst);
        let first = towline(dir).await;
        assert_eq!(first.code, Some(0), "{}", first.said);
        house.is_honest.store(false, Ordering::SeqCst);
        fs::remove_dir(source.join("d")).unwrap();
    }
    towline(dir).await
}

fn configure(scene: &Scene, house: &House, dir: &Path) {
    fs::write(dir.join("ca.pem"), &IDENTITIES.ca).unwrap();
    fs::write(dir.join("pass"), PASSWORD).unwrap();
    fs::set_permissions(dir.join("pass"), fs::Permissions::from_mode(0o600)).unwrap();
    let pin = scene.pin().map(|pin| format!("pin = [\"{pin}\"]\n")).unwrap_or_default();
    let wait = format!("{}ms", scene.wait.as_millis());
    let text = format!(
        "[remote.lab]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"somebody\"\npassword = {{ file = \"pass\" }}\nconnections = 2\n\
         [remote.lab.tls]\nca = \"ca.pem\"\n{pin}\
         [remote.lab.timeouts]\nconnect = {wait:?}\nreply = {wait:?}\nstall = {wait:?}\n\
         [[mirror]]\nname = \"site\"\nsource = \"source\"\nremote = \"lab\"\npath = \"/mirror\"\nquiet = \"50ms\"\n\
         delete_budget = {{ files = 100, percent = 100 }}\n",
        house.port,
    );
    fs::write(dir.join("towline.toml"), text).unwrap();
}

async fn towline(dir: &Path) -> Ran {
    let log = fs::File::create(dir.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", dir).kill_on_drop(true);
    command.arg("--config").arg(dir.join("towline.toml")).arg("--state-dir").arg(dir.join("state"));
    command.args(["--log", "trace", "sync"]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id().unwrap());
    let mut peak = 0;
    let ended = time::timeout(END, async {
        loop {
            tokio::select! {
                ended = child.wait() => break ended.unwrap(),
                () = time::sleep(Duration::from_millis(2)) => peak = memory_of(&status).unwrap_or_default().max(peak),
            }
        }
    });
    let ended = ended.await;
    let said = fs::read_to_string(dir.join("log")).unwrap();
    Ran { code: ended.unwrap_or_else(|_| panic!("no end:\n{said}")).code(), said, peak }
}

/// What it has asked for. How much of the program itself is resident besides is the page cache's affair: it differs by megabytes.
fn memory_of(status: &str) -> Option<u64> {
    let status = fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
