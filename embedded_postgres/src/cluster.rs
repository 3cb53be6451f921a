//! One embedded Postgres cluster: created if it does not exist, started, and
//! stopped with its owner.

use crate::{Binaries, Error, OsUser, io_error, lifeline::Lifeline, remove_postgres_variables};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long Postgres may take to accept its first connection, including recovery
/// after a crash.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may take to stop after its owner was killed.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum length of a directory path whose socket fits into a socket address, in
/// bytes. It leaves room for `/.s.PGSQL.5432.lock`.
const MAX_SOCKET_FOLDER: usize = 80;

/// The settings of a durable cluster. Its log has no errors of single statements, which
/// clients can cause at will, and no checkpoints, so that it does not grow.
const DURABLE_SETTINGS: [&str; 3] = ["max_connections=100", "log_min_messages=log", "log_checkpoints=off"];

/// The characters of a path that must be encoded in a URL.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The directory of a durable cluster and the user that runs it.
#[derive(Debug, Clone)]
pub struct ClusterLocation {
    /// The directory of the cluster.
    pub folder: PathBuf,
    /// The user that runs the cluster, if not the user of this process.
    pub os_user: Option<OsUser>,
    /// Whether the cluster is outside of the data directory, because the user cannot
    /// access the data directory.
    pub is_moved: bool,
}

impl ClusterLocation {
    /// Returns a location inside the data directory if the user can access it, else
    /// under `/var/lib/confab`.
    pub fn for_data_dir(data: &Path) -> Result<Self, Error> {
        let data = create_and_canonicalize(data)?;
        let os_user = OsUser::find_unprivileged()?;
        let is_reachable = os_user.as_ref().is_none_or(|os_user| os_user.can_reach(&data));
        let folder =
            if is_reachable { data.join("postgres") } else { Path::new("/var/lib/confab").join(short_hash(&data)) };
        Ok(Self { folder, os_user, is_moved: !is_reachable })
    }

    /// Returns the URL of a database of the cluster, if it is running.
    pub fn find_running(&self, database: &str) -> Option<String> {
        let socket_folder = socket_folder_path(&self.folder);
        socket_folder.join(".s.PGSQL.5432").exists().then(|| url(&socket_folder, database))
    }
}

/// A running Postgres. Dropping it stops it.
#[derive(Debug)]
pub struct Cluster {
    data_dir: PathBuf,
    socket_folder: PathBuf,
    lifeline: Lifeline,
}

impl Cluster {
    /// Starts the durable cluster of a location. Creates the cluster on the first call.
    pub async fn start_durable(binaries: &Binaries, location: &ClusterLocation) -> Result<Self, Error> {
        let folder = &location.folder;
        let data_dir = folder.join("data");
        make_folder(folder, location.os_user.as_ref())?;
        if let Some(os_user) = &location.os_user {
            os_user.own_all(folder, &data_dir)?;
        }
        check_version(&data_dir, binaries)?;
        wait_for_orphan(&data_dir)?;
        if !data_dir.join("PG_VERSION").exists() {
            // Create it under another name and rename it, so that an interrupted first
            // start leaves no incomplete cluster.
            let fresh = folder.join("fresh");
            let _ = fs::remove_dir_all(&fresh);
            init_data_dir(binaries, &fresh, location.os_user.as_ref(), &[])?;
            fs::rename(&fresh, &data_dir).map_err(io_error("moving the new database into place"))?;
        }
        let socket_folder = socket_folder(folder, location.os_user.as_ref())?;
        let log = folder.join("postgres.log");
        start(binaries, &data_dir, socket_folder, &log, None, location.os_user.as_ref(), &DURABLE_SETTINGS).await
    }

    /// Starts a cluster in a new temporary directory that is removed when the cluster
    /// stops. The data survives a killed process, but not a crash of the machine.
    pub async fn start_temporary(binaries: &Binaries) -> Result<Self, Error> {
        let os_user = OsUser::find_unprivileged()?;
        let folder = tempfile::Builder::new()
            .prefix("confab-pg-")
            .tempdir()
            .map_err(io_error("creating a temporary directory"))?
            .keep();
        let data_dir = folder.join("data");
        if let Some(os_user) = &os_user {
            os_user.chown(&folder)?;
        }
        init_data_dir(binaries, &data_dir, os_user.as_ref(), &["--no-sync"])?;
        let log = folder.join("postgres.log");
        let settings = ["fsync=off", "full_page_writes=off", "max_connections=300"];
        start(binaries, &data_dir, folder.clone(), &log, Some(&folder), os_user.as_ref(), &settings).await
    }

    /// Returns the URL of a database of this cluster.
    pub fn url(&self, database: &str) -> String {
        url(&self.socket_folder, database)
    }

    /// Creates a database as a copy of `template`, unless one of this name exists.
    pub async fn create_database(&self, name: &str, template: &str) -> Result<(), Error> {
        let mut server = PgConnection::connect(&self.url("postgres")).await?;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(&mut server)
            .await?;
        if !exists {
            // Both names are constants and never input.
            let sql = format!("create database \"{name}\" template \"{template}\"");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut server).await?;
        }
        server.close().await?;
        Ok(())
    }

    /// Whether the server process is running.
    pub fn is_running(&self) -> bool {
        running_postmaster(&self.data_dir).is_some()
    }

    /// Stops the cluster and waits until it has stopped.
    pub fn stop(mut self) {
        self.lifeline.stop();
    }
}

async fn start(
    binaries: &Binaries,
    data_dir: &Path,
    socket_folder: PathBuf,
    log: &Path,
    scratch: Option<&Path>,
    os_user: Option<&OsUser>,
    settings: &[&str],
) -> Result<Cluster, Error> {
    let mut arguments: Vec<OsString> = vec!["-D".into(), data_dir.into(), "-k".into(), socket_folder.clone().into()];
    for setting in ["listen_addresses=", "port=5432", "unix_socket_permissions=0700"].iter().chain(settings) {
        arguments.extend(["-c".into(), (*setting).into()]);
    }
    let mut lifeline = Lifeline::start(&binaries.folder.join("postgres"), &arguments, log, scratch, os_user)?;
    let deadline = Instant::now() + START_TIMEOUT;
    while PgConnection::connect(&url(&socket_folder, "postgres")).await.is_err() {
        if !is_starting(&mut lifeline, data_dir, log) || Instant::now() > deadline {
            return Err(Error::NotStarted(read_log_tail(log)));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Cluster { data_dir: data_dir.to_owned(), socket_folder, lifeline })
}

/// Whether the server is still starting. The shell keeps running after the server has
/// failed, so this reads the log: a failed server logs FATAL and leaves no
/// postmaster.pid. Connections of an earlier killed server may also have logged FATAL.
fn is_starting(lifeline: &mut Lifeline, data_dir: &Path, log: &Path) -> bool {
    let has_failed = || {
        read_log_tail(log).lines().any(|line| line.contains("FATAL") && !line.contains("terminating connection"))
            && !data_dir.join("postmaster.pid").exists()
    };
    lifeline.is_alive() && !has_failed()
}

fn init_data_dir(binaries: &Binaries, data_dir: &Path, os_user: Option<&OsUser>, flags: &[&str]) -> Result<(), Error> {
    let mut command = Command::new(binaries.folder.join("initdb"));
    command
        .arg("-D")
        .arg(data_dir)
        .args(["-U", "confab", "--auth-local=trust", "--auth-host=reject", "-E", "UTF8", "--locale=C.UTF-8"])
        .args(flags)
        .stdin(Stdio::null())
        .current_dir("/");
    remove_postgres_variables(&mut command);
    if let Some(os_user) = os_user {
        os_user.apply_to(&mut command);
    }
    let output = command.output().map_err(io_error("running initdb"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(Error::NotStarted(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

fn check_version(data_dir: &Path, binaries: &Binaries) -> Result<(), Error> {
    match fs::read_to_string(data_dir.join("PG_VERSION")) {
        Ok(found) if found.trim() != binaries.version.to_string() => Err(Error::VersionMismatch {
            folder: data_dir.to_owned(),
            found: found.trim().to_owned(),
            installed: binaries.version,
        }),
        _ => Ok(()),
    }
}

/// Waits until the server of a killed owner has stopped. A server that keeps running
/// belongs to another owner.
fn wait_for_orphan(data_dir: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + ORPHAN_TIMEOUT;
    while let Some(pid) = running_postmaster(data_dir) {
        if Instant::now() > deadline {
            return Err(Error::InUse { folder: data_dir.to_owned(), pid });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn running_postmaster(data_dir: &Path) -> Option<u32> {
    // The file also contains the path, which need not be text.
    let file = fs::read(data_dir.join("postmaster.pid")).ok()?;
    let pid: u32 = String::from_utf8_lossy(&file).lines().next()?.trim().parse().ok()?;
    // After a power failure the file remains, and another process may have the id.
    // Only a process whose command line contains this directory is the server.
    let command = fs::read(format!("/proc/{pid}/cmdline"));
    let folder = data_dir.as_os_str().as_encoded_bytes();
    if command.is_ok_and(|command| !command.windows(folder.len()).any(|part| part == folder)) {
        return None;
    }
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    match rustix::process::test_kill_process(process) {
        Ok(()) | Err(rustix::io::Errno::PERM) => Some(pid),
        Err(_) => None,
    }
}

fn url(socket_folder: &Path, database: &str) -> String {
    let folder = percent_encode(socket_folder.as_os_str().as_encoded_bytes(), NOT_UNRESERVED);
    // Set every part, because sqlx takes a missing part from a PG* variable.
    format!("postgres://confab@{folder}:5432/{database}?sslmode=disable")
}

/// Returns a directory next to the cluster, or, if that path is too long for a socket
/// address or is not UTF-8, as a URL must be, a short temporary directory of the same
/// owner.
fn socket_folder(folder: &Path, os_user: Option<&OsUser>) -> Result<PathBuf, Error> {
    let socket_folder = socket_folder_path(folder);
    make_folder(&socket_folder, os_user)?;
    Ok(socket_folder)
}

fn socket_folder_path(folder: &Path) -> PathBuf {
    match folder.join("socket") {
        near if near.as_os_str().len() <= MAX_SOCKET_FOLDER && near.to_str().is_some() => near,
        _ => std::env::temp_dir().join(format!("confab-{}", short_hash(folder))),
    }
}

fn make_folder(folder: &Path, os_user: Option<&OsUser>) -> Result<(), Error> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(io_error(format!("creating {}", parent.display())))?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io_error(format!("creating {}", folder.display()))(error)),
    }
    if let Some(os_user) = os_user {
        os_user.chown(folder)?;
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .map_err(io_error(format!("restricting access to {}", folder.display())))
}

fn create_and_canonicalize(path: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(path).map_err(io_error(format!("creating {}", path.display())))?;
    fs::canonicalize(path).map_err(io_error(format!("finding {}", path.display())))
}

fn short_hash(path: &Path) -> String {
    let mut digits = hex::encode(Sha256::digest(path.as_os_str().as_encoded_bytes()));
    digits.truncate(12);
    digits
}

fn read_log_tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
}
