//! `make bench`: one table of what Confab does on this machine, beside controls
//! that run in the same minutes on the same hardware.
//!
//! A part can be named to run it alone.

mod controls;
mod crowd;
mod fanout;
mod latency;
mod memory;
mod presence;
mod process;
mod relay;
mod report;
mod scale;
mod sends;
mod streams;
mod world;

use report::Report;
use rustix::thread::{CpuSet, sched_setaffinity};

/// The core that the measured server has to itself where a figure is per core.
const SERVER_CORE: usize = 0;

/// The core of everything else then: the load and Postgres.
const LOAD_CORE: usize = 1;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let part = arguments.next();
    if part.as_deref() == Some("control-axum") {
        return on(None, controls::axum_sse::serve());
    }
    chat_core::net::raise_file_limit();
    let mut report = Report::begin();
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if wanted("sends") {
        on(None, sends::run(&mut report));
    }
    if wanted("fanout") {
        on(Some(LOAD_CORE), fanout::run(&mut report));
    }
    if wanted("latency") {
        on(Some(LOAD_CORE), latency::run(&mut report));
    }
    if wanted("relay") {
        on(Some(LOAD_CORE), relay::run(&mut report));
    }
    if wanted("presence") {
        on(Some(LOAD_CORE), presence::run(&mut report));
    }
    if wanted("crowd") {
        on(Some(LOAD_CORE), crowd::run(&mut report));
    }
    if wanted("memory") {
        on(Some(LOAD_CORE), memory::run(&mut report));
    }
    if wanted("scale") {
        on(None, scale::run(&mut report));
    }
    report.finish();
}

/// Runs a part to its end, with every process that it starts on this core if one
/// is given. A part that is not pinned comes before those that are.
fn on(core: Option<usize>, part: impl Future<Output = ()>) {
    if let Some(core) = core {
        let mut set = CpuSet::new();
        set.set(core);
        // Before the runtime has threads, which inherit it. Without a second core
        // the figures are per process all the same.
        let _ = sched_setaffinity(None, &set);
    }
    tokio::runtime::Runtime::new().expect("a runtime").block_on(part);
}
