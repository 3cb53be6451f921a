//! `make bench`: prints one table of Confab's performance on this machine, together with
//! controls that run on the same hardware at about the same time.
//!
//! With the name of a part as the argument, only that part runs.

mod abuse;
mod controls;
mod crowd;
mod environment;
mod fanout;
mod inbox;
mod latency;
mod memory;
mod presence;
mod process;
mod push;
mod relay;
mod report;
mod scale;
mod sends;
mod streams;
mod webhooks;
mod writes;

use report::Report;
use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of the measured server, which no other process uses, for results per core.
const SERVER_CORE: usize = 0;

/// The core of all other processes, for results per core: the load and Postgres.
const LOAD_CORE: usize = 1;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let part = arguments.next();
    if part.as_deref() == Some("control-axum") {
        return run_on_core(None, controls::axum_sse::serve());
    }
    chat_http::acceptor::raise_file_limit();
    let mut report = Report::start();
    let is_selected = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if is_selected("sends") {
        run_on_core(None, sends::run(&mut report));
    }
    if is_selected("writes") {
        run_on_core(None, writes::run(&mut report));
    }
    if is_selected("inbox") {
        run_on_core(None, inbox::run(&mut report));
    }
    if is_selected("push") {
        run_on_core(None, push::run(&mut report));
    }
    if is_selected("webhooks") {
        run_on_core(None, webhooks::run(&mut report));
    }
    if is_selected("abuse") {
        run_on_core(None, abuse::run(&mut report));
    }
    if is_selected("fanout") {
        run_on_core(Some(LOAD_CORE), fanout::run(&mut report));
    }
    if is_selected("latency") {
        run_on_core(Some(LOAD_CORE), latency::run(&mut report));
    }
    if is_selected("relay") {
        run_on_core(Some(LOAD_CORE), relay::run(&mut report));
    }
    if is_selected("presence") {
        run_on_core(Some(LOAD_CORE), presence::run(&mut report));
    }
    if is_selected("crowd") {
        run_on_core(Some(LOAD_CORE), crowd::run(&mut report));
    }
    if is_selected("memory") {
        run_on_core(Some(LOAD_CORE), memory::run(&mut report));
    }
    if is_selected("scale") {
        run_on_core(None, scale::run(&mut report));
    }
    report.finish();
}

/// Runs a part. If a core is given, this process and every process that it starts are
/// pinned to the core, so parts without a core must run first.
fn run_on_core(core: Option<usize>, part: impl Future<Output = ()>) {
    if let Some(core) = core {
        let mut set = CpuSet::new();
        set.set(core);
        // Set before the runtime starts its threads, which inherit it. Without a second
        // core the results are still per process.
        let _ = sched_setaffinity(None, &set);
    }
    tokio::runtime::Runtime::new().expect("a runtime").block_on(part);
}
