//! One embedded Postgres cluster: made if it is not there, started, and stopped
//! with its owner.

use super::{Account, Binaries, Error, io_error, lifeline::Lifeline};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long Postgres may take to accept its first connection, also after a crash.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server whose owner was killed may take to finish stopping.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest path of a folder whose socket still fits into a socket address,
/// with room for `/.s.PGSQL.5432.lock`.
const MAX_SOCKET_FOLDER: usize = 80;

/// Where a durable cluster lives, and as whom.
#[derive(Debug, Clone)]
pub struct Home {
    /// The cluster's folder.
    pub folder: PathBuf,
    /// Who runs it, if not we ourselves.
    pub account: Option<Account>,
    /// Whether it could not lie in the data folder and lies elsewhere.
    pub is_moved: bool,
}

impl Home {
    /// For a data folder: inside it if Postgres can get there, else, for root
    /// with a data folder in a private place, under `/var/lib/confab`.
    pub fn of(data: &Path) -> Result<Self, Error> {
        let data = absolute(data)?;
        let account = Account::to_become()?;
        let reachable = account.as_ref().is_none_or(|account| account.can_reach(&data));
        let folder =
            if reachable { data.join("postgres") } else { Path::new("/var/lib/confab").join(short_name(&data)) };
        Ok(Self { folder, account, is_moved: !reachable })
    }
}

/// A running Postgres. Dropping it stops it.
#[derive(Debug)]
pub struct Cluster {
    data: PathBuf,
    socket_folder: PathBuf,
    lifeline: Lifeline,
}

impl Cluster {
    /// Starts the durable cluster of a home, made on the first call.
    pub async fn durable(binaries: &Binaries, home: &Home) -> Result<Self, Error> {
        let folder = &home.folder;
        let cluster = folder.join("data");
        make_folder(folder, home.account.as_ref())?;
        refuse_other_version(&cluster, binaries)?;
        wait_for_orphan(&cluster)?;
        if !cluster.join("PG_VERSION").exists() {
            // Made beside and moved into place, so that an interrupted first
            // start leaves nothing half-made behind.
            let fresh = folder.join("fresh");
            let _ = fs::remove_dir_all(&fresh);
            init(binaries, &fresh, home.account.as_ref(), &[])?;
            fs::rename(&fresh, &cluster).map_err(io_error("moving the new database into place"))?;
        }
        let socket_folder = socket_folder(folder, home.account.as_ref())?;
        let log = folder.join("postgres.log");
        start(binaries, &cluster, socket_folder, &log, None, home.account.as_ref(), &["max_connections=100"]).await
    }

    /// Starts a cluster in a new temporary folder that goes when it stops. It
    /// survives the death of a process, not of the machine.
    pub async fn scratch(binaries: &Binaries) -> Result<Self, Error> {
        let account = Account::to_become()?;
        let folder = tempfile::Builder::new()
            .prefix("confab-pg-")
            .tempdir()
            .map_err(io_error("making a temporary folder"))?
            .keep();
        let cluster = folder.join("data");
        if let Some(account) = &account {
            account.own(&folder)?;
        }
        init(binaries, &cluster, account.as_ref(), &["--no-sync"])?;
        let log = folder.join("postgres.log");
        let settings = ["fsync=off", "full_page_writes=off", "max_connections=300"];
        start(binaries, &cluster, folder.clone(), &log, Some(&folder), account.as_ref(), &settings).await
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        url(&self.socket_folder, database)
    }

    /// Makes a database if there is none of this name, as a copy of `template`.
    pub async fn create_database(&self, name: &str, template: &str) -> Result<(), Error> {
        let mut server = PgConnection::connect(&self.url("postgres")).await?;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(&mut server)
            .await?;
        if !exists {
            // Our own names, never input.
            let sql = format!("create database \"{name}\" template \"{template}\"");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut server).await?;
        }
        server.close().await?;
        Ok(())
    }

    /// Whether its server process is there.
    pub fn is_running(&self) -> bool {
        running_postmaster(&self.data).is_some()
    }

    /// Stops it and waits until it has stopped.
    pub fn stop(mut self) {
        self.lifeline.stop();
    }
}

async fn start(
    binaries: &Binaries,
    cluster: &Path,
    socket_folder: PathBuf,
    log: &Path,
    scratch: Option<&Path>,
    account: Option<&Account>,
    settings: &[&str],
) -> Result<Cluster, Error> {
    let mut arguments = vec!["-D".to_owned(), cluster.display().to_string()];
    arguments.extend(["-k".to_owned(), socket_folder.display().to_string()]);
    for setting in ["listen_addresses=", "port=5432", "unix_socket_permissions=0700"].iter().chain(settings) {
        arguments.extend(["-c".to_owned(), (*setting).to_owned()]);
    }
    let mut lifeline = Lifeline::start(&binaries.folder.join("postgres"), &arguments, log, scratch, account)?;
    let deadline = Instant::now() + START_TIMEOUT;
    while PgConnection::connect(&url(&socket_folder, "postgres")).await.is_err() {
        if !lifeline_is_starting(&mut lifeline, cluster, log) || Instant::now() > deadline {
            return Err(Error::NotStarted(tail(log)));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Cluster { data: cluster.to_owned(), socket_folder, lifeline })
}

/// The shell waits for us even when the server is gone, so the log decides: a
/// server that gave up says FATAL and leaves no postmaster.pid. The last words of
/// the connections of one that was killed before it may be in there too.
fn lifeline_is_starting(lifeline: &mut Lifeline, cluster: &Path, log: &Path) -> bool {
    let gave_up = || {
        tail(log).lines().any(|line| line.contains("FATAL") && !line.contains("terminating connection"))
            && !cluster.join("postmaster.pid").exists()
    };
    lifeline.is_alive() && !gave_up()
}

fn init(binaries: &Binaries, cluster: &Path, account: Option<&Account>, flags: &[&str]) -> Result<(), Error> {
    let mut command = Command::new(binaries.folder.join("initdb"));
    command
        .arg("-D")
        .arg(cluster)
        .args(["-U", "confab", "--auth-local=trust", "--auth-host=reject", "-E", "UTF8", "--locale=C.UTF-8"])
        .args(flags)
        .stdin(Stdio::null())
        .current_dir("/");
    if let Some(account) = account {
        account.lend_to(&mut command);
    }
    let output = command.output().map_err(io_error("running initdb"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(Error::NotStarted(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

fn refuse_other_version(cluster: &Path, binaries: &Binaries) -> Result<(), Error> {
    match fs::read_to_string(cluster.join("PG_VERSION")) {
        Ok(found) if found.trim() != binaries.version.to_string() => Err(Error::OtherVersion {
            folder: cluster.to_owned(),
            found: found.trim().to_owned(),
            here: binaries.version,
        }),
        _ => Ok(()),
    }
}

/// A server whose owner was killed is stopping right now; one that stays is
/// somebody's.
fn wait_for_orphan(cluster: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + ORPHAN_TIMEOUT;
    while let Some(pid) = running_postmaster(cluster) {
        if Instant::now() > deadline {
            return Err(Error::InUse { folder: cluster.to_owned(), pid });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn running_postmaster(cluster: &Path) -> Option<u32> {
    let file = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let pid: u32 = file.lines().next()?.trim().parse().ok()?;
    // A machine that lost power leaves the file, and the number is somebody
    // else's by now: only a process that names this folder is ours.
    let command = fs::read(format!("/proc/{pid}/cmdline"));
    if command.is_ok_and(|command| !String::from_utf8_lossy(&command).contains(&cluster.display().to_string())) {
        return None;
    }
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    match rustix::process::test_kill_process(process) {
        Ok(()) | Err(rustix::io::Errno::PERM) => Some(pid),
        Err(_) => None,
    }
}

fn url(socket_folder: &Path, database: &str) -> String {
    let folder: String = socket_folder
        .display()
        .to_string()
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    // Said in full: what is left out would be taken from the shell's PG* variables.
    format!("postgres://confab@{folder}:5432/{database}?sslmode=disable")
}

/// Beside the cluster, or, if that path is too long for a socket address, in a
/// short temporary folder of the same owner.
fn socket_folder(folder: &Path, account: Option<&Account>) -> Result<PathBuf, Error> {
    let socket_folder = match folder.join("socket") {
        near if near.as_os_str().len() <= MAX_SOCKET_FOLDER => near,
        _ => std::env::temp_dir().join(format!("confab-{}", short_name(folder))),
    };
    make_folder(&socket_folder, account)?;
    Ok(socket_folder)
}

fn make_folder(folder: &Path, account: Option<&Account>) -> Result<(), Error> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(io_error(format!("making {}", parent.display())))?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io_error(format!("making {}", folder.display()))(error)),
    }
    if let Some(account) = account {
        account.own(folder)?;
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .map_err(io_error(format!("closing {} to others", folder.display())))
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(path).map_err(io_error(format!("making {}", path.display())))?;
    fs::canonicalize(path).map_err(io_error(format!("finding {}", path.display())))
}

fn short_name(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
}
