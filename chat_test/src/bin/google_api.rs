//! The program `google_api`: a stand-in of Google Chat, to try a bridge without an account.
//!
//! `POST /person/say {"text": TEXT, "name": NAME, "space": SPACE, "webhook": URL}` writes to a space; only
//! `text` is required, and without a webhook the bridge finds the message by itself. `GET /person/messages`
//! lists the messages of all spaces; `POST /person/refuse {"status": 400}` refuses the next message.

use chat_test::google::{DIRECT_SPACE, Google, PROJECT_NUMBER, SERVICE_ACCOUNT, SPACE};
use clap::Parser;
use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf};

/// Stand in for Google Chat.
#[derive(Debug, Parser)]
#[command(name = "google_api")]
struct Args {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:6691")]
    bind: String,
    /// File with the key of the service account. It is created if there is none.
    #[arg(long, default_value = "target/google-key.json")]
    key_file: PathBuf,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let key_file = std::fs::read_to_string(&args.key_file).ok();
    let google = Google::start_at(&args.bind, key_file.as_deref()).await;
    if key_file.is_none() {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.key_file);
        file.expect("creating the key file").write_all(google.key_file().as_bytes()).expect("writing the key file");
    }
    println!("project number   {PROJECT_NUMBER}");
    println!("service account  {SERVICE_ACCOUNT}");
    println!("key file         {}", args.key_file.display());
    println!("spaces           {SPACE} (Plans), {DIRECT_SPACE} (direct message)");
    println!("listening on {}", google.url);
    std::future::pending::<()>().await;
}
