//! The nginx in front of a cluster: its configuration is the published
//! `deploy/nginx.conf` with the cluster's addresses.

use anyhow::{Context, ensure};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The content of the `http` block.
const NGINX_TEMPLATE: &str = include_str!("../../../deploy/nginx.conf");

/// Writes the configuration and returns its path.
pub(super) fn write_config(
    folder: &Path,
    public_address: SocketAddr,
    chat_addresses: &[SocketAddr],
    notify_addresses: &[SocketAddr],
    frontend_address: SocketAddr,
) -> anyhow::Result<PathBuf> {
    let servers = |addresses: &[SocketAddr]| {
        let lines = addresses.iter().map(|address| format!("server {address} max_fails=1 fail_timeout=2s;"));
        lines.collect::<Vec<_>>().join("\n    ")
    };
    let mut http = NGINX_TEMPLATE.to_owned();
    for (sample, replacement) in [
        ("server 127.0.0.1:6688 max_fails=1 fail_timeout=2s;", servers(chat_addresses)),
        ("server 127.0.0.1:6687 max_fails=1 fail_timeout=2s;", servers(notify_addresses)),
        ("server 127.0.0.1:6686;", format!("server {frontend_address};")),
        ("listen 127.0.0.1:8080;", format!("listen {public_address};")),
    ] {
        ensure!(http.contains(sample), "deploy/nginx.conf has no line `{sample}`");
        http = http.replace(sample, &replacement);
    }
    let folder_path = folder.display();
    // If root starts nginx, its workers run as a user who cannot access the directory.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("    {what}_temp_path \"{folder_path}/nginx-{what}\";\n"))
        .collect();
    let main = format!(
        "{user}daemon off;\npid \"{folder_path}/nginx.pid\";\nerror_log stderr warn;\nworker_processes 1;\n\
         worker_rlimit_nofile 16384;\nevents {{ worker_connections 8192; }}\n\
         http {{\n{temporary}    include \"{folder_path}/confab.conf\";\n}}\n"
    );
    fs::write(folder.join("confab.conf"), http).context("writing the nginx configuration")?;
    let path = folder.join("nginx.conf");
    fs::write(&path, main).context("writing the nginx configuration")?;
    Ok(path)
}
