//! Values instead of bytes: a log whose records are all of one type.
//!
//! A codec turns a value into a payload and back. Its schema version goes into
//! the record's envelope, so a record says itself how it is to be read: an
//! older one is handed to the codec with its version, to be migrated; one that
//! is newer than the codec is refused, never guessed at (`INV-F6`).

mod codec;
mod error;
mod read;
#[cfg(any(feature = "json", feature = "postcard"))]
mod serde;

use std::any::type_name;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use crate::{
    Level, Log, Lsn, NewRecord, Record, StartAt, SubscribeError, SubscribeOptions, TruncateError,
};

pub use codec::{BoxError, Migrated, ValueCodec};
pub use error::{TypedAppendError, TypedNextError, TypedReadError};
pub use read::{TypedRecord, TypedRecords, TypedSubscription};
#[cfg(feature = "json")]
pub use serde::Json;
#[cfg(feature = "postcard")]
pub use serde::Postcard;

/// A [`Log`] of values of one type, which a [codec](ValueCodec) turns into
/// payloads and back.
///
/// Each record carries the codec's schema version, as
/// [`NewRecord::schema_version`] does. Reading compares it (`INV-F6`): an older
/// record is handed to the codec with its version, a newer one is
/// [refused](TypedReadError::NewerSchema).
///
/// All methods may be called by any number of threads, as far as the codec can
/// be. The log itself is there for everything else: [`log`](Self::log).
///
/// ```
/// use log_facade::{BoxError, Log, TypedLog, ValueCodec};
///
/// /// Prices in cents, as eight bytes.
/// struct Cents;
///
/// impl ValueCodec<u64> for Cents {
///     fn schema_version(&self) -> u32 { 1 }
///     fn encode(&self, cents: &u64, payload: &mut Vec<u8>) -> Result<(), BoxError> {
///         payload.extend_from_slice(&cents.to_le_bytes());
///         Ok(())
///     }
///     fn decode(&self, _schema_version: u32, payload: &[u8]) -> Result<u64, BoxError> {
///         Ok(u64::from_le_bytes(payload.try_into()?))
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let prices = TypedLog::new(Log::open(directory.path())?, Cents);
/// let lsn = prices.append(&1207)?;
/// assert_eq!(prices.read(lsn)?.map(|found| found.value), Some(1207));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TypedLog<T, C> {
    log: Arc<Log>,
    codec: Arc<C>,
    values: PhantomData<fn() -> T>,
}

impl<T, C> Clone for TypedLog<T, C> {
    /// The same log.
    fn clone(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            codec: Arc::clone(&self.codec),
            values: PhantomData,
        }
    }
}

impl<T, C: ValueCodec<T>> TypedLog<T, C> {
    /// The values in `log`, a [`Log`] or an [`Arc`] of one.
    pub fn new(log: impl Into<Arc<Log>>, codec: C) -> Self {
        Self {
            log: log.into(),
            codec: Arc::new(codec),
            values: PhantomData,
        }
    }

    /// The log beneath.
    #[must_use]
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// The log beneath, for example to close it.
    #[must_use]
    pub fn into_log(self) -> Arc<Log> {
        self.log
    }

    /// Appends `value` as [`Log::append`] does.
    ///
    /// # Errors
    ///
    /// [`TypedAppendError::Encode`] from the codec: nothing was appended. Else
    /// as for [`Log::append`].
    pub fn append(&self, value: &T) -> Result<Lsn, TypedAppendError> {
        let payload = self.encode(0, value)?;
        Ok(self.log.append_record(&self.record(&payload))?)
    }

    /// Appends `value`, and returns once it has reached `level`.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    pub fn append_to(&self, level: Level, value: &T) -> Result<Lsn, TypedAppendError> {
        let payload = self.encode(0, value)?;
        let record = self.record(&payload);
        Ok(self.log.append_record_to(level, &record)?)
    }

    /// Appends values that readers see, and recovery finds, all or none, as
    /// [`Log::append_batch`] does.
    ///
    /// # Errors
    ///
    /// [`TypedAppendError::Encode`] from the codec for any of them: none was
    /// appended. Else as for [`Log::append_batch`].
    pub fn append_batch(&self, values: &[T]) -> Result<Range<Lsn>, TypedAppendError> {
        let payloads = self.encode_all(values)?;
        Ok(self.log.append_records(&self.records(&payloads))?)
    }

    /// Appends values as [`append_batch`](Self::append_batch) does, and returns
    /// once they have reached `level`.
    ///
    /// # Errors
    ///
    /// As for [`append_batch`](Self::append_batch).
    pub fn append_batch_to(
        &self,
        level: Level,
        values: &[T],
    ) -> Result<Range<Lsn>, TypedAppendError> {
        let payloads = self.encode_all(values)?;
        let records = self.records(&payloads);
        Ok(self.log.append_records_to(level, &records)?)
    }

    /// The value of record `lsn`; `None` where [`Log::read`] has none.
    ///
    /// # Errors
    ///
    /// See [`TypedReadError`].
    pub fn read(&self, lsn: Lsn) -> Result<Option<TypedRecord<T>>, TypedReadError> {
        let record = self.log.read(lsn)?;
        record.map(|record| self.decode(record)).transpose()
    }

    /// Reads from the first record on.
    #[must_use]
    pub fn iter(&self) -> TypedRecords<'_, T, C> {
        self.iter_from(self.log.first_lsn())
    }

    /// Reads from record `lsn` on.
    #[must_use]
    pub fn iter_from(&self, lsn: Lsn) -> TypedRecords<'_, T, C> {
        TypedRecords::new(self.log.iter_from(lsn), &self.codec)
    }

    /// The values from `start` on, and those that will be appended: see
    /// [`Subscription`](crate::Subscription).
    ///
    /// # Errors
    ///
    /// See [`SubscribeError`].
    pub fn subscribe(&self, start: StartAt) -> Result<TypedSubscription<T, C>, SubscribeError> {
        self.subscribe_with(start, SubscribeOptions::default())
    }

    /// The same, for some of the records, or at another level.
    ///
    /// # Errors
    ///
    /// See [`SubscribeError`].
    pub fn subscribe_with(
        &self,
        start: StartAt,
        options: SubscribeOptions,
    ) -> Result<TypedSubscription<T, C>, SubscribeError> {
        let subscription = self.log.subscribe_with(start, options)?;
        Ok(TypedSubscription::new(
            subscription,
            Arc::clone(&self.codec),
        ))
    }

    /// Discards every value from `end` on, as [`Log::truncate_after`] does.
    /// Blocks as it does.
    ///
    /// # Errors
    ///
    /// [`TruncateError::InUse`] while a clone of this, or of the [`Arc`] that it
    /// was made of, is held; else as for [`Log::truncate_after`].
    pub fn truncate_after(&mut self, end: Lsn) -> Result<(), TruncateError> {
        let log = Arc::get_mut(&mut self.log).ok_or(TruncateError::InUse)?;
        log.truncate_after(end)
    }

    /// The value of a record that was read from the log beneath, for example
    /// from a [`Snapshot`](crate::Snapshot) of it.
    ///
    /// # Errors
    ///
    /// See [`TypedReadError`].
    pub fn decode(&self, record: Record) -> Result<TypedRecord<T>, TypedReadError> {
        TypedRecord::decode(record, &*self.codec)
    }

    fn encode(&self, index: usize, value: &T) -> Result<Vec<u8>, TypedAppendError> {
        let mut payload = Vec::new();
        match self.codec.encode(value, &mut payload) {
            Ok(()) => Ok(payload),
            Err(source) => Err(TypedAppendError::Encode {
                index,
                type_name: type_name::<T>(),
                source,
            }),
        }
    }

    fn encode_all(&self, values: &[T]) -> Result<Vec<Vec<u8>>, TypedAppendError> {
        let values = values.iter().enumerate();
        values
            .map(|(index, value)| self.encode(index, value))
            .collect()
    }

    fn record<'a>(&self, payload: &'a [u8]) -> NewRecord<'a> {
        NewRecord::new(payload).schema_version(self.codec.schema_version())
    }

    fn records<'a>(&self, payloads: &'a [Vec<u8>]) -> Vec<NewRecord<'a>> {
        payloads
            .iter()
            .map(|payload| self.record(payload))
            .collect()
    }
}
