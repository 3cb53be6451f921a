//! Confab's command line: the door to both servers. It composes and prints; it
//! holds no rule.

mod cluster;
mod data;
mod database;
mod dev;
mod doctor;
mod frontend;
mod node;
mod upkeep;

use chat_core::{auth::keys, config, db, demo, scale, telemetry, telemetry::LogFormat};
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

#[derive(Parser)]
#[command(name = "confab", version, about = "A chat backend that loses nothing")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How log lines look.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text", global = true)]
    log_format: LogFormat,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in one process, with its own Postgres unless DATABASE_URL is set.
    Dev(dev::Dev),
    /// Run it as on many machines, on this one: Postgres, Redis, several servers of
    /// each kind, and nginx.
    Cluster(cluster::Cluster),
    /// Run both servers in one process on a database of your own.
    Serve(node::Serve),
    /// Bring the schema of a database up to date.
    Migrate(database::Database),
    /// Fill an empty database with the demo world, or a large one.
    Seed(Seed),
    /// Drop what is too old now, as the servers do every hour.
    Tidy(upkeep::Tidy),
    /// Write everything that is known of a person, as lines of JSON.
    ExportAccount(upkeep::Account),
    /// Close an account for good; what was said stays, without a name.
    CloseAccount(upkeep::Account),
    /// Replace the key that signs tokens, without signing anybody out.
    RotateKeys(RotateKeys),
    /// Print the description of the API, OpenAPI 3.1.
    Openapi,
    /// Say what is here and what is missing.
    Doctor(doctor::Doctor),
}

/// Servers read the keys as they start: those that check first, then the one that
/// signs.
#[derive(clap::Args)]
struct RotateKeys {
    /// The Ed25519 key that signs tokens, PKCS#8 PEM.
    #[arg(long, env = "JWT_PRIVATE_KEY_FILE", default_value = "data/keys/jwt_private.pem")]
    jwt_private_key_file: PathBuf,
    /// The public halves of it and of those before it.
    #[arg(long, env = "JWT_PUBLIC_KEY_FILE", default_value = "data/keys/jwt_public.pem")]
    jwt_public_key_file: PathBuf,
}

impl RotateKeys {
    fn run(&self) -> anyhow::Result<()> {
        keys::rotate(&self.jwt_private_key_file, &self.jwt_public_key_file).map_err(database::cause)?;
        println!("{} signs from the next start on", self.jwt_private_key_file.display());
        println!("{} holds the public halves; give it to every server first", self.jwt_public_key_file.display());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = config::parse();
    telemetry::init(cli.log_format);
    let outcome = match cli.command {
        Command::Dev(dev) => dev.run().await,
        Command::Cluster(cluster) => cluster.run().await,
        Command::Serve(serve) => serve.run().await,
        Command::Migrate(database) => migrate(&database).await,
        Command::Seed(seed) => seed.run().await,
        Command::Tidy(tidy) => tidy.run().await,
        Command::ExportAccount(account) => account.export().await,
        Command::CloseAccount(account) => account.close().await,
        Command::RotateKeys(keys) => keys.run(),
        Command::Openapi => {
            print!("{}", chat_server::openapi());
            Ok(())
        }
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

async fn migrate(database: &database::Database) -> anyhow::Result<()> {
    let db = database.open()?;
    db::migrate(&db).await.map_err(database::explain)?;
    println!("the schema is up to date");
    Ok(())
}

#[derive(clap::Args)]
struct Seed {
    #[command(flatten)]
    database: database::Database,
    /// Then make it large: a million messages, ten thousand people, five thousand
    /// chats. Takes some minutes.
    #[arg(long)]
    scale: bool,
}

impl Seed {
    async fn run(self) -> anyhow::Result<()> {
        let db = self.database.open()?;
        db::migrate(&db).await.map_err(database::explain)?;
        let hasher = chat_core::auth::Hasher::new()?;
        match demo::seed(&db, &hasher).await.map_err(database::explain)? {
            true => println!("the demo world is in place"),
            false => println!("there are people in this database already; nothing was changed"),
        }
        if self.scale {
            scale::seed(&db, scale::LARGE).await.map_err(database::explain)?;
            println!("and it is large");
        }
        Ok(())
    }
}
