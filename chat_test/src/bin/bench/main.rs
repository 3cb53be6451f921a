//! `make bench`: one table of what Confab does on this machine, beside controls
//! that run in the same minutes on the same hardware.
//!
//! A part can be named to run it alone: `sends`, `fanout`, `memory`.

mod controls;
mod fanout;
mod memory;
mod process;
mod report;
mod sends;
mod streams;
mod world;

use report::Report;

/// The core that the measured server has to itself where a figure is per core.
pub(crate) const SERVER_CORE: usize = 0;

/// The core of the load generator.
pub(crate) const LOAD_CORE: usize = 1;

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let part = arguments.next();
    if part.as_deref() == Some("control-axum") {
        return controls::axum_sse::serve().await;
    }
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    chat_core::net::raise_file_limit();
    let mut report = Report::begin();
    if wanted("sends") {
        sends::run(&mut report).await;
    }
    if wanted("fanout") {
        fanout::run(&mut report).await;
    }
    if wanted("memory") {
        memory::run(&mut report).await;
    }
    report.finish();
}
