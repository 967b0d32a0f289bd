//! Whole lines, byte exact, in blocks.
//!
//! I cut a stream of bytes behind each LF and change nothing: a CR, a NUL or
//! bytes that are not UTF-8 are bytes like others, and the last line may lack
//! its LF. A thread of its own reads ahead, so that waiting for input and
//! storing it overlap, and so that whoever takes the blocks can tell when the
//! input pauses. At most three blocks exist: one being filled, one waiting, one
//! taken; each holds [`BLOCK_BYTES`], or one long line and as much again.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{self, Receiver, RecvError, Sender, SyncSender, TryRecvError};
use std::thread;

/// How much one block holds, unless a line is longer.
const BLOCK_BYTES: usize = 256 << 10;

/// Why there are no more lines, other than the end of the input.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The line behind the last block is longer than is accepted.
    TooLong,
    /// The input cannot be read on.
    Io(io::Error),
}

/// Bytes that begin and end with whole lines.
#[derive(Debug)]
pub(crate) struct Block {
    /// Kept at its full length, so that it is zeroed only once.
    storage: Vec<u8>,
    filled: usize,
}

impl Block {
    /// Each line with the LF that ends it; the last one of the input may have
    /// none. No line is empty.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes();
        std::iter::from_fn(move || {
            // A slice is a reader that cannot fail; `std` looks for the LF with
            // the machine's own instructions.
            let line_bytes = (&mut &*rest).skip_until(b'\n').ok()?;
            let (line, behind) = rest.split_at_checked(line_bytes)?;
            rest = behind;
            (!line.is_empty()).then_some(line)
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.storage.get(..self.filled).unwrap_or_default()
    }
}

/// What [`Blocks::next_block`] found.
#[derive(Debug)]
pub(crate) enum Next {
    Block(Block),
    /// Nothing has come yet. Asking again waits.
    Pause,
    End,
}

/// A block, or `None` at the end of the input.
type Sent = Result<Option<Block>, Stop>;

/// The blocks of an input, in order.
#[derive(Debug)]
pub(crate) struct Blocks {
    full: Receiver<Sent>,
    empty: Sender<Vec<u8>>,
    paused: bool,
}

impl Blocks {
    /// Starts to read. A line longer than `line_bytes_max` is refused before it
    /// is read to its end.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub(crate) fn read_ahead(
        input: impl Read + Send + 'static,
        line_bytes_max: usize,
    ) -> io::Result<Self> {
        let (full_in, full) = mpsc::sync_channel(1);
        let (empty, empty_out) = mpsc::channel();
        let reader = ReadAhead {
            input,
            line_bytes_max,
            full: full_in,
            empty: empty_out,
        };
        // Nobody waits for the thread: it ends with the input, or with us.
        thread::Builder::new().spawn(move || reader.run())?;
        Ok(Self {
            full,
            empty,
            paused: false,
        })
    }

    /// The next block. Says once that it has not come yet; then waits.
    pub(crate) fn next_block(&mut self) -> Result<Next, Stop> {
        let sent = match self.full.try_recv() {
            Err(TryRecvError::Empty) if !self.paused => {
                self.paused = true;
                return Ok(Next::Pause);
            }
            Err(TryRecvError::Empty) => self.full.recv(),
            Err(TryRecvError::Disconnected) => Err(RecvError),
            Ok(sent) => Ok(sent),
        };
        self.paused = false;
        // A reader that vanished without a last word is not an end of input.
        let sent = sent.map_err(|_| Stop::Io(io::ErrorKind::BrokenPipe.into()))??;
        Ok(sent.map_or(Next::End, Next::Block))
    }

    /// Gives a block back, to be filled again.
    pub(crate) fn recycle(&self, block: Block) {
        // A reader that has ended needs none.
        let _ = self.empty.send(block.storage);
    }
}

/// The thread that reads.
struct ReadAhead<R> {
    input: R,
    line_bytes_max: usize,
    full: SyncSender<Sent>,
    empty: Receiver<Vec<u8>>,
}

impl<R: Read> ReadAhead<R> {
    fn run(mut self) {
        let mut block = self.empty_block(&[]);
        while let Some(sent) = self.fill(&mut block).transpose() {
            let sent = sent.map(|lines_end| {
                let rest = self.empty_block(block.bytes().get(lines_end..).unwrap_or_default());
                let mut whole = std::mem::replace(&mut block, rest);
                whole.filled = lines_end;
                Some(whole)
            });
            let stops = sent.is_err();
            // Without a taker there is nothing left to do.
            if self.full.send(sent).is_err() || stops {
                return;
            }
        }
        if block.filled > 0 && self.full.send(Ok(Some(block))).is_err() {
            return;
        }
        let _ = self.full.send(Ok(None));
    }

    /// Reads on behind the part of a line that `block` holds until it has a
    /// whole line. Returns where the last one ends, or `None` at the end of the
    /// input.
    fn fill(&mut self, block: &mut Block) -> Result<Option<usize>, Stop> {
        loop {
            let carried = block.filled;
            if carried == block.storage.len() {
                block.storage.resize(2 * carried, 0);
            }
            let room = block.storage.get_mut(carried..).unwrap_or_default();
            let read_bytes = match self.input.read(room) {
                Ok(0) => return Ok(None),
                Ok(read_bytes) => read_bytes,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => return Err(Stop::Io(cause)),
            };
            let read = room.get(..read_bytes).unwrap_or_default();
            let last_lf = read.iter().rposition(|byte| *byte == b'\n');
            block.filled += read_bytes;
            if let Some(last_lf) = last_lf {
                return Ok(Some(carried + last_lf + 1));
            }
            if block.filled > self.line_bytes_max {
                return Err(Stop::TooLong);
            }
        }
    }

    /// A block that begins with `carried`.
    fn empty_block(&self, carried: &[u8]) -> Block {
        let mut storage = self.empty.try_recv().unwrap_or_default();
        // One that grew for a long line is not kept.
        if storage.len() != BLOCK_BYTES {
            storage = vec![0; BLOCK_BYTES];
        }
        if storage.len() <= carried.len() {
            storage.resize(2 * carried.len(), 0);
        }
        if let Some(front) = storage.get_mut(..carried.len()) {
            front.copy_from_slice(carried);
        }
        Block {
            storage,
            filled: carried.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its pieces one by one, as a pipe does.
    struct Pieces(Vec<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.0.first_mut() else {
                return Ok(0);
            };
            let bytes = piece.as_slice().read(room)?;
            piece.drain(..bytes);
            self.0.retain(|piece| !piece.is_empty());
            Ok(bytes)
        }
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }

    /// Every line, and why they ended.
    fn lines(input: impl Read + Send + 'static, max: usize) -> (Vec<Vec<u8>>, Option<Stop>) {
        let mut blocks = Blocks::read_ahead(input, max).unwrap();
        let mut lines = Vec::new();
        loop {
            match blocks.next_block() {
                Ok(Next::Block(block)) => {
                    lines.extend(block.lines().map(<[u8]>::to_vec));
                    blocks.recycle(block);
                }
                Ok(Next::Pause) => {}
                Ok(Next::End) => return (lines, None),
                Err(stop) => return (lines, Some(stop)),
            }
        }
    }

    fn expected(bytes: &[u8]) -> Vec<Vec<u8>> {
        bytes
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    }

    #[test]
    fn lines_are_cut_behind_each_lf_and_nowhere_else() {
        for text in [
            "",
            "\n",
            "a",
            "a\n",
            "a\nb",
            "\n\n\n",
            "a\r\n\r\nb\rc\n",
            "\0\n\0",
            "\u{2028}\n",
        ] {
            let (found, stop) = lines(text.as_bytes(), 100);
            assert_eq!(found, expected(text.as_bytes()), "{text:?}");
            assert!(stop.is_none(), "{text:?}");
        }
    }

    #[test]
    fn it_does_not_matter_in_which_pieces_the_input_comes() {
        let text = b"first\nsecond line\n\nfourth\r\nlast without its end";
        for piece_bytes in 1..=text.len() {
            let pieces = text.chunks(piece_bytes).map(<[u8]>::to_vec).collect();
            let (found, stop) = lines(Pieces(pieces), 100);
            assert_eq!(found, expected(text), "in pieces of {piece_bytes}");
            assert!(stop.is_none());
        }
    }

    #[test]
    fn a_line_longer_than_a_block_stays_whole() {
        for long_bytes in [
            BLOCK_BYTES - 1,
            BLOCK_BYTES,
            BLOCK_BYTES + 1,
            5 * BLOCK_BYTES,
        ] {
            let mut text = vec![b'x'; long_bytes];
            text.extend(b"\nshort\n");
            text.extend(vec![b'y'; long_bytes]);
            let expected = expected(&text);
            let (found, stop) = lines(io::Cursor::new(text), 10 * BLOCK_BYTES);
            assert!(found == expected, "{long_bytes} bytes");
            assert!(stop.is_none());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_before_it_ends() {
        let endless = b"one\ntwo\n".chain(io::repeat(b'x'));
        let (found, stop) = lines(endless, 1000);
        assert_eq!(found, [b"one\n", b"two\n"], "what came before is there");
        assert!(matches!(stop, Some(Stop::TooLong)), "{stop:?}");
    }

    #[test]
    fn an_input_that_breaks_gives_its_whole_lines_and_then_the_cause() {
        let (found, stop) = lines(b"one\nhalf".chain(Broken), 1000);
        assert_eq!(found, [b"one\n"]);
        assert!(matches!(stop, Some(Stop::Io(_))), "{stop:?}");
    }

    #[test]
    fn a_pause_is_told_once_and_then_waited_for() {
        let (sender, receiver) = mpsc::channel();
        let mut blocks = Blocks::read_ahead(Channel(receiver), 1000).unwrap();
        assert!(matches!(blocks.next_block(), Ok(Next::Pause)));
        sender.send(b"line\n".to_vec()).unwrap();
        let Ok(Next::Block(block)) = blocks.next_block() else {
            panic!("it waits");
        };
        assert_eq!(block.bytes(), b"line\n");
        assert!(matches!(blocks.next_block(), Ok(Next::Pause)), "told again");
        drop(sender);
        assert!(matches!(blocks.next_block(), Ok(Next::End)));
    }

    struct Channel(Receiver<Vec<u8>>);

    impl Read for Channel {
        fn read(&mut self, mut room: &mut [u8]) -> io::Result<usize> {
            io::Write::write(&mut room, &self.0.recv().unwrap_or_default())
        }
    }
}
