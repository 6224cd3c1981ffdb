//! The Debian package of the program under test, built as a release builds it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::support::Impossible;

/// The version that is installed first: Cargo.toml's.
pub(super) const FIRST: &str = concat!(env!("CARGO_PKG_VERSION"), "-1");
/// A later one, of the same program.
pub(super) const LATER: &str = concat!(env!("CARGO_PKG_VERSION"), "-2");

/// Where the packages of both versions are.
pub(super) fn dir() -> Result<PathBuf, Impossible> {
    static DIR: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    DIR.get_or_init(build).clone().map_err(Impossible::Missing)
}

/// The package of one version.
pub(super) fn file(version: &str) -> PathBuf {
    let dir = dir().expect("the trial was to ask first");
    let found = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    let name = format!("towline_{version}_");
    let is_it = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&name);
    found.into_iter().find(is_it).unwrap_or_else(|| panic!("no {name}*.deb in {}", dir.display()))
}

fn build() -> Result<PathBuf, String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    let _ = std::fs::remove_dir_all(&dir);
    for version in [FIRST, LATER] {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/build"));
        command.args(["deb", "--fast", "--binary", env!("CARGO_BIN_EXE_towline"), "--version", version, "--out"]).arg(&dir);
        let output = command.stdin(Stdio::null()).output().map_err(|e| format!("packaging/build: {e}"))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            eprintln!("{told}");
            return Err(format!("no package: {}", told.trim().lines().next_back().unwrap_or("packaging/build failed")));
        }
    }
    Ok(dir)
}
