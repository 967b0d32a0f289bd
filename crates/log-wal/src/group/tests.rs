//! Rules of group commit, on work that is only counted; for every interleaving
//! see `loom_models`.

use super::*;
use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

fn failure() -> CommitError {
    CommitError::Poisoned {
        path: "segment".into(),
        action: "sync",
        first_unsure: Lsn(0),
        source: Arc::new(io::Error::other("injected")),
    }
}

#[test]
fn nobody_works_for_what_is_there_already() {
    let worked = Cell::new(false);
    let result = Group::default().commit(
        Lsn(3),
        Level::Durable,
        |_| Lsn(3),
        |_| {
            worked.set(true);
            Ok(())
        },
    );
    assert!(result.is_ok() && !worked.get());
}

#[test]
fn many_callers_share_the_work_of_few() {
    many_callers_share_the_work_for(Level::Durable);
    many_callers_share_the_work_for(Level::Written);
}

fn many_callers_share_the_work_for(level: Level) {
    const CALLERS: u64 = 8;
    let (group, end, works) = (Group::default(), AtomicU64::new(0), AtomicU64::new(0));
    let appended = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mine = appended.fetch_add(1, Ordering::SeqCst) + 1;
                let work = |_| {
                    works.fetch_add(1, Ordering::SeqCst);
                    end.store(appended.load(Ordering::SeqCst), Ordering::SeqCst);
                    Ok(())
                };
                let reached = |_| Lsn(end.load(Ordering::SeqCst));
                assert!(group.commit(Lsn(mine), level, reached, work).is_ok());
                assert!(
                    reached(level) >= Lsn(mine),
                    "INV-F1: acknowledged means reached"
                );
            });
        }
    });
    assert!(
        works.into_inner() <= CALLERS,
        "never more work than callers"
    );
}

#[test]
fn after_a_failure_nothing_is_acknowledged_again() {
    let group = Group::default();
    let failed = group.commit(Lsn(1), Level::Durable, |_| Lsn(0), |_| Err(failure()));
    assert!(failed.is_err());
    let later = group.commit(
        Lsn(1),
        Level::Durable,
        |_| Lsn(0),
        |_| unreachable!("nobody may lead"),
    );
    assert!(later.is_err(), "INV-W6");
    assert!(group.check().is_err(), "INV-W6");
}

#[test]
fn a_full_disk_poisons_nothing() {
    let group = Group::default();
    let full = || CommitError::StorageFull {
        path: "segment".into(),
        source: Arc::new(io::ErrorKind::StorageFull.into()),
    };
    let end = Cell::new(Lsn(0));
    assert!(
        group
            .commit(Lsn(1), Level::Durable, |_| end.get(), |_| Err(full()))
            .is_err()
    );
    let work = |_| {
        end.set(Lsn(1));
        Ok(())
    };
    assert!(
        group
            .commit(Lsn(1), Level::Durable, |_| end.get(), work)
            .is_ok(),
        "there is room again"
    );
}

#[test]
fn a_leader_that_panics_leaves_the_lead_to_others() {
    let group = Group::default();
    let end = Cell::new(Lsn(0));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        group.commit(
            Lsn(1),
            Level::Durable,
            |_| end.get(),
            |_| panic!("injected"),
        )
    }));
    assert!(panicked.is_err());
    let work = |_| {
        end.set(Lsn(1));
        Ok(())
    };
    assert!(
        group
            .commit(Lsn(1), Level::Durable, |_| end.get(), work)
            .is_ok()
    );
}
