//! The program `google_api`: a stand-in of Google Chat, to try a bridge without an account.
//!
//! `POST /person/say {"text": TEXT, "webhook": URL}` writes to the space; `GET /person/messages` lists
//! the messages of all spaces.

use chat_test::google::{DIRECT_SPACE, Google, PROJECT_NUMBER, SERVICE_ACCOUNT, SPACE};
use clap::Parser;
use std::path::PathBuf;

/// Stand in for Google Chat.
#[derive(Debug, Parser)]
#[command(name = "google_api")]
struct Args {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:6691")]
    bind: String,
    /// File to which the key of the service account is written.
    #[arg(long, default_value = "google-key.json")]
    key_file: PathBuf,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let google = Google::start_at(&args.bind).await;
    std::fs::write(&args.key_file, google.key_file()).expect("writing the key file");
    println!("project number   {PROJECT_NUMBER}");
    println!("service account  {SERVICE_ACCOUNT}");
    println!("key file         {}", args.key_file.display());
    println!("spaces           {SPACE} (Plans), {DIRECT_SPACE} (direct message)");
    println!("listening on {}", google.url);
    std::future::pending::<()>().await;
}
