//! Rebuilds when a migration or a fixture is added, which Cargo cannot see.
fn main() {
    println!("cargo:rerun-if-changed=../migrations");
    println!("cargo:rerun-if-changed=../fixtures");
}
