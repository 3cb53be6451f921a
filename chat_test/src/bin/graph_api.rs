//! The program `graph_api`: a stand-in of WhatsApp, to try a bridge without an account.
//!
//! `POST /person/say {"webhook": URL, "text": TEXT}` writes to the bridge with that webhook, and
//! reads what the bridge sent; `GET /person/messages` lists what it sent; `POST /person/refuse
//! {"status": 400, "code": 131047}` refuses the next message.

use chat_test::graph::{ACCESS_TOKEN, APP_SECRET, BUSINESS_ACCOUNT_ID, GraphApi, PHONE_NUMBER_ID};
use clap::Parser;

/// Stand in for WhatsApp.
#[derive(Debug, Parser)]
#[command(name = "graph_api")]
struct Args {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:6690")]
    bind: String,
}

#[tokio::main]
async fn main() {
    let graph = GraphApi::start_at(&Args::parse().bind).await;
    println!("phone number ID               {PHONE_NUMBER_ID}");
    println!("WhatsApp Business Account ID  {BUSINESS_ACCOUNT_ID}");
    println!("access token                  {ACCESS_TOKEN}");
    println!("app secret                    {APP_SECRET}");
    println!("listening on {}", graph.url);
    std::future::pending::<()>().await;
}
