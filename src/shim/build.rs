//! Links libgcc's unwinder into the library. As a shared library of its own, libgcc_s.so.1, it
//! would be loaded into every process that the shim is preloaded into, and its constructor alone
//! costs as much as the rest of the start-up.
//!
//! What the library itself calls of the functions that it interposes is its own. Where it is not
//! preloaded but opened by a driver the linker would find libc's, and of those with several
//! versions the oldest (a realpath that takes no NULL).

fn main() {
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    // A linker script under the name that rustc asks the linker for.
    let script = std::path::Path::new(&out).join("libgcc_s.so");
    std::fs::write(script, "INPUT(-lgcc_eh -lgcc)\n").expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic-functions");
    println!("cargo:rerun-if-changed=build.rs");
}
