//! Links libgcc's unwinder into the library. As the shared library libgcc_s.so.1 it would be loaded
//! into every process that the shim is preloaded into, and its constructor alone costs as much as
//! the rest of the start-up.
//!
//! Also binds the library's calls of functions that it interposes to its own functions. In a driver
//! that opens the library without preloading it, the linker would otherwise find those of libc, and
//! of a function with several versions the oldest one (a realpath that takes no NULL).

fn main() {
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    // This linker script has the name that rustc asks the linker for.
    let script = std::path::Path::new(&out).join("libgcc_s.so");
    std::fs::write(script, "INPUT(-lgcc_eh -lgcc)\n").expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic-functions");
    println!("cargo:rerun-if-changed=build.rs");
}
