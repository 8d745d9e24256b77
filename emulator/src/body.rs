//! Bodies that a well-behaved server would not send.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// An endless body ends all the same after a gibibyte, should a client really read that much.
const ENDLESS: u64 = 1 << 30;
const CHUNK: &[u8] = &[b'9'; 64 * 1024];

pub(crate) enum ServedBody {
    Whole(Option<Bytes>),
    /// Announced whole, sent in half; then the connection breaks.
    Cut {
        whole: u64,
        half: Option<Bytes>,
    },
    Endless {
        first: Option<Bytes>,
        sent: u64,
    },
}

impl ServedBody {
    pub(crate) fn whole(body: Vec<u8>) -> Self {
        Self::Whole(Some(body.into()).filter(|body: &Bytes| !body.is_empty()))
    }

    pub(crate) fn cut(body: Vec<u8>) -> Self {
        let whole = Bytes::from(body);
        Self::Cut { whole: whole.len() as u64, half: Some(whole.slice(..whole.len() / 2)) }
    }

    pub(crate) fn endless(body: Vec<u8>) -> Self {
        Self::Endless { first: Some(body.into()), sent: 0 }
    }
}

impl Body for ServedBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(match &mut *self {
            Self::Whole(body) => body.take().map(|body| Ok(Frame::data(body))),
            Self::Cut { half, .. } => Some(match half.take() {
                Some(half) if !half.is_empty() => Ok(Frame::data(half)),
                _ => Err(std::io::Error::other("cut short on purpose")),
            }),
            Self::Endless { sent, .. } if *sent >= ENDLESS => None,
            Self::Endless { first, sent } => {
                let chunk = first.take().unwrap_or(Bytes::from_static(CHUNK));
                *sent += chunk.len() as u64;
                Some(Ok(Frame::data(chunk)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Self::Cut { whole, .. } => SizeHint::with_exact(*whole),
            Self::Endless { .. } => SizeHint::default(),
        }
    }
}
