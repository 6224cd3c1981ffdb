//! How editors save: the sequences of system calls that they make in the document's directory, replayed. One upload a save, no
//! temporary name ever sent, the document's own name never deleted. vim's way in place was recorded with strace from vim 9.0; the
//! others are written down as their programs are known to save, and were not recorded here.
//!
//! Names that live as long as the document is open (vim's swap file, LibreOffice's lock) are no temporary names to a daemon that waits
//! for a file to hold still: whoever does not want them on the server ignores them, as the configuration here does.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use libtest_mimic::Trial;

use crate::{
    rig::Rig,
    servers::{self, Kind, Tls},
    support::scaled,
};

const NAME: &str = "notes.txt";

/// Each is given the document's directory, and what to save.
type Save = fn(&Path, &[u8]);

const EDITORS: [(&str, Save); 8] = [
    ("vim", vim),
    ("vim_with_a_backup_by_renaming", vim_renaming),
    ("vscode", vscode),
    ("vscode_atomic", vscode_atomic),
    ("jetbrains_safe_write", jetbrains),
    ("jetbrains_with_a_backup_by_copying", jetbrains_copying),
    ("libreoffice", libreoffice),
    ("libreoffice_by_renaming", libreoffice_renaming),
];

pub(crate) fn trials() -> Vec<Trial> {
    let trial =
        |(name, save): (&str, Save)| servers::trial(Kind::ProFtpd, format!("saves::{name}"), move || async move { saved(save) });
    EDITORS.into_iter().map(trial).collect()
}

fn saved(save: Save) {
    let rig = Rig::new(Kind::ProFtpd, Tls::Both);
    rig.configure("ignore = [\".*.sw?\", \".~lock.*#\"]");
    // The quiet window is the one that users have.
    let file = rig.dir.path().join("towline.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("quiet = \"50ms\"\n", "")).unwrap();
    rig.write(NAME, "the first version\n");
    rig.write("other", "another file\n");
    let _daemon = rig.run();
    rig.await_sync();
    let rounds = usize::try_from(scaled(3, 50)).unwrap();
    for round in 1..=rounds {
        let body = format!("version {round} of it\n").repeat(2000 + 100 * round);
        save(&rig.source, body.as_bytes());
        assert_eq!(fs::read(rig.source.join(NAME)).unwrap(), body.as_bytes(), "the sequence is wrong");
        rig.await_sync();
    }
    assert_eq!(rig.commands("STOR"), 2 + rounds, "one upload a save\n{}", rig.server.log());
    let log = rig.server.log();
    let published: Vec<_> = log.lines().filter_map(|line| line.strip_prefix("RNTO ")?.split(' ').next()).collect();
    let wanted = [rig.server.remote(&format!("mirror/{NAME}")), rig.server.remote("mirror/other")];
    let published: Vec<_> = published.into_iter().filter(|name| !name.contains("/.towline-probe/")).collect();
    assert!(published.iter().all(|name| wanted.iter().any(|w| w == name)), "temporary names were published: {published:?}");
    assert_eq!(published.len(), 2 + rounds, "{log}");
    let deleted: Vec<_> = log.lines().filter(|line| line.starts_with("DELE ") && !line.contains(".towline-")).collect();
    assert!(deleted.is_empty(), "{deleted:?}");
    // What was moved to another name there would have been missing for a moment.
    let moved: Vec<_> = log.lines().filter(|line| line.starts_with("RNFR ") && !line.contains(".towline-")).collect();
    assert!(moved.is_empty(), "{moved:?}");
}

/// Makes the file, writes in pieces as large as most programs do, and syncs.
fn write(mut file: File, body: &[u8]) {
    body.chunks(8192).for_each(|piece| file.write_all(piece).unwrap());
    file.sync_all().unwrap();
}

/// `:e`, `:w`, `:q` with `backupcopy=yes` or without a backup: the swap file comes and goes, the document is written in place.
fn vim(dir: &Path, body: &[u8]) {
    let [swap, second] = ["swp", "swx"].map(|ending| dir.join(format!(".{NAME}.{ending}")));
    drop((File::create_new(&swap).unwrap(), File::create_new(&second).unwrap()));
    fs::remove_file(second).unwrap();
    fs::remove_file(&swap).unwrap();
    write(File::create_new(&swap).unwrap(), &[b'b'; 4096]);
    // O_WRONLY|O_CREAT, then ftruncate.
    let file = File::options().write(true).open(dir.join(NAME)).unwrap();
    file.set_len(0).unwrap();
    write(file, body);
    fs::remove_file(swap).unwrap();
}

/// `:w` with `writebackup` and `backupcopy=no`: whether the directory can be written to is tried with a file called 4913; then the
/// document is moved aside, written anew, and the old one removed.
fn vim_renaming(dir: &Path, body: &[u8]) {
    let (swap, probe) = (dir.join(format!(".{NAME}.swp")), dir.join("4913"));
    write(File::create_new(&swap).unwrap(), &[b'b'; 4096]);
    drop(File::create_new(&probe).unwrap());
    fs::remove_file(probe).unwrap();
    let backup = dir.join(format!("{NAME}~"));
    fs::rename(dir.join(NAME), &backup).unwrap();
    write(File::create(dir.join(NAME)).unwrap(), body);
    fs::remove_file(backup).unwrap();
    fs::remove_file(swap).unwrap();
}

/// O_WRONLY|O_CREAT|O_TRUNC, write, fdatasync.
fn vscode(dir: &Path, body: &[u8]) {
    let mut file = File::create(dir.join(NAME)).unwrap();
    file.write_all(body).unwrap();
    file.sync_data().unwrap();
}

/// With the atomic write that its file service has: `.vsctmp`, then a rename.
fn vscode_atomic(dir: &Path, body: &[u8]) {
    let temp = dir.join(format!("{NAME}.vsctmp"));
    write(File::create(&temp).unwrap(), body);
    fs::rename(temp, dir.join(NAME)).unwrap();
}

/// "Safe write": the new one complete beside the old, two renames, the old one removed.
fn jetbrains(dir: &Path, body: &[u8]) {
    let [temp, old] = ["___jb_tmp___", "___jb_old___"].map(|ending| dir.join(format!("{NAME}{ending}")));
    write(File::create(&temp).unwrap(), body);
    fs::rename(dir.join(NAME), &old).unwrap();
    fs::rename(temp, dir.join(NAME)).unwrap();
    fs::remove_file(old).unwrap();
}

/// As newer versions do: a copy aside, the document written in place, the copy removed.
fn jetbrains_copying(dir: &Path, body: &[u8]) {
    let backup = dir.join(format!("{NAME}~"));
    fs::copy(dir.join(NAME), &backup).unwrap();
    write(File::create(dir.join(NAME)).unwrap(), body);
    fs::remove_file(backup).unwrap();
}

/// The document moved aside (`.osl-tmp`), a finished one copied from elsewhere to its name, mode and times set, the old one removed.
fn libreoffice(dir: &Path, body: &[u8]) {
    let (lock, aside) = (dir.join(format!(".~lock.{NAME}#")), dir.join(format!("{NAME}.osl-tmp")));
    fs::write(&lock, ",user,host,23.11.2026 01:00,file:///home/user;").unwrap();
    fs::rename(dir.join(NAME), &aside).unwrap();
    let file = File::create_new(dir.join(NAME)).unwrap();
    let permissions = file.metadata().unwrap().permissions();
    write(file.try_clone().unwrap(), body);
    file.set_permissions(permissions).unwrap();
    file.set_modified(file.metadata().unwrap().modified().unwrap()).unwrap();
    fs::remove_file(aside).unwrap();
    fs::remove_file(lock).unwrap();
}

/// Where the temporary file is in the document's directory: `lu*.tmp`, made empty, filled, renamed.
fn libreoffice_renaming(dir: &Path, body: &[u8]) {
    let (lock, temp) = (dir.join(format!(".~lock.{NAME}#")), dir.join("lu42301k2n1o.tmp"));
    fs::write(&lock, ",user,host,23.11.2026 01:00,file:///home/user;").unwrap();
    drop(File::create_new(&temp).unwrap());
    write(File::create(&temp).unwrap(), body);
    fs::rename(temp, dir.join(NAME)).unwrap();
    fs::remove_file(lock).unwrap();
}
