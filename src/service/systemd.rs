//! systemd: the units, and `systemctl`.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{Found, Installed, Removed, Scope, ServiceError, Told, Values, ask, is_sealed, look, order, remove, sealed, write};

/// The unit's name.
pub const UNIT: &str = "towline.service";
/// The configuration of the machine's service, where no other is named.
pub const SYSTEM_CONFIG: &str = "/etc/towline/towline.toml";
/// The state of the machine's service, where no other is named.
pub const SYSTEM_STATE: &str = "/var/lib/towline";
/// The control socket of the machine's service.
pub const SYSTEM_SOCKET: &str = "/run/towline/control.sock";

/// The user that the machine's service runs as, unless a drop-in says otherwise.
pub const SYSTEM_USER: &str = "towline";

const SYSTEM_UNITS: &str = "/etc/systemd/system";
const SYSUSERS_FILE: &str = "/etc/sysusers.d/towline.conf";
/// Where packages have theirs, below it one directory for each scope.
const PACKAGED_UNITS: &str = "/usr/lib/systemd";

/// Opens and closes the line of the seal.
const SEAL: (&str, &str) = ("# ", "");

/// The unit.
pub fn unit(scope: Scope, values: &Values) -> String {
    let (template, config) = match scope {
        Scope::System => (include_str!("system.unit"), SYSTEM_CONFIG),
        Scope::User => (include_str!("user.unit"), "%E/towline/towline.toml"),
    };
    let config = values.config.as_deref().map_or_else(|| config.to_owned(), word);
    let state = values.state.as_deref().map(|dir| format!(" --state-dir {}", word(dir))).unwrap_or_default();
    let call = |verb: &str| format!("{} --config {config}{state} {verb}", word(&values.program));
    // Everything else is read-only.
    let writable = values.state.as_deref().map(|dir| format!("ReadWritePaths={}\n", word(dir))).unwrap_or_default();
    let text = template.replace("@RUN@", &call("run")).replace("@RELOAD@", &call("reload")).replace("@WRITABLE@", &writable);
    sealed(&text, SEAL.0, SEAL.1)
}

/// The user that the machine's service runs as, for `systemd-sysusers`.
pub fn sysusers() -> String {
    sealed(include_str!("sysusers.conf"), SEAL.0, SEAL.1)
}

/// A drop-in that hands the file to the service as the credential `name` (`systemd.exec(5)`, "LoadCredential=").
fn credential(name: &str, file: &Path) -> String {
    let file = file.display().to_string().replace('%', "%%");
    sealed(&format!("# Only root can read the file.\n[Service]\nLoadCredential={name}:{file}\n"), SEAL.0, SEAL.1)
}

/// A path as one word of a command line in a unit: quoted where it must be, specifiers and variables escaped (`systemd.service(5)`,
/// "Command lines").
fn word(path: &Path) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+@:,".contains(b);
    let bytes = path.as_os_str().as_bytes();
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return bytes.iter().map(|b| char::from(*b)).collect();
    }
    let escaped: String = bytes
        .iter()
        .map(|b| match b {
            b'%' => "%%".to_owned(),
            b'$' => "$$".to_owned(),
            b'"' | b'\\' => format!("\\{}", char::from(*b)),
            b' '..=b'~' => char::from(*b).to_string(),
            b => format!("\\x{b:02x}"),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// The service manager, for one scope.
#[derive(Clone, Debug)]
pub struct Systemd {
    scope: Scope,
    /// Where the unit lies that is ours to write.
    file: PathBuf,
    /// Where a package's lies, if there is one. Ours would hide it, and every later version of it.
    packaged: PathBuf,
}

impl Systemd {
    /// The machine's.
    pub fn system() -> Self {
        let packaged = Path::new(PACKAGED_UNITS).join("system").join(UNIT);
        Self { scope: Scope::System, file: Path::new(SYSTEM_UNITS).join(UNIT), packaged }
    }

    /// A person's, whose configuration is below `config` (`$XDG_CONFIG_HOME`).
    pub fn user(config: &Path) -> Self {
        let packaged = Path::new(PACKAGED_UNITS).join("user").join(UNIT);
        Self { scope: Scope::User, file: config.join("systemd/user").join(UNIT), packaged }
    }

    /// The unit that is in force: the one that was written here, or else a package's.
    pub fn file(&self) -> &Path {
        if self.is_packaged() { &self.packaged } else { &self.file }
    }

    /// Whether the unit came with a package, and none was written over it.
    pub fn is_packaged(&self) -> bool {
        !self.file.exists() && self.packaged.exists()
    }

    /// Writes the unit, unless a package has brought it just so, enables and starts it. Done already, it does nothing.
    ///
    /// # Errors
    /// When there is no systemd, it refuses, or a file was changed by hand (not if `force`).
    pub fn install(&self, values: &Values, force: bool) -> Result<Installed, ServiceError> {
        self.answers()?;
        let text = unit(self.scope, values);
        let found = match self.writable(&self.file, &text, force)? {
            Found::Missing if look(&self.packaged, &text, |_| false)? == Found::Same => Found::Same,
            found => found,
        };
        if self.scope == Scope::System && !self.is_packaged() {
            let (file, users) = (Path::new(SYSUSERS_FILE), sysusers());
            if self.writable(file, &users, force)? != Found::Same {
                write(file, &users)?;
            }
            // A user that is there is left alone.
            order("systemd-sysusers", &[SYSUSERS_FILE])?;
        }
        if found != Found::Same {
            write(&self.file, &text)?;
            self.order(&["daemon-reload"])?;
        }
        let told = self.properties()?;
        Ok(match found {
            Found::Same if told.runs && told.enabled => Installed::Already,
            Found::Missing | Found::Same => {
                self.order(&["enable", "--now", UNIT])?;
                if found == Found::Same { Installed::Started } else { Installed::New }
            }
            Found::Stale | Found::ByHand => {
                self.order(&["enable", UNIT])?;
                self.order(&["restart", UNIT])?;
                Installed::Changed
            }
        })
    }

    /// Has the service get the file as the credential `name`, by a drop-in beside its unit; says whether that is new. The service learns
    /// of it when it is started anew.
    ///
    /// # Errors
    /// When there is no systemd, or the drop-in was changed by hand.
    pub fn load_credential(&self, name: &str, file: &Path) -> Result<bool, ServiceError> {
        self.answers()?;
        let drop_in = self.file.with_extension("service.d").join(format!("credential-{name}.conf"));
        let text = credential(name, file);
        if self.writable(&drop_in, &text, false)? == Found::Same {
            return Ok(false);
        }
        write(&drop_in, &text)?;
        self.order(&["daemon-reload"])?;
        Ok(true)
    }

    /// Starts the service anew.
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn restart(&self) -> Result<(), ServiceError> {
        self.order(&["restart", UNIT])
    }

    /// Stops the service, disables it and removes the unit, if it is not a package's.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub fn uninstall(&self, force: bool) -> Result<Removed, ServiceError> {
        self.answers()?;
        if self.is_packaged() {
            self.order(&["disable", "--now", UNIT])?;
            return Ok(Removed::Disabled);
        }
        if self.writable(&self.file, "", force)? == Found::Missing {
            return Ok(Removed::Nothing);
        }
        self.order(&["disable", "--now", UNIT])?;
        remove(&self.file)?;
        self.order(&["daemon-reload"])?;
        Ok(Removed::Unit)
    }

    /// Removes what is left of the machine's service when its unit is gone: drop-ins, configuration, state, its user. Says what it removed.
    ///
    /// # Errors
    /// When a file cannot be removed, or the user.
    pub fn purge(&self) -> Result<Vec<String>, ServiceError> {
        let mut gone = Vec::new();
        let config = Path::new(SYSTEM_CONFIG).parent().map(Path::to_owned);
        for path in [Some(self.file.with_extension("service.d")), config, Some(SYSTEM_STATE.into())].into_iter().flatten() {
            match fs::remove_dir_all(&path) {
                Ok(()) => gone.push(path.display().to_string()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ServiceError::File { path, source }),
            }
        }
        let users = Path::new(SYSUSERS_FILE);
        remove(users)?;
        // The directory was made for it, where it is empty now.
        if let Some(dir) = users.parent() {
            let _ = fs::remove_dir(dir);
        }
        if is_ours(&ask("getent", &["passwd", SYSTEM_USER])?.1) {
            order("userdel", &[SYSTEM_USER])?;
            gone.push(format!("the user {SYSTEM_USER}"));
        }
        self.order(&["daemon-reload"])?;
        Ok(gone)
    }

    /// What systemd says of the service.
    ///
    /// # Errors
    /// When there is no systemd.
    pub fn status(&self) -> Result<Told, ServiceError> {
        self.answers()?;
        let Properties { words, runs, .. } = self.properties()?;
        Ok(Told { words, runs })
    }

    fn answers(&self) -> Result<(), ServiceError> {
        match ask("systemctl", &self.scoped(&["show", "--property=Version"]))? {
            (true, ..) => Ok(()),
            (false, _, why) => Err(ServiceError::NoManager { manager: "systemctl", why }),
        }
    }

    fn order(&self, args: &[&str]) -> Result<(), ServiceError> {
        order("systemctl", &self.scoped(args))
    }

    fn properties(&self) -> Result<Properties, ServiceError> {
        let asked = ["show", "--property=LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus", UNIT];
        Ok(Properties::read(&ask("systemctl", &self.scoped(&asked))?.1))
    }

    fn scoped<'a>(&self, args: &[&'a str]) -> Vec<&'a str> {
        let scope = (self.scope == Scope::User).then_some("--user");
        scope.into_iter().chain(["--no-ask-password"]).chain(args.iter().copied()).collect()
    }

    /// How a file is that would be overwritten or removed.
    fn writable(&self, file: &Path, wanted: &str, force: bool) -> Result<Found, ServiceError> {
        match look(file, wanted, |text| is_sealed(text, SEAL.0, SEAL.1))? {
            Found::ByHand if !force => Err(ServiceError::ChangedByHand(file.to_owned())),
            found => Ok(found),
        }
    }
}

/// Whether a line of `passwd(5)` is that of the user which [`sysusers`] makes, and not a person's who has the same name.
fn is_ours(line: &str) -> bool {
    let fields: Vec<&str> = line.trim_end().split(':').collect();
    matches!(fields[..], [SYSTEM_USER, _, uid, _, _, SYSTEM_STATE, _] if uid.parse().is_ok_and(|uid: u32| uid < 1000))
}

/// What `systemctl show` prints.
#[derive(Debug, PartialEq, Eq)]
struct Properties {
    words: String,
    runs: bool,
    enabled: bool,
}

impl Properties {
    fn read(shown: &str) -> Self {
        let of = |key: &str| shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
        let active = of("ActiveState");
        let enabled = of("UnitFileState") == "enabled";
        let words = if of("LoadState") == "not-found" {
            format!("{UNIT}: not installed")
        } else {
            let mut words = format!("{UNIT}: {active} ({}), {}", of("SubState"), if enabled { "enabled" } else { "not enabled" });
            if !matches!(of("Result"), "" | "success") {
                words += &format!("; it ended with {} ({})", of("Result"), of("ExecMainStatus"));
            }
            words
        };
        Self { words, runs: matches!(active, "active" | "activating" | "reloading"), enabled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_runs_what_it_is_told_to() {
        let values = Values {
            program: "/opt/tow line/towline".into(),
            config: Some("/etc/50%.toml".into()),
            state: Some("/srv/s".into()),
        };
        let unit = unit(Scope::System, &values);
        for line in [
            "ExecStart=\"/opt/tow line/towline\" --config \"/etc/50%%.toml\" --state-dir /srv/s run\n",
            "ExecReload=\"/opt/tow line/towline\" --config \"/etc/50%%.toml\" --state-dir /srv/s reload\n",
            "ReadWritePaths=/srv/s\n",
            "RestartPreventExitStatus=77 78\n",
            "#LoadCredential=",
        ] {
            assert!(unit.contains(line), "{line} is missing in:\n{unit}");
        }
        for scope in [Scope::System, Scope::User] {
            let unit = super::unit(scope, &Values::packaged());
            assert!(!unit.contains("@RE") && !unit.contains("@WR") && !unit.contains("@RU"), "{unit}");
            assert!(is_sealed(&unit, SEAL.0, SEAL.1));
        }
    }

    #[test]
    fn a_drop_in_for_a_credential() {
        let text = credential("web", Path::new("/etc/towline/50%.pass"));
        assert!(text.contains("[Service]\nLoadCredential=web:/etc/towline/50%%.pass\n"), "{text}");
        assert!(is_sealed(&text, SEAL.0, SEAL.1));
    }

    #[test]
    fn words_of_a_command_line() {
        for (path, expected) in [
            ("/usr/bin/towline", "/usr/bin/towline"),
            ("/a b", "\"/a b\""),
            ("/a\"$HOME\\%h", "\"/a\\\"$$HOME\\\\%%h\""),
            ("/a\nb\u{e9}", "\"/a\\x0ab\\xc3\\xa9\""),
        ] {
            assert_eq!(word(Path::new(path)), expected);
        }
    }

    #[test]
    fn a_unit_of_a_package_is_in_force_until_one_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let systemd = Systemd { scope: Scope::System, file: at("etc.service"), packaged: at("usr.service") };
        assert_eq!((systemd.is_packaged(), systemd.file()), (false, &*at("etc.service")));
        write(&at("usr.service"), "[Unit]\n").unwrap();
        assert_eq!((systemd.is_packaged(), systemd.file()), (true, &*at("usr.service")));
        write(&at("etc.service"), "[Unit]\n").unwrap();
        assert_eq!((systemd.is_packaged(), systemd.file()), (false, &*at("etc.service")));
    }

    #[test]
    fn only_the_user_that_was_made_for_the_service_goes() {
        assert!(is_ours("towline:x:998:998:Towline, a mirror to FTPS servers:/var/lib/towline:/usr/sbin/nologin\n"));
        for other in [
            "",
            "towline:x:1001:1001::/home/towline:/bin/bash",
            "towline:x:1001:1001::/var/lib/towline:/bin/bash",
            "towline:x:998:998::/srv/towline:/usr/sbin/nologin",
            "other:x:998:998::/var/lib/towline:/usr/sbin/nologin",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn what_systemd_says() {
        let said = |shown: &str| {
            let Properties { words, runs, enabled } = Properties::read(shown);
            (words, runs, enabled)
        };
        let runs =
            "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nResult=success\nExecMainStatus=0\n";
        assert_eq!(said(runs), ("towline.service: active (running), enabled".into(), true, true));
        let failed = "Result=exit-code\nExecMainStatus=78\nLoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=disabled\n";
        let words = "towline.service: failed (failed), not enabled; it ended with exit-code (78)";
        assert_eq!(said(failed), (words.into(), false, false));
        assert_eq!(said("LoadState=not-found\nActiveState=inactive\n"), ("towline.service: not installed".into(), false, false));
    }
}
