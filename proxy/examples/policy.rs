//! Prints `docs/http-policy.md` from the table that is tested: `cargo run -p kaos-proxy --example policy > docs/http-policy.md`.

#[path = "../tests/policy/table/mod.rs"]
mod table;

fn main() {
    print!("{}", table::page());
}
