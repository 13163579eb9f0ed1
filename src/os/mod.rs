//! What neither the standard library nor a crate in use gives: the lines that need `unsafe`.
//!
//! Owns: calls of the operating system, and what SQLite is told of them. Must never: know of a hub, or
//! decide anything. Beside `node` it is the only room without `forbid(unsafe_code)`; each such line says
//! why it is sound. Proved by `tests/provider_sqlite.rs`.

pub(crate) mod locks;
pub(crate) mod reads;
