//! A statement and the values for it.
//!
//! Owns: which SQL type a value is sent as. It follows from the value's own type, so that a statement can be
//! sent without asking the server first. And that no text is sent which PostgreSQL cannot hold, see [`Sent`].
//! Must never: know what a statement is for. Proved by every test that runs on PostgreSQL, and
//! `conformance::open::text_that_no_row_can_have_is_not_found`.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

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
        self.values.push((Box::new(Sent(value)), T::TYPE));
        self
    }

    pub(super) fn values(&self) -> Vec<Typed<'_>> {
        self.values.iter().map(|(value, kind)| (&**value as _, kind.clone())).collect()
    }
}

/// A value on its way. A text of PostgreSQL holds no NUL, and the server refuses a statement with one. What is
/// stored never has any, as ids and names hold no control characters; what is looked for may have, and is
/// nowhere. So another control character goes in its place: it is not found, and stands in the same order.
#[derive(Debug)]
struct Sent<T>(T);

impl<T: ToSql> ToSql for Sent<T> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let start = out.len();
        let is_null = self.0.to_sql(kind, out)?;
        match *kind {
            Type::TEXT => hold(&mut out[start..]),
            Type::TEXT_ARRAY => hold_each(&mut out[start..]),
            _ => {}
        }
        Ok(is_null)
    }

    fn accepts(kind: &Type) -> bool {
        T::accepts(kind)
    }

    to_sql_checked!();
}

fn hold(text: &mut [u8]) {
    text.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = 1);
}

/// Of an array as it is sent: 20 bytes that say what it is, then each element, its length before it; less than
/// none for NULL.
fn hold_each(array: &mut [u8]) {
    let mut rest = array.get_mut(20..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk_mut::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or_default();
        let Some((text, next)) = after.split_at_mut_checked(length) else { return };
        hold(text);
        rest = next;
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
