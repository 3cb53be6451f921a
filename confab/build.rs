//! The frontend may not have been built, but its folder is there to be looked into,
//! and what is in it is part of an optimised binary.

fn main() {
    let folder = "../web/app/dist";
    // Without it nothing is embedded, which is allowed.
    let _ = std::fs::create_dir_all(folder);
    println!("cargo::rerun-if-changed={folder}");
    println!("cargo::rerun-if-changed=build.rs");
}
