//! The nginx that stands before a cluster: the configuration that is published,
//! with the cluster's own addresses in it.

use anyhow::{Context, ensure};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What belongs in the http block.
const PUBLISHED: &str = include_str!("../../../deploy/nginx.conf");

/// Writes the configuration; answers where it is.
pub(super) fn configure(
    folder: &Path,
    front: SocketAddr,
    chats: &[SocketAddr],
    notifies: &[SocketAddr],
    pages: SocketAddr,
) -> anyhow::Result<PathBuf> {
    let servers = |addresses: &[SocketAddr]| {
        let lines = addresses.iter().map(|address| format!("server {address} max_fails=1 fail_timeout=2s;"));
        lines.collect::<Vec<_>>().join("\n    ")
    };
    let mut http = PUBLISHED.to_owned();
    for (sample, own) in [
        ("server 127.0.0.1:6688 max_fails=1 fail_timeout=2s;", servers(chats)),
        ("server 127.0.0.1:6687 max_fails=1 fail_timeout=2s;", servers(notifies)),
        ("server 127.0.0.1:6686;", format!("server {pages};")),
        ("listen 127.0.0.1:8080;", format!("listen {front};")),
    ] {
        ensure!(http.contains(sample), "deploy/nginx.conf has no line `{sample}`");
        http = http.replace(sample, &own);
    }
    let folder_name = folder.display();
    // Started by root, its workers would be somebody who cannot reach the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("    {what}_temp_path \"{folder_name}/nginx-{what}\";\n"))
        .collect();
    let main = format!(
        "{user}daemon off;\npid \"{folder_name}/nginx.pid\";\nerror_log stderr warn;\nworker_processes 1;\n\
         worker_rlimit_nofile 16384;\nevents {{ worker_connections 8192; }}\n\
         http {{\n    access_log off;\n{temporary}    include \"{folder_name}/confab.conf\";\n}}\n"
    );
    fs::write(folder.join("confab.conf"), http).context("writing the configuration of nginx")?;
    let path = folder.join("nginx.conf");
    fs::write(&path, main).context("writing the configuration of nginx")?;
    Ok(path)
}
