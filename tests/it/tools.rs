//! Small programs in C that do to Towline what safe Rust cannot: killing it at a certain system call, making a system call fail. Compiled
//! when first needed, with the compiler that the build needs anyway.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::support::Impossible;

/// Kills a program before one of its system calls that write: `cutter NUMBER REPORT PROGRAM...`.
pub(crate) fn cutter() -> Result<&'static Path, Impossible> {
    static CUTTER: OnceLock<Result<PathBuf, Impossible>> = OnceLock::new();
    CUTTER.get_or_init(|| compiled("cutter")).as_deref().map_err(Clone::clone)
}

/// Runs a program that cannot read directories: `unlisting PROGRAM...`.
pub(crate) fn unlisting() -> Result<&'static Path, Impossible> {
    static UNLISTING: OnceLock<Result<PathBuf, Impossible>> = OnceLock::new();
    UNLISTING.get_or_init(|| compiled("unlisting")).as_deref().map_err(Clone::clone)
}

/// Compiles `tools/NAME.c` and tries it on `true`.
fn compiled(name: &str) -> Result<PathBuf, Impossible> {
    let source = format!("{}/tests/it/tools/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let compiled =
        Command::new("cc").args(["-O1", "-Wall", "-Werror", "-o"]).arg(&program).arg(source).stdin(Stdio::null()).output();
    let compiled = compiled.map_err(|error| Impossible::Missing(format!("the C compiler cc: {error}")))?;
    if !compiled.status.success() {
        return Err(Impossible::Missing(String::from_utf8_lossy(&compiled.stderr).into_owned()));
    }
    let mut tried = Command::new(&program);
    if name == "cutter" {
        tried.args(["0", "/dev/null"]);
    }
    match tried.arg("true").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(program),
        Ok(output) => Err(Impossible::NotAllowed(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()))),
        Err(error) => Err(Impossible::NotAllowed(format!("{name}: {error}"))),
    }
}
