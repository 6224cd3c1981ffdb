//! vsftpd's configurations: local users in a chroot, and the anonymous mode that needs no root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{NOBODY, Site};

/// Local users, PAM and chroot. In a mount namespace the daemon sees accounts, passwords and a PAM service of our own.
pub(super) fn local(site: &Site) -> Command {
    let dir = site.dir.display();
    let pam = site.dir.join("pam.d");
    let empty = site.dir.join("empty");
    for path in [&pam, &empty] {
        fs::create_dir_all(path).unwrap();
    }
    fs::set_permissions(&empty, PermissionsExt::from_mode(0o555)).unwrap();
    let user = Site::USER;
    fs::write(
        pam.join(user),
        "auth required pam_unix.so nodelay\naccount required pam_permit.so\nsession required pam_permit.so\n",
    )
    .unwrap();
    fs::write(
        site.dir.join("passwd"),
        format!("root:x:0:0::/:/bin/false\nnobody:x:{NOBODY}:{NOBODY}::/:/bin/false\n{user}:x:{NOBODY}:{NOBODY}::/:/bin/false\n"),
    )
    .unwrap();
    super::pki::write_secret(&site.dir.join("shadow"), &format!("{user}:{}:19000::::::\n", Site::PASSWORD_HASH));

    let settings = format!(
        "anonymous_enable=NO\nlocal_enable=YES\nlocal_umask=022\nlocal_root={root}\nchroot_local_user=YES\nallow_writeable_chroot=YES\n\
         secure_chroot_dir={empty}\nnopriv_user=nobody\npam_service_name={user}\n\
         force_local_logins_ssl=YES\nforce_local_data_ssl=YES\n",
        root = site.root.display(),
        empty = empty.display(),
    );
    write_configuration(site, &settings);

    let mounts = "mount --bind $0/pam.d /etc/pam.d && mount --bind $0/passwd /etc/passwd && mount --bind $0/shadow /etc/shadow";
    let mut command = Command::new("unshare");
    site.environment(&mut command);
    let propagation = super::mount_propagation().expect("asked by `possible`");
    command.args(["-m", "--propagation", propagation, "sh", "-c", &format!("{mounts} && exec \"$1\" \"$0/vsftpd.conf\"")]);
    command.arg(dir.to_string()).arg(site.programs.join("usr/sbin/vsftpd"));
    command
}

/// Anonymous users who may write; the daemon runs as whoever starts it, and has no chroot.
pub(super) fn anonymous(site: &Site) -> Command {
    let settings = format!(
        "run_as_launching_user=YES\nanonymous_enable=YES\nlocal_enable=NO\nftp_username={account}\nanon_root={root}\nno_anon_password=NO\n\
         anon_upload_enable=YES\nanon_mkdir_write_enable=YES\nanon_other_write_enable=YES\nanon_world_readable_only=NO\nanon_umask=022\n\
         allow_anon_ssl=YES\nforce_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\n",
        account = site.account().0,
        root = site.root.display(),
    );
    write_configuration(site, &settings);
    if !site.privileged {
        let mut command = site.program("usr/sbin/vsftpd");
        command.arg(site.dir.join("vsftpd.conf"));
        return command;
    }
    // As root we become `nobody`, who owns the configuration (vsftpd insists) and may be kept out of the folder with the programs.
    let program = site.dir.join("vsftpd");
    if !program.exists() {
        fs::copy(site.programs.join("usr/sbin/vsftpd"), &program).unwrap();
        let libs = site.dir.join("libs");
        fs::create_dir(&libs).unwrap();
        for entry in fs::read_dir(site.programs.join("libs")).unwrap() {
            let entry = entry.unwrap();
            let copy = libs.join(entry.file_name());
            match fs::read_link(entry.path()) {
                Ok(target) => symlink(target, copy).unwrap(),
                Err(_) => drop(fs::copy(entry.path(), copy).unwrap()),
            }
        }
    }
    let mut command = Command::new(program);
    site.environment(&mut command);
    command.env("LD_LIBRARY_PATH", site.dir.join("libs"));
    site.give(&site.dir);
    command.arg(site.dir.join("vsftpd.conf")).uid(NOBODY).gid(NOBODY);
    command
}

fn write_configuration(site: &Site, settings: &str) {
    let dir = site.dir.display();
    let options = &site.options;
    let mut text = format!(
        "{listen}\nlisten_port={port}\npasv_min_port={low}\npasv_max_port={high}\nport_enable={active}\n\
         background=NO\nwrite_enable=YES\ntcp_wrappers=NO\nseccomp_sandbox=NO\n\
         ssl_enable=YES\nssl_tlsv1=YES\nssl_sslv2=NO\nssl_sslv3=NO\nssl_ciphers=HIGH\nrequire_ssl_reuse={reuse}\nstrict_ssl_read_eof=YES\n\
         rsa_cert_file={dir}/server.pem\nrsa_private_key_file={dir}/server.key\n\
         xferlog_enable=YES\nxferlog_std_format=NO\nlog_ftp_protocol=YES\ndebug_ssl=YES\nvsftpd_log_file={log}\n{settings}",
        listen = match options.ipv6 {
            true => format!("listen=NO\nlisten_ipv6=YES\nlisten_address6={}", site.host),
            false => format!("listen=YES\nlisten_address={}", site.host),
        },
        active = yes(options.active),
        reuse = yes(options.reuse),
        port = site.ports.control,
        low = site.ports.passive.start(),
        high = site.ports.passive.end(),
        log = site.log().display(),
    );
    if options.implicit {
        text += "implicit_ssl=YES\n";
    }
    if options.client_certificate {
        text += &format!("require_cert=YES\nvalidate_cert=YES\nca_certs_file={dir}/ca.pem\n");
    }
    if let Some(limit) = options.max_clients {
        text += &format!("max_clients={limit}\n");
    }
    text += &options.extra;
    text.push('\n');
    fs::write(site.dir.join("vsftpd.conf"), text).unwrap();
}

fn yes(on: bool) -> &'static str {
    if on { "YES" } else { "NO" }
}
