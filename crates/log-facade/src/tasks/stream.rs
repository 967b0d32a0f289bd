//! Following a log without blocking.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::task::JoinHandle;

use crate::subscribe::{Found, NextError, Subscription, Taken};
use crate::{Lsn, ReadError, Record};

/// A [`Subscription`] as a stream (feature `tokio`): made by
/// [`AsyncLog::subscribe`](crate::AsyncLog::subscribe), or from one.
///
/// What the subscription says of order, gaps and ends holds. It takes the next
/// few records only when it is polled for them: who reads slowly holds up
/// nobody, and costs no more memory. Records that are no longer in memory are
/// read in tokio's threads for that, so it must be polled within a runtime.
///
/// Ends when the log is closed, or was [truncated](crate::Log::truncate_after)
/// in front of records that it has delivered. Any error but [`ReadError::Truncated`] is the
/// last item.
#[must_use = "streams do nothing unless polled"]
pub struct SubscriptionStream {
    state: State,
}

enum State {
    Here(Box<Subscription>),
    /// Elsewhere, reading files.
    Reading(JoinHandle<(Box<Subscription>, Result<Taken, NextError>)>),
    Over,
}

impl From<Subscription> for SubscriptionStream {
    fn from(subscription: Subscription) -> Self {
        Self {
            state: State::Here(Box::new(subscription)),
        }
    }
}

impl SubscriptionStream {
    /// As [`Subscription::next_lsn`]; `None` while it reads files, and when it
    /// has ended.
    #[must_use]
    pub fn next_lsn(&self) -> Option<Lsn> {
        match &self.state {
            State::Here(subscription) => Some(subscription.next_lsn()),
            _ => None,
        }
    }

    /// The next record: `None` when the log is closed. Dropping the future
    /// loses nothing.
    pub async fn next(&mut self) -> Option<Result<Record, ReadError>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for SubscriptionStream {
    type Item = Result<Record, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let state = &mut self.state;
        loop {
            let taken = match state {
                State::Over => return Poll::Ready(None),
                State::Reading(reading) => {
                    let Ok((subscription, taken)) = ready!(Pin::new(reading).poll(context)) else {
                        // It panicked in a filter, or the runtime goes down.
                        *state = State::Over;
                        continue;
                    };
                    *state = State::Here(subscription);
                    taken
                }
                State::Here(subscription) => {
                    let had_some = subscription.has_ahead();
                    if let Some(record) = subscription.deliver() {
                        return Poll::Ready(Some(Ok(record)));
                    }
                    if had_some {
                        // None of them was wanted: who passes over much lets
                        // other tasks have their turn.
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    match ready!(subscription.poll_find(context)) {
                        Found::Closed => Ok(Taken::Closed),
                        Found::Hot => subscription.refill(),
                        Found::Cold => {
                            read_elsewhere(state);
                            continue;
                        }
                    }
                }
            };
            match taken {
                Ok(Taken::Some | Taken::None) => {}
                Ok(Taken::Closed) | Err(NextError::Ended | NextError::Discarded { .. }) => {
                    *state = State::Over;
                }
                Err(NextError::Read(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

fn read_elsewhere(state: &mut State) {
    if let State::Here(mut subscription) = std::mem::replace(state, State::Over) {
        let read = move || {
            let taken = subscription.refill();
            (subscription, taken)
        };
        *state = State::Reading(tokio::task::spawn_blocking(read));
    }
}

impl fmt::Debug for SubscriptionStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.state {
            State::Here(subscription) => subscription,
            State::Reading(_) => &"reading",
            State::Over => &"over",
        };
        f.debug_tuple("SubscriptionStream").field(state).finish()
    }
}
