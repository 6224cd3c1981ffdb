//! ProFTPD's configuration: virtual users; a chroot where we are root. TLS session reuse is required by default.

use std::fs;
use std::process::Command;

use super::{Site, Tls, pki};

pub(super) fn command(site: &Site) -> Command {
    let dir = site.dir.display();
    let options = &site.options;
    let (account, group, uid, gid) = site.account();
    pki::write_secret(
        &site.dir.join("users"),
        &format!("{}:{}:{uid}:{gid}::{}:/bin/false\n", Site::USER, Site::PASSWORD_HASH, site.root.display()),
    );
    let versions = match options.tls {
        Tls::V12 => "TLSv1.2",
        Tls::V13 => "TLSv1.3",
        Tls::Both => "TLSv1.2 TLSv1.3",
    };
    // `LoadModule mod_copy.c` and the like can be given as extra lines.
    let mut text = format!(
        "ModulePath {modules}\nLoadModule mod_tls.c\n\
         ServerName towline\nServerType standalone\nDefaultServer on\nDefaultAddress {host}\nUseIPv6 {ipv6}\nSocketBindTight on\n\
         Port {port}\nPassivePorts {low} {high}\nUser {account}\nGroup {group}\nUmask 022\nMaxInstances 100\n\
         PidFile {dir}/pid\nScoreboardFile {dir}/scoreboard\nDelayTable none\nDelayEngine off\nWtmpLog off\nTransferLog none\n\
         UseReverseDNS off\nControlsEngine off\n\
         AuthOrder mod_auth_file.c\nAuthUserFile {dir}/users\nAuthPAM off\nRequireValidShell off\n\
         AllowOverwrite on\nAllowStoreRestart on\nAllowRetrieveRestart on\n\
         SystemLog {dir}/system.log\nSyslogLevel info\nLogFormat commands \"%r %s\"\nExtendedLog {log} ALL commands\n\
         TLSEngine on\nTLSRequired on\nTLSProtocol {versions}\nTLSLog {dir}/tls.log\nTLSVerifyClient {verify}\nTLSRenegotiate none\n\
         TLSECCertificateFile {dir}/server.pem\nTLSECCertificateKeyFile {dir}/server.key\n",
        modules = site.programs.join("modules").display(),
        host = site.host,
        ipv6 = on(options.ipv6),
        verify = on(options.client_certificate),
        port = site.ports.control,
        low = site.ports.passive.start(),
        high = site.ports.passive.end(),
        log = site.log().display(),
    );
    if site.privileged {
        text += "DefaultRoot ~\n";
    }
    let tls = [(options.implicit, "UseImplicitSSL"), (!options.reuse, "NoSessionReuseRequired")];
    let tls: Vec<&str> = tls.iter().filter(|(wanted, _)| *wanted).map(|(_, option)| *option).collect();
    if !tls.is_empty() {
        text += &format!("TLSOptions {}\n", tls.join(" "));
    }
    if options.client_certificate {
        text += &format!("TLSCACertificateFile {dir}/ca.pem\n");
    }
    if !options.active {
        text += "<Limit PORT EPRT>\nDenyAll\n</Limit>\n";
    }
    if let Some(limit) = options.max_clients {
        text += &format!("MaxClients {limit}\n");
    }
    // Of two lines the first would count.
    if options.extra.contains("TLSVerifyClient ") {
        text = text.replace("TLSVerifyClient off\n", "");
    }
    text += &options.extra;
    text.push('\n');
    let configuration = site.dir.join("proftpd.conf");
    fs::write(&configuration, text).unwrap();
    let mut command = site.program("usr/sbin/proftpd");
    command.args(["-n", "-q", "-c"]).arg(configuration);
    command
}

fn on(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
