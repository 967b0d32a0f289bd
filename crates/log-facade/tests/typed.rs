//! Values instead of bytes (`INV-F6`).

use std::error::Error;
use std::fmt::Debug;

use log_facade::{
    BoxError, Json, Level, Log, LogOptions, Lsn, Migrated, NewRecord, Postcard, StartAt,
    TypedAppendError, TypedLog, TypedNextError, TypedReadError, ValueCodec,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

type Tested = Result<(), Box<dyn Error>>;

/// What version 1 wrote.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct OldTrade {
    cents: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trade {
    cents: u64,
    venue: String,
}

fn trade(cents: u64) -> Trade {
    let venue = format!("venue {}", cents % 3);
    Trade { cents, venue }
}

fn in_memory() -> Result<Log, Box<dyn Error>> {
    Ok(LogOptions::default().open_in_memory()?)
}

fn values<T: Debug, C: ValueCodec<T>>(log: &TypedLog<T, C>) -> Result<Vec<T>, TypedReadError> {
    log.iter().map(|found| Ok(found?.value)).collect()
}

fn comes_back_after_a_restart<C>(codec: C) -> Tested
where
    C: ValueCodec<Trade> + Copy,
{
    let directory = tempfile::tempdir()?;
    let log = TypedLog::new(Log::open(directory.path())?, codec);
    assert_eq!(log.append(&trade(1))?, Lsn(0));
    assert_eq!(log.append_to(Level::Durable, &trade(2))?, Lsn(1));
    assert_eq!(log.append_batch(&[trade(3), trade(4)])?, Lsn(2)..Lsn(4));
    log.append_batch_to(Level::Written, &[trade(5)])?;
    drop(log);

    let log = TypedLog::new(Log::open(directory.path())?, codec);
    let expected: Vec<_> = (1..=5).map(trade).collect();
    assert_eq!(values(&log)?, expected);
    let from_the_back: Result<Vec<_>, _> = log.iter().rev().map(|r| r.map(|r| r.lsn())).collect();
    assert_eq!(from_the_back?, [4, 3, 2, 1, 0].map(Lsn));
    let found = log.read(Lsn(3))?.ok_or("not there")?;
    assert_eq!((found.lsn(), found.value), (Lsn(3), trade(4)));
    assert!(log.read(Lsn(5))?.is_none());
    Ok(())
}

#[test]
fn values_come_back_as_they_were_appended_in_json() -> Tested {
    comes_back_after_a_restart(Json::new(1))
}

#[test]
fn values_come_back_as_they_were_appended_in_postcard() -> Tested {
    comes_back_after_a_restart(Postcard::new(1))
}

/// `INV-F6`.
#[test]
fn every_record_says_which_version_of_the_schema_it_has() -> Tested {
    let log = TypedLog::new(in_memory()?, Json::new(7));
    log.append(&trade(1))?;
    log.append_batch(&[trade(2)])?;
    for record in log.log().iter() {
        assert_eq!(record?.schema_version(), 7);
    }
    Ok(())
}

/// Migrates trades of version 1, in whatever format.
fn migrates<Old, New>(old: Old, new: New, read: fn(&[u8]) -> Result<OldTrade, BoxError>) -> Tested
where
    Old: ValueCodec<OldTrade>,
    New: ValueCodec<Trade>,
{
    let log = std::sync::Arc::new(in_memory()?);
    TypedLog::new(log.clone(), old).append(&OldTrade { cents: 4 })?;
    let codec = Migrated::new(new, move |version, payload: &[u8]| {
        assert_eq!(version, 1, "only what is old is migrated");
        let OldTrade { cents } = read(payload)?;
        Ok(trade(cents))
    });
    let log = TypedLog::new(log, codec);
    log.append(&trade(5))?;
    assert_eq!(values(&log)?, [trade(4), trade(5)]);
    Ok(())
}

/// `INV-F6`.
#[test]
fn an_older_version_is_handed_to_the_codec_to_be_migrated() -> Tested {
    fn json<T: Serialize + DeserializeOwned>(payload: &[u8]) -> Result<T, BoxError> {
        Json::new(1).decode(1, payload)
    }
    fn compact<T: Serialize + DeserializeOwned>(payload: &[u8]) -> Result<T, BoxError> {
        Postcard::new(1).decode(1, payload)
    }
    migrates(Json::new(1), Json::new(2), json)?;
    migrates(Postcard::new(1), Postcard::new(2), compact)
}

/// `INV-F6`.
#[test]
fn an_older_version_is_not_guessed_at() -> Tested {
    let log = std::sync::Arc::new(in_memory()?);
    TypedLog::new(log.clone(), Postcard::new(1)).append(&trade(4))?;
    log.append(b"no version at all")?;
    let log = TypedLog::<Trade, _>::new(log, Postcard::new(2));
    for (lsn, expected) in [(Lsn(0), 1), (Lsn(1), 0)] {
        match log.read(lsn) {
            Err(TypedReadError::Decode {
                lsn: told,
                type_name,
                schema_version,
                ..
            }) => {
                assert_eq!((told, schema_version), (lsn, expected));
                assert!(type_name.ends_with("Trade"), "{type_name}");
            }
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

/// `INV-F6`.
#[test]
fn a_newer_version_is_refused_and_named() -> Tested {
    let log = std::sync::Arc::new(in_memory()?);
    TypedLog::new(log.clone(), Json::new(3)).append(&trade(1))?;
    let log =
        TypedLog::<Trade, _>::new(log, Migrated::new(Json::new(2), |_, _: &[u8]| Ok(trade(0))));
    log.append(&trade(2))?;
    let error = log.read(Lsn(0)).expect_err("newer");
    let TypedReadError::NewerSchema {
        lsn,
        type_name,
        schema_version,
        known,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((*lsn, *schema_version, *known), (Lsn(0), 3, 2));
    assert!(error.to_string().contains(type_name), "{error}");
    let after = log.iter().nth(1).ok_or("ended")??;
    assert_eq!(after.value, trade(2), "goes on behind it");
    Ok(())
}

#[test]
fn a_payload_of_another_type_is_an_error_that_names_record_and_type() -> Tested {
    let log = std::sync::Arc::new(in_memory()?);
    let foreign = [
        &b"{\"cents\":"[..],
        b"{\"cents\":1,\"venue\":\"a\"} and more",
    ];
    for payload in foreign {
        log.append_record(&NewRecord::new(payload).schema_version(1))?;
    }
    log.append_record(&NewRecord::new(&[1, 0, 9]).schema_version(1))?;
    let json = TypedLog::<Trade, _>::new(log.clone(), Json::new(1));
    for (at, found) in json.iter().enumerate() {
        let error = found.expect_err("not JSON").to_string();
        assert!(error.contains(&format!("record {at} ")), "{error}");
        assert!(error.contains("Trade"), "{error}");
    }
    let compact = TypedLog::<Trade, _>::new(log, Postcard::new(1));
    let error = compact.read(Lsn(2)).expect_err("a byte too many");
    assert!(error.to_string().contains("1 bytes behind"), "{error}");
    Ok(())
}

/// Encodes even numbers.
struct Even;

impl ValueCodec<u8> for Even {
    fn schema_version(&self) -> u32 {
        0
    }

    fn encode(&self, value: &u8, payload: &mut Vec<u8>) -> Result<(), BoxError> {
        payload.push(*value);
        match value % 2 {
            0 => Ok(()),
            _ => Err("odd".into()),
        }
    }

    fn decode(&self, _: u32, payload: &[u8]) -> Result<u8, BoxError> {
        let even = payload.first().filter(|value| **value % 2 == 0);
        even.copied().ok_or_else(|| "odd".into())
    }
}

#[test]
fn nothing_of_a_batch_is_appended_if_one_value_cannot_be_encoded() -> Tested {
    let log = TypedLog::new(in_memory()?, Even);
    match log.append_batch(&[2, 4, 5]) {
        Err(TypedAppendError::Encode {
            index, type_name, ..
        }) => assert_eq!((index, type_name), (2, "u8")),
        other => panic!("{other:?}"),
    }
    assert_eq!(log.log().next_lsn(), Lsn(0));
    Ok(())
}

#[test]
fn a_subscription_goes_on_behind_a_record_that_gives_no_value() -> Tested {
    let log = TypedLog::new(in_memory()?, Even);
    let mut subscription = log.subscribe(StartAt::Beginning)?;
    assert!(subscription.try_next()?.is_none());
    log.append(&2)?;
    log.log().append(&[3])?;
    log.append(&4)?;
    assert_eq!(subscription.try_next()?.map(|found| found.value), Some(2));
    let error = subscription.try_next().expect_err("odd");
    assert!(
        matches!(
            error,
            TypedNextError::Value(TypedReadError::Decode { lsn: Lsn(1), .. })
        ),
        "{error:?}"
    );
    let found = subscription.next().ok_or("ended")??;
    assert_eq!((found.lsn(), found.value), (Lsn(2), 4));
    assert_eq!(subscription.next_lsn(), Lsn(3));
    Ok(())
}
