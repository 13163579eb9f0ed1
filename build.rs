//! Sets the linker arguments of a Node addon; nothing to do when the N-API edge is off.

fn main() {
    if std::env::var_os("CARGO_FEATURE_NODE").is_some() {
        napi_build::setup();
        // Node closes an addon with the last worker thread that used it, while threads of the addon and
        // the allocator's own clean-up of each thread are still to run its code. It stays.
        if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
    }
}
