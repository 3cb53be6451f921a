//! The command line: composes the servers and prints messages. It contains no domain
//! rules.

mod cluster;
mod configuration;
mod data_dir;
mod database;
mod dev;
mod doctor;
mod exposure;
mod frontend;
mod mailbox;
mod maintenance;
mod node;

use anyhow::Context;
use chat_core::{auth::keys, db};
use chat_http::{
    config,
    settings::{DatabaseSettings, LogSettings},
    telemetry,
};
use clap::{CommandFactory, Parser, Subcommand};
use fixtures::{demo, scale};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

#[derive(Parser)]
#[command(name = "confab", version, about = "A chat backend that loses no event")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogSettings,
}

#[derive(Subcommand)]
enum Command {
    /// Run both servers in one process, with an embedded Postgres unless DATABASE_URL is
    /// set.
    Dev(dev::Dev),
    /// Run a cluster on this machine: Postgres, Redis, several servers of each kind,
    /// and nginx.
    Cluster(cluster::Cluster),
    /// Run both servers in one process on an existing database.
    Serve(node::Serve),
    /// Migrate the schema of a database.
    Migrate(DatabaseSettings),
    /// Fill an empty database with the demo data, or with a large data set.
    Seed(Seed),
    /// Run housekeeping now; the servers run it every hour.
    Housekeeping(maintenance::Housekeeping),
    /// Export the data of an account, as JSON lines.
    ExportAccount(maintenance::AccountArgs),
    /// Delete an account; its messages stay under an anonymous name.
    DeleteAccount(maintenance::AccountArgs),
    /// Replace the password of an account by a random one, and end its sessions.
    ResetPassword(maintenance::AccountArgs),
    /// Make a user an operator, who moderates the whole server.
    MakeOperator(maintenance::MakeOperator),
    /// Replace the key that signs tokens; sessions stay valid.
    RotateKeys(RotateKeys),
    /// Replace the key that seals secrets in the database; no server restarts.
    RotateSecrets(maintenance::RotateSecrets),
    /// Print the OpenAPI 3.1 description of the API.
    Openapi,
    /// Print the documentation of all settings, as Markdown.
    Configuration,
    /// Check this machine and print how to fix problems.
    Doctor(doctor::Doctor),
}

/// Replace the key that signs tokens; sessions stay valid. Servers read the keys when
/// they start: restart the notify servers first, then the chat servers.
#[derive(clap::Args)]
struct RotateKeys {
    /// File with the Ed25519 private key that signs tokens, as PKCS#8 PEM.
    #[arg(long, env = "JWT_PRIVATE_KEY_FILE", default_value = "data/keys/jwt_private.pem")]
    jwt_private_key_file: PathBuf,
    /// File with the public keys of the current and previous private keys, as PEM.
    #[arg(long, env = "JWT_PUBLIC_KEY_FILE", default_value = "data/keys/jwt_public.pem")]
    jwt_public_key_file: PathBuf,
}

impl RotateKeys {
    fn run(&self) -> anyhow::Result<()> {
        keys::rotate(&self.jwt_private_key_file, &self.jwt_public_key_file).map_err(database::source_error)?;
        println!("the server signs with {} after its next start", self.jwt_private_key_file.display());
        println!("distribute the public keys in {} to every server first", self.jwt_public_key_file.display());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = config::parse();
    telemetry::init(cli.log.log_format);
    let outcome = match cli.command {
        Command::Dev(dev) => dev.run().await,
        Command::Cluster(cluster) => cluster.run().await,
        Command::Serve(serve) => serve.run().await,
        Command::Migrate(database) => migrate(&database).await,
        Command::Seed(seed) => seed.run().await,
        Command::Housekeeping(housekeeping) => housekeeping.run().await,
        Command::ExportAccount(account) => account.export().await,
        Command::DeleteAccount(account) => account.delete().await,
        Command::ResetPassword(account) => account.reset_password().await,
        Command::MakeOperator(operator) => operator.run().await,
        Command::RotateKeys(keys) => keys.run(),
        Command::RotateSecrets(secrets) => secrets.run().await,
        Command::Openapi => print_text(chat_server::openapi_json()),
        Command::Configuration => print_text(&configuration::markdown(&Cli::command())),
        Command::Doctor(doctor) => return doctor.run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("confab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a long text. A reader that closes the pipe early, such as `head`, is no error.
fn print_text(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("writing to standard output"),
    }
}

async fn migrate(database: &DatabaseSettings) -> anyhow::Result<()> {
    let db = database::create_pool(&database.database_url)?;
    db::migrate(&db).await.map_err(database::database_error)?;
    println!("the schema is up to date");
    Ok(())
}

#[derive(clap::Args)]
struct Seed {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Also add a large data set: a million messages, ten thousand users and five
    /// thousand chats. Takes a few minutes.
    #[arg(long)]
    scale: bool,
}

impl Seed {
    async fn run(self) -> anyhow::Result<()> {
        let db = database::create_pool(&self.database.database_url)?;
        db::migrate(&db).await.map_err(database::database_error)?;
        let hasher = chat_core::auth::Hasher::new()?;
        match demo::seed(&db, &hasher).await.map_err(database::database_error)? {
            true => println!("seeded the demo data"),
            false => println!("the database already has users; nothing was changed"),
        }
        if self.scale {
            scale::seed(&db, scale::LARGE).await.map_err(database::database_error)?;
            println!("added the large data set");
        }
        Ok(())
    }
}
