//! Sets the linker arguments of a Node addon; nothing to do when the N-API edge is off.

fn main() {
    if std::env::var_os("CARGO_FEATURE_NODE").is_some() {
        napi_build::setup();
    }
}
