//! A statement and the values for it.
//!
//! Owns: which SQL type a value is sent as. It follows from the value's own type, so that a statement can be
//! sent without asking the server first. Must never: know what a statement is for. Proved by every test that
//! runs on PostgreSQL.

use tokio_postgres::types::{ToSql, Type};

/// See the module's text. In the text `hub.` stands for the schema of the hub.
pub(super) struct Ask<'a> {
    pub(super) text: &'static str,
    values: Vec<(Box<dyn ToSql + Sync + 'a>, Type)>,
}

/// A value and its type, as the driver takes them.
pub(super) type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

impl<'a> Ask<'a> {
    /// A statement without values.
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, values: Vec::new() }
    }

    /// With one more value.
    #[must_use]
    pub(super) fn with<T: Value + 'a>(mut self, value: T) -> Self {
        self.values.push((Box::new(value), T::TYPE));
        self
    }

    pub(super) fn values(&self) -> Vec<Typed<'_>> {
        self.values.iter().map(|(value, kind)| (&**value as _, kind.clone())).collect()
    }
}

/// What can be sent.
pub(super) trait Value: ToSql + Sync {
    const TYPE: Type;
}

/// What can be sent alone and as one of many.
pub(super) trait Scalar: ToSql + Sync {
    const TYPE: Type;
    const ARRAY: Type;
}

macro_rules! scalars {
    ($($rust:ty: $one:ident, $many:ident;)*) => {
        $(impl Scalar for $rust {
            const TYPE: Type = Type::$one;
            const ARRAY: Type = Type::$many;
        })*
    };
}

scalars! {
    bool: BOOL, BOOL_ARRAY;
    i16: INT2, INT2_ARRAY;
    i32: INT4, INT4_ARRAY;
    i64: INT8, INT8_ARRAY;
    &str: TEXT, TEXT_ARRAY;
    String: TEXT, TEXT_ARRAY;
    &[u8]: BYTEA, BYTEA_ARRAY;
}

impl<T: Scalar> Scalar for Option<T> {
    const TYPE: Type = T::TYPE;
    const ARRAY: Type = T::ARRAY;
}

impl<T: Scalar> Value for T {
    const TYPE: Type = T::TYPE;
}

impl<T: Scalar> Value for Vec<T> {
    const TYPE: Type = T::ARRAY;
}

impl<T: Scalar> Value for &Vec<T> {
    const TYPE: Type = T::ARRAY;
}

impl<T: Scalar> Value for &[T] {
    const TYPE: Type = T::ARRAY;
}
