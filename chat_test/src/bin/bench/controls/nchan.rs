//! nchan, the fan-out module of nginx, with one worker.

use crate::process::{Server, pinned_command};
use std::{fs, net::TcpListener, path::Path};

/// The path of the module in Debian's package.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// Starts nginx with nchan in a directory. Returns `None` if nchan is not installed.
pub(crate) fn start(folder: &Path) -> Option<Server> {
    if !Path::new(MODULE).exists() {
        return None;
    }
    let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let folder_name = folder.display();
    let configuration = format!(
        "load_module {MODULE};
         daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {folder_name}/nginx.pid; error_log {folder_name}/error.log;
         events {{ worker_connections 19000; }}
         http {{
             access_log off; keepalive_requests 100000000; client_body_temp_path {folder_name}/body;
             proxy_temp_path {folder_name}/proxy; fastcgi_temp_path {folder_name}/fastcgi;
             uwsgi_temp_path {folder_name}/uwsgi; scgi_temp_path {folder_name}/scgi;
             nchan_shared_memory_size 512M;
             server {{
                 listen 127.0.0.1:{port} backlog=4096;
                 location = /events {{ nchan_subscriber eventsource; nchan_channel_id bench; nchan_message_buffer_length 1000; }}
                 location = /publish {{ nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 1000; }}
             }}
         }}"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration).ok()?;
    let mut command = pinned_command("nginx");
    command.arg("-c").arg(&file).arg("-p").arg(folder);
    Some(Server::start_at(command, format!("127.0.0.1:{port}")))
}
