//! The table of results, and the same results as JSON.

use serde_json::{Value, json};
use std::{fs, process::Command};

/// The path of the JSON file.
const FILE: &str = "target/bench.json";

pub(crate) struct Report {
    cores: usize,
    rows: Vec<(String, String, f64, String)>,
}

impl Report {
    pub(crate) fn start() -> Self {
        println!("| part | what | figure |\n|---|---|---|");
        // Read before the process is pinned, which would reduce the number.
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Self { cores, rows: Vec::new() }
    }

    /// Adds a row and prints it immediately.
    pub(crate) fn add_row(&mut self, part: &str, what: &str, value: f64, unit: &str) {
        println!("| {part} | {what} | {} {unit} |", format_value(value));
        self.rows.push((part.into(), what.into(), value, unit.into()));
    }

    /// Adds the mean rates with and without something, their ratio, and how much the rates without it differ.
    pub(crate) fn add_comparison(&mut self, part: &str, what: &str, with_what: &str, without: &[f64], with: &[f64]) {
        let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
        let (lowest, highest) =
            without.iter().fold((f64::MAX, 0f64), |(low, high), rate| (low.min(*rate), high.max(*rate)));
        self.add_row(part, &format!("{what}, without {with_what}"), mean(without), "/s");
        self.add_row(part, &format!("{what}, with {with_what}"), mean(with), "/s");
        self.add_row(part, "with / without", mean(with) / mean(without), "×");
        self.add_row(part, "without: lowest / highest", lowest / highest, "×");
    }

    /// Writes the results to the JSON file, with the commit and the number of cores.
    pub(crate) fn finish(self) {
        let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
        let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        let cores = self.cores;
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|(part, what, value, unit)| json!({ "part": part, "what": what, "figure": value, "unit": unit }))
            .collect();
        let text = json!({ "commit": commit, "cores": cores, "rows": rows }).to_string();
        match fs::write(FILE, text) {
            Ok(()) => println!("\ncommit {commit}, {cores} cores; the same as JSON in {FILE}"),
            Err(error) => eprintln!("cannot write {FILE}: {error}"),
        }
    }
}

fn format_value(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => {
            let digits = format!("{value:.0}");
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|group| std::str::from_utf8(group).unwrap_or_default())
                .collect();
            groups.join(",")
        }
        large if large >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}
