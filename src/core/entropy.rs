//! Where ids and random numbers come from.
//!
//! Owns: the questions. Must never: answer them; that is `runtime/entropy.rs`, and a seed in tests.
//! Proved by `tests/simulation.rs`.

/// Source of what must not be derived: fresh ids and random numbers.
pub trait Entropy {
    /// An id that no instance has had.
    fn fresh_id(&mut self) -> String;
    /// A random number of 0 to 1.
    fn unit(&mut self) -> f64;
}
