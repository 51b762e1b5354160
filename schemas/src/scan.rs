//! Finds the end of one MessagePack value in bytes that are still coming in, and refuses what no
//! honest peer sends, before any decoder has seen it.
//!
//! A decoder trusts the lengths it reads: 5,500 bytes of nested arrays that each claim 4 Gi members
//! made one allocate 499 MB. The scanner allocates nothing, reads every header once, and gives up at
//! the first one that cannot be part of a frame within its [`Limits`].

use std::fmt;

use crate::{
    error::{Code, Error},
    rpc::{ANSWER_BYTES_MAX, ANSWER_ITEMS_MAX, FRAME_BYTES_MAX, FRAME_DEPTH_MAX, FRAME_ITEMS_MAX},
};

/// What a frame may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size, in bytes.
    pub bytes: usize,
    /// Arrays and maps within each other, the outermost counted. Never more than [`FRAME_DEPTH_MAX`],
    /// whatever stands here.
    pub depth: usize,
    /// Values, all levels together, arrays and maps themselves counted, and keys of maps.
    pub items: u64,
}

impl Limits {
    /// What a client takes from a daemon: the same, and larger.
    pub const ANSWER: Self =
        Self { bytes: ANSWER_BYTES_MAX, depth: FRAME_DEPTH_MAX, items: ANSWER_ITEMS_MAX };
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: FRAME_BYTES_MAX, depth: FRAME_DEPTH_MAX, items: FRAME_ITEMS_MAX }
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// More bytes than this, or a header that claims so.
    Size(usize),
    /// Nested deeper than this.
    Depth(usize),
    /// More values than this, or a header that claims so.
    Items(u64),
    /// The byte `0xc1`, which MessagePack reserves.
    Reserved,
    /// A whole value that is not a MessagePack-RPC message; the text says what it should have been.
    Shape(&'static str),
    /// A message whose parameters are not one map. The stream itself is sound: a request of this `id`
    /// can be answered, and the connection can go on. Without an id it was a notification.
    Params {
        /// Number of the request.
        id: Option<u32>,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(max) => write!(f, "the frame is larger than {max} bytes"),
            Self::Depth(max) => write!(f, "the frame is nested deeper than {max} levels"),
            Self::Items(max) => write!(f, "the frame holds more than {max} values"),
            Self::Reserved => f.write_str("the frame holds the reserved byte 0xc1: this is not MessagePack"),
            Self::Shape(expected) => write!(f, "the frame is not a MessagePack-RPC message: {expected}"),
            Self::Params { .. } => f.write_str("the parameters are not an array of at most one map"),
        }
    }
}

impl std::error::Error for Refused {}

impl From<&Refused> for Error {
    fn from(refused: &Refused) -> Self {
        match refused {
            Refused::Params { .. } => {
                Self::new(Code::BadParams, refused.to_string()).hint("send [{…}], or [] for no parameters")
            }
            _ => Self::new(Code::BadFrame, refused.to_string()),
        }
    }
}

/// Finds the end of one value; goes on where it was when more bytes have come.
#[derive(Clone, Debug)]
pub struct Scanner {
    limits: Limits,
    /// Where the next header stands.
    at: usize,
    items: u64,
    /// How many values are still to come in each array or map that is not at its end.
    open: [u64; FRAME_DEPTH_MAX],
    depth: usize,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Scanner {
    /// A scanner that keeps to `limits`.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { depth: limits.depth.min(FRAME_DEPTH_MAX), ..limits };
        Self { limits, at: 0, items: 0, open: [0; FRAME_DEPTH_MAX], depth: 0 }
    }

    /// Looks for the end of the value at the beginning of `buf`.
    ///
    /// `Ok(Some(n))`: the first `n` bytes are one whole value, and the scanner is ready for the next
    /// one. `Ok(None)`: it is not all there; call again with the same bytes and more behind them, the
    /// ones already looked at are not read a second time. After an error the connection is of no use,
    /// since nobody knows where the next value begins.
    pub fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, Refused> {
        while let Some(header) = read_header(&buf[self.at.min(buf.len())..])? {
            // in 64 bits, as a header may claim 4 Gi of bytes, twice that of children
            let end = self.at as u64 + header.bytes;
            let bytes_max = self.limits.bytes as u64;
            // a child is a byte at least
            if end + header.children > bytes_max {
                return Err(Refused::Size(self.limits.bytes));
            }
            if self.items + 1 + header.children > self.limits.items {
                return Err(Refused::Items(self.limits.items));
            }
            if header.container && self.depth == self.limits.depth {
                return Err(Refused::Depth(self.limits.depth));
            }
            if end > buf.len() as u64 {
                return Ok(None);
            }
            self.at = usize::try_from(end).expect("the end lies within a buffer");
            self.items += 1;
            if header.children > 0 {
                self.open[self.depth] = header.children;
                self.depth += 1;
            } else if self.value_ended() {
                let end = self.at;
                self.at = 0;
                self.items = 0;
                return Ok(Some(end));
            }
        }
        // what is there may be too much without a header that says so
        if self.at >= self.limits.bytes { Err(Refused::Size(self.limits.bytes)) } else { Ok(None) }
    }

    /// Takes one value off what is still to come; true if it was the last one of all.
    fn value_ended(&mut self) -> bool {
        while let Some(level) = self.depth.checked_sub(1) {
            self.open[level] -= 1;
            if self.open[level] > 0 {
                return false;
            }
            self.depth = level;
        }
        true
    }
}

/// The beginning of one value.
struct Header {
    /// Size of it and of the text or bytes that belong to it.
    bytes: u64,
    /// How many values belong to it.
    children: u64,
    container: bool,
}

/// Reads the header at the beginning of `buf`; none if it is not all there.
fn read_header(buf: &[u8]) -> Result<Option<Header>, Refused> {
    let Some((&marker, rest)) = buf.split_first() else { return Ok(None) };
    let leaf = |bytes| Some(Header { bytes, children: 0, container: false });
    let container = |bytes, children| Some(Header { bytes, children, container: true });
    // a length of `width` bytes behind the marker
    let length = |width: usize| {
        let bytes = rest.get(..width)?;
        Some(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    };
    Ok(match marker {
        // small integers, nil, false, true
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => leaf(1),
        0x80..=0x8f => container(1, 2 * u64::from(marker & 0x0f)),
        0x90..=0x9f => container(1, u64::from(marker & 0x0f)),
        0xa0..=0xbf => leaf(1 + u64::from(marker & 0x1f)),
        0xc1 => return Err(Refused::Reserved),
        // bin and str
        0xc4 | 0xd9 => length(1).and_then(|n| leaf(2 + n)),
        0xc5 | 0xda => length(2).and_then(|n| leaf(3 + n)),
        0xc6 | 0xdb => length(4).and_then(|n| leaf(5 + n)),
        // ext: a type behind the length
        0xc7 => length(1).and_then(|n| leaf(3 + n)),
        0xc8 => length(2).and_then(|n| leaf(4 + n)),
        0xc9 => length(4).and_then(|n| leaf(6 + n)),
        // numbers of 8, 16, 32 and 64 bits
        0xcc | 0xd0 => leaf(2),
        0xcd | 0xd1 => leaf(3),
        0xca | 0xce | 0xd2 => leaf(5),
        0xcb | 0xcf | 0xd3 => leaf(9),
        // ext of 1, 2, 4, 8 and 16 bytes
        0xd4..=0xd8 => leaf(2 + (1 << (marker - 0xd4))),
        0xdc => length(2).and_then(|n| container(3, n)),
        0xdd => length(4).and_then(|n| container(5, n)),
        0xde => length(2).and_then(|n| container(3, 2 * n)),
        0xdf => length(4).and_then(|n| container(5, 2 * n)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use rmpv::Value;

    use super::*;

    fn scan(buf: &[u8]) -> Result<Option<usize>, Refused> {
        Scanner::default().scan(buf)
    }

    #[test]
    fn a_value_that_claims_more_than_a_frame_is_refused_by_its_header_alone() {
        // array, map, bin, str and ext of 4 Gi
        for marker in [0xdd, 0xdf, 0xc6, 0xdb, 0xc9] {
            assert_eq!(
                scan(&[marker, 255, 255, 255, 255]),
                Err(Refused::Size(FRAME_BYTES_MAX)),
                "{marker:#x}"
            );
        }
    }

    #[test]
    fn a_frame_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        let limits = Limits { bytes: 6, ..Limits::default() };
        assert_eq!(Scanner::new(limits).scan(b"\xa5hello"), Ok(Some(6)));
        assert_eq!(Scanner::new(limits).scan(b"\xa6"), Err(Refused::Size(6)));
        assert_eq!(Scanner::new(limits).scan(b"\x96\x01\x01\x01\x01\x01\x01"), Err(Refused::Size(6)));
        // the limit is met in the middle of a header
        assert_eq!(Scanner::new(limits).scan(b"\x92\xa4abcd"), Err(Refused::Size(6)));
    }

    #[test]
    fn nesting_is_refused_below_the_limit_whether_or_not_the_innermost_is_empty() {
        let nested = |levels: usize, last: u8| {
            let mut b = vec![0x91; levels - 1];
            b.push(last);
            b
        };
        assert_eq!(scan(&nested(FRAME_DEPTH_MAX, 0x90)), Ok(Some(FRAME_DEPTH_MAX)));
        assert_eq!(scan(&nested(FRAME_DEPTH_MAX + 1, 0x07)), Ok(Some(FRAME_DEPTH_MAX + 1)));
        assert_eq!(scan(&nested(FRAME_DEPTH_MAX + 1, 0x90)), Err(Refused::Depth(FRAME_DEPTH_MAX)));
        assert_eq!(scan(&vec![0x91; 1_000_000]), Err(Refused::Depth(FRAME_DEPTH_MAX)));
    }

    #[test]
    fn more_values_than_the_limit_are_refused_wherever_they_stand() {
        let limits = Limits { items: 5, ..Limits::default() };
        assert_eq!(Scanner::new(limits).scan(b"\x94\xc0\xc0\xc0\xc0"), Ok(Some(5)));
        assert_eq!(Scanner::new(limits).scan(b"\x95"), Err(Refused::Items(5)));
        assert_eq!(Scanner::new(limits).scan(b"\x92\x92\xc0\xc0\x91\xc0"), Err(Refused::Items(5)));
    }

    #[test]
    fn the_reserved_byte_is_refused() {
        assert_eq!(scan(b"\xc1"), Err(Refused::Reserved));
        assert_eq!(scan(b"\x92\xc0\xc1"), Err(Refused::Reserved));
    }

    #[test]
    fn a_scanner_is_ready_for_the_next_value() {
        let mut s = Scanner::default();
        assert_eq!(s.scan(b"\x92\x01"), Ok(None));
        assert_eq!(s.scan(b"\x92\x01\x02\xc0"), Ok(Some(3)));
        assert_eq!(s.scan(b"\xc0"), Ok(Some(1)));
        assert_eq!(s.scan(b""), Ok(None));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f32>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,300}".prop_map(Value::from),
            vec(any::<u8>(), 0..300).prop_map(Value::from),
            (any::<i8>(), vec(any::<u8>(), 0..40)).prop_map(|(kind, data)| Value::Ext(kind, data)),
        ];
        leaf.prop_recursive(6, 64, 20, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..20).prop_map(Value::Array),
                vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        #[test]
        fn the_end_is_found_wherever_the_bytes_are_cut(
            v in value(), cuts in vec(any::<prop::sample::Index>(), 0..4), tail in vec(any::<u8>(), 0..20),
        ) {
            let mut b = Vec::new();
            rmpv::encode::write_value(&mut b, &v).expect("a vector takes all");
            let end = b.len();
            b.extend(tail);
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(end)).collect();
            cuts.sort_unstable();
            let mut s = Scanner::default();
            for cut in cuts {
                prop_assert_eq!(s.scan(&b[..cut]), Ok(None));
            }
            prop_assert_eq!(s.scan(&b), Ok(Some(end)));
        }

        #[test]
        fn a_decoder_agrees_on_any_bytes(b in vec(any::<u8>(), 0..200)) {
            let mut rest = &b[..];
            let decoded = rmpv::decode::read_value(&mut rest);
            match (scan(&b), decoded) {
                (Ok(Some(end)), Ok(_)) => prop_assert_eq!(end, b.len() - rest.len()),
                (Ok(Some(_)), Err(e)) => prop_assert!(false, "not a value: {}", e),
                (Ok(None), Ok(v)) => prop_assert!(false, "a whole value: {}", v),
                (Ok(None), Err(_)) | (Err(_), _) => {}
            }
        }

        #[test]
        fn bytes_that_come_one_by_one_give_the_same_answer(b in vec(any::<u8>(), 0..200)) {
            let mut s = Scanner::default();
            let slowly = (0..=b.len()).map(|n| s.scan(&b[..n])).find(|r| *r != Ok(None)).unwrap_or(Ok(None));
            prop_assert_eq!(slowly, scan(&b));
        }
    }
}
