//! Creates the folder of the built frontend, so that Cargo can watch it: an optimised
//! binary embeds its files.

fn main() {
    let folder = "../web/app/dist";
    // Without the folder nothing is embedded, which is allowed.
    let _ = std::fs::create_dir_all(folder);
    println!("cargo::rerun-if-changed={folder}");
    println!("cargo::rerun-if-changed=build.rs");
}
