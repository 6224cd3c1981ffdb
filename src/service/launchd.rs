//! launchd: the property lists, and `launchctl`.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{Found, Installed, Removed, Scope, ServiceError, Told, Values, ask, is_sealed, look, order, remove, sealed, write};

/// The service's label.
pub const LABEL: &str = "towline";
/// Whom the machine's service runs as.
const USER: &str = "_towline";

const SEAL: (&str, &str) = ("<!-- ", " -->");

/// The property list (`launchd.plist(5)`).
pub fn plist(scope: Scope, values: &Values) -> String {
    let mut call = vec![xml(&values.program)];
    for (option, path) in [("--config", &values.config), ("--state-dir", &values.state)] {
        if let Some(path) = path {
            call.extend([option.to_owned(), xml(path)]);
        }
    }
    call.push("run".to_owned());
    let call: String = call.iter().map(|word| format!("\t\t<string>{word}</string>\n")).collect();
    let user = match scope {
        Scope::System => format!("\t<key>UserName</key>\n\t<string>{USER}</string>\n"),
        Scope::User => String::new(),
    };
    // launchd cannot tell exit codes apart: it starts anew whatever failed, and so it waits a minute.
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n\
         \t<key>Label</key>\n\t<string>{LABEL}</string>\n\
         \t<key>ProgramArguments</key>\n\t<array>\n{call}\t</array>\n{user}\
         \t<key>RunAtLoad</key>\n\t<true/>\n\
         \t<key>KeepAlive</key>\n\t<dict>\n\t\t<key>SuccessfulExit</key>\n\t\t<false/>\n\t</dict>\n\
         \t<key>ThrottleInterval</key>\n\t<integer>60</integer>\n\
         \t<key>ExitTimeOut</key>\n\t<integer>20</integer>\n\
         \t<key>ProcessType</key>\n\t<string>Background</string>\n\
         \t<key>Umask</key>\n\t<integer>{}</integer>\n\
         </dict>\n</plist>\n",
        0o077
    );
    sealed(&text, SEAL.0, SEAL.1)
}

/// A path as the text of an element. What XML cannot hold is left out: launchd says then that there is no such file.
fn xml(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes())
        .chars()
        .filter(|c| !c.is_control())
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

/// The service manager, for one scope.
#[derive(Clone, Debug)]
pub struct Launchd {
    scope: Scope,
    /// `system`, or `gui/UID`.
    domain: String,
    /// Where the property list lies.
    pub file: PathBuf,
}

impl Launchd {
    /// The machine's.
    pub fn system() -> Self {
        let file = Path::new("/Library/LaunchDaemons").join(format!("{LABEL}.plist"));
        Self { scope: Scope::System, domain: "system".to_owned(), file }
    }

    /// That of the person `uid`, at home in `home`.
    pub fn user(home: &Path, uid: u32) -> Self {
        let file = home.join("Library/LaunchAgents").join(format!("{LABEL}.plist"));
        Self { scope: Scope::User, domain: format!("gui/{uid}"), file }
    }

    /// Writes the property list and starts the service. Done already, it does nothing.
    ///
    /// # Errors
    /// When there is no launchd, it refuses, or the file was changed by hand (not if `force`).
    pub fn install(&self, values: &Values, force: bool) -> Result<Installed, ServiceError> {
        let runs = self.status()?.runs;
        let text = plist(self.scope, values);
        let found = self.writable(&text, force)?;
        if found == Found::Same && runs {
            return Ok(Installed::Already);
        }
        if found != Found::Same {
            write(&self.file, &text)?;
        }
        if runs {
            order("launchctl", &["bootout", &self.target()])?;
        }
        order("launchctl", &["bootstrap", &self.domain, &self.file.to_string_lossy()])?;
        Ok(match found {
            Found::Missing => Installed::New,
            Found::Same => Installed::Started,
            Found::Stale | Found::ByHand => Installed::Changed,
        })
    }

    /// Stops the service and removes the property list; says whether there was one.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub fn uninstall(&self, force: bool) -> Result<Removed, ServiceError> {
        let runs = self.status()?.runs;
        if self.writable("", force)? == Found::Missing {
            return Ok(Removed::Nothing);
        }
        if runs {
            order("launchctl", &["bootout", &self.target()])?;
        }
        remove(&self.file)?;
        Ok(Removed::Unit)
    }

    /// What launchd says of the service.
    ///
    /// # Errors
    /// When there is no launchd.
    pub fn status(&self) -> Result<Told, ServiceError> {
        let (runs, said, _) = ask("launchctl", &["print", &self.target()])?;
        let state = said.lines().find_map(|line| line.trim().strip_prefix("state = ")).unwrap_or("loaded").to_owned();
        Ok(Told { words: format!("{LABEL}: {}", if runs { &state } else { "not loaded" }), runs })
    }

    fn target(&self) -> String {
        format!("{}/{LABEL}", self.domain)
    }

    fn writable(&self, wanted: &str, force: bool) -> Result<Found, ServiceError> {
        match look(&self.file, wanted, |text| is_sealed(text, SEAL.0, SEAL.1))? {
            Found::ByHand if !force => Err(ServiceError::ChangedByHand(self.file.clone())),
            found => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_list_holds_any_path() {
        let values = Values { program: "/Applications/A & <B>/towline".into(), config: Some("/c".into()), state: None };
        let text = plist(Scope::User, &values);
        assert!(
            text.contains("<string>/Applications/A &amp; &lt;B&gt;/towline</string>\n\t\t<string>--config</string>"),
            "{text}"
        );
        assert!(is_sealed(&text, SEAL.0, SEAL.1) && !text.contains("UserName"));
    }
}
