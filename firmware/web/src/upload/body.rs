//! A file while it goes: read piece by piece, the next one when the last is on its way.

use super::hands::Hands;
use crate::{limits::GET_BUFFER_BYTES, shares::Share};
use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::{
    fs::File,
    io::{self, Read as _},
    pin::Pin,
    task::{Context, Poll},
};

pub(super) struct FileBody {
    state: State,
    /// Bytes to come.
    left: u64,
    hands: Hands,
    /// The right to be read.
    _share: Share,
}

/// The file again, and the piece.
type Read = io::Result<(File, Vec<u8>)>;

enum State {
    Resting(File),
    Reading(Pin<Box<dyn Future<Output = Read> + Send>>),
    Over,
}

impl FileBody {
    /// The next `bytes` of a file.
    pub(super) fn new(file: File, bytes: u64, hands: Hands, share: Share) -> FileBody {
        FileBody {
            state: State::Resting(file),
            left: bytes,
            hands,
            _share: share,
        }
    }
}

fn read(mut file: File, bytes: usize) -> Read {
    let mut piece = Vec::with_capacity(bytes);
    let read = (&mut file).take(bytes as u64).read_to_end(&mut piece)?;
    if read < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((file, piece))
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            let state = std::mem::replace(&mut self.state, State::Over);
            match state {
                State::Over => return Poll::Ready(None),
                State::Resting(_) if self.left == 0 => return Poll::Ready(None),
                State::Resting(file) => {
                    let bytes =
                        GET_BUFFER_BYTES.min(usize::try_from(self.left).unwrap_or(usize::MAX));
                    let hands = self.hands.clone();
                    let job = async move { hands.to_read(move || read(file, bytes)).await };
                    self.state = State::Reading(Box::pin(job));
                }
                State::Reading(mut job) => {
                    let Poll::Ready(read) = job.as_mut().poll(cx) else {
                        self.state = State::Reading(job);
                        return Poll::Pending;
                    };
                    return Poll::Ready(Some(read.map(|(file, piece)| {
                        self.left -= piece.len() as u64;
                        self.state = State::Resting(file);
                        Frame::data(piece.into())
                    })));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
