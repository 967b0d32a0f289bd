//! Going on with the rest after a panic.

/// Calls `act` for every item. If it panics for one, the others have their
/// turn before the panic goes on its way; a second panic ends the program, as
/// it does everywhere.
pub(super) fn for_each_thoroughly<I: Iterator, F: FnMut(I::Item)>(items: I, act: F) {
    let mut rest = Rest { items, act };
    rest.run();
}

struct Rest<I: Iterator, F: FnMut(I::Item)> {
    items: I,
    act: F,
}

impl<I: Iterator, F: FnMut(I::Item)> Rest<I, F> {
    fn run(&mut self) {
        self.items.by_ref().for_each(&mut self.act);
    }
}

impl<I: Iterator, F: FnMut(I::Item)> Drop for Rest<I, F> {
    fn drop(&mut self) {
        self.run();
    }
}
