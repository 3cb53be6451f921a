//! Creates the directory of the built frontend, so that Cargo can watch it: an optimized
//! binary embeds its files.

fn main() {
    let folder = "../web/app/dist";
    // If this fails, the binary embeds no frontend, which is allowed.
    let _ = std::fs::create_dir_all(folder);
    println!("cargo::rerun-if-changed={folder}");
    println!("cargo::rerun-if-changed=build.rs");
}
