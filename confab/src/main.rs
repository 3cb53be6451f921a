//! Confab's command line: the door to both servers. It composes and prints; it
//! holds no rule.

mod data;
mod database;
mod dev;
mod doctor;
mod node;
mod page;

use chat_core::{config, db, demo, telemetry, telemetry::LogFormat};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

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
    /// Run both servers in one process on a database of your own.
    Serve(node::Serve),
    /// Bring the schema of a database up to date.
    Migrate(database::Database),
    /// Fill an empty database with the demo world.
    Seed(database::Database),
    /// Print the description of the API, OpenAPI 3.1.
    Openapi,
    /// Say what is here and what is missing.
    Doctor(doctor::Doctor),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = config::parse();
    telemetry::init(cli.log_format);
    let outcome = match cli.command {
        Command::Dev(dev) => dev.run().await,
        Command::Serve(serve) => serve.run().await,
        Command::Migrate(database) => migrate(&database).await,
        Command::Seed(database) => seed(&database).await,
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

async fn seed(database: &database::Database) -> anyhow::Result<()> {
    let db = database.open()?;
    db::migrate(&db).await.map_err(database::explain)?;
    let hasher = chat_core::auth::Hasher::new()?;
    match demo::seed(&db, &hasher).await.map_err(database::explain)? {
        true => println!("the demo world is in place"),
        false => println!("there are people in this database already; nothing was changed"),
    }
    Ok(())
}
