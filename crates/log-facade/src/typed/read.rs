//! Records that come out as values.

use std::any::type_name;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::codec::ValueCodec;
use super::error::{TypedNextError, TypedReadError};
use crate::{Lsn, Record, Records, Subscription};

/// A value, and the record that it lies in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TypedRecord<T> {
    /// Number, timestamp, key and headers; its payload is the encoded value.
    pub record: Record,
    /// The value.
    pub value: T,
}

impl<T> TypedRecord<T> {
    /// The record's number.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.record.lsn()
    }

    /// Keeps `INV-F6`.
    pub(crate) fn decode(
        record: Record,
        codec: &impl ValueCodec<T>,
    ) -> Result<Self, TypedReadError> {
        let (lsn, schema_version) = (record.lsn(), record.schema_version());
        let (type_name, known) = (type_name::<T>(), codec.schema_version());
        if schema_version > known {
            return Err(TypedReadError::NewerSchema {
                lsn,
                type_name,
                schema_version,
                known,
            });
        }
        match codec.decode(schema_version, record.payload()) {
            Ok(value) => Ok(Self { record, value }),
            Err(source) => Err(TypedReadError::Decode {
                lsn,
                type_name,
                schema_version,
                source,
            }),
        }
    }
}

/// Values in order, from either end: made by
/// [`TypedLog::iter`](crate::TypedLog::iter).
///
/// As [`Records`]. A record that gives no value is one error, and then it goes
/// on behind that record.
#[derive(Debug)]
pub struct TypedRecords<'a, T, C> {
    records: Records<'a>,
    codec: &'a C,
    values: PhantomData<fn() -> T>,
}

impl<'a, T, C> TypedRecords<'a, T, C> {
    pub(crate) fn new(records: Records<'a>, codec: &'a C) -> Self {
        Self {
            records,
            codec,
            values: PhantomData,
        }
    }
}

impl<T, C: ValueCodec<T>> Iterator for TypedRecords<'_, T, C> {
    type Item = Result<TypedRecord<T>, TypedReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.records.next()?.map_err(TypedReadError::from);
        Some(found.and_then(|record| TypedRecord::decode(record, self.codec)))
    }
}

impl<T, C: ValueCodec<T>> DoubleEndedIterator for TypedRecords<'_, T, C> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let found = self.records.next_back()?.map_err(TypedReadError::from);
        Some(found.and_then(|record| TypedRecord::decode(record, self.codec)))
    }
}

/// Values in order as they are appended: made by
/// [`TypedLog::subscribe`](crate::TypedLog::subscribe).
///
/// As [`Subscription`], also as an iterator. A record that gives no value is
/// one error, and then it goes on behind that record.
#[derive(Debug)]
pub struct TypedSubscription<T, C> {
    subscription: Subscription,
    codec: Arc<C>,
    values: PhantomData<fn() -> T>,
}

impl<T, C: ValueCodec<T>> TypedSubscription<T, C> {
    pub(crate) fn new(subscription: Subscription, codec: Arc<C>) -> Self {
        Self {
            subscription,
            codec,
            values: PhantomData,
        }
    }

    /// The number of the next record that it will look at.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.subscription.next_lsn()
    }

    /// The next value if there is one now.
    ///
    /// # Errors
    ///
    /// See [`TypedNextError`].
    pub fn try_next(&mut self) -> Result<Option<TypedRecord<T>>, TypedNextError> {
        let record = self.subscription.try_next()?;
        self.decode(record)
    }

    /// The next value, waiting for it at most for `timeout`; `None` if none
    /// came.
    ///
    /// # Errors
    ///
    /// See [`TypedNextError`].
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<TypedRecord<T>>, TypedNextError> {
        let record = self.subscription.next_timeout(timeout)?;
        self.decode(record)
    }

    fn decode(&self, record: Option<Record>) -> Result<Option<TypedRecord<T>>, TypedNextError> {
        let typed = record.map(|record| TypedRecord::decode(record, &*self.codec));
        typed.transpose().map_err(TypedNextError::Value)
    }
}

impl<T, C: ValueCodec<T>> Iterator for TypedSubscription<T, C> {
    type Item = Result<TypedRecord<T>, TypedReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.subscription.next()?.map_err(TypedReadError::from);
        Some(found.and_then(|record| TypedRecord::decode(record, &*self.codec)))
    }
}
