//! Prints docs/fidelity.md; `scripts/fidelity` writes it.

fn main() {
    print!("{}", shim_tests::fidelity::page());
}
