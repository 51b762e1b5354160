//! Takes a frame apart into its members without decoding what they hold, so that whoever knows the
//! method decodes a typed structure from a slice, and nothing ever builds a tree of values.

use std::fmt;

use crate::{
    rpc::{NOTIFICATION, REQUEST, RESPONSE},
    scan::{Limits, Refused, Scanner},
};

/// What a call without parameters is given to decode: an empty map.
pub const NO_PARAMS: &[u8] = &[0x80];

/// One frame, taken apart. The slices are whole MessagePack values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// `[0, id, method, params]`: to be answered.
    Request {
        /// Its number, which the response repeats.
        id: u32,
        /// Name of the method.
        method: &'a str,
        /// The one map of parameters; [`NO_PARAMS`] if there is none.
        params: &'a [u8],
    },
    /// `[1, id, error, result]`.
    Response {
        /// Number of the request it answers.
        id: u32,
        /// What went wrong; none if it is nil.
        error: Option<&'a [u8]>,
        /// The result; beside an error, a map that describes it, or nil.
        result: &'a [u8],
    },
    /// `[2, method, params]`: not to be answered.
    Notification {
        /// Name of the method.
        method: &'a str,
        /// The one map of parameters; [`NO_PARAMS`] if there is none.
        params: &'a [u8],
    },
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // sizes only: parameters hold the environment of a caller
        match self {
            Self::Request { id, method, params } => {
                write!(f, "Request {{ id: {id}, method: {method:?}, params: {} bytes }}", params.len())
            }
            Self::Response { id, error, result } => {
                let error = error.map_or(0, <[u8]>::len);
                write!(f, "Response {{ id: {id}, error: {error} bytes, result: {} bytes }}", result.len())
            }
            Self::Notification { method, params } => {
                write!(f, "Notification {{ method: {method:?}, params: {} bytes }}", params.len())
            }
        }
    }
}

/// Takes one whole frame apart: the bytes up to the end that a [`Scanner`] found.
///
/// Numbers and headers may have any of MessagePack's widths. Parameters are an array of at most one
/// map; an empty array in the map's place counts as an empty map, since Lua cannot tell the two apart.
///
/// Errors: [`Refused::Params`] if only the parameters are amiss, [`Refused::Shape`] if it is no message
/// of MessagePack-RPC or if anything follows it.
pub fn split(frame: &[u8]) -> Result<Message<'_>, Refused> {
    let mut r = Reader { rest: frame };
    let members = r.array().ok_or(Refused::Shape("expected an array"))?;
    let tag = r.unsigned().ok_or(Refused::Shape("expected 0, 1 or 2 as its first member"))?;
    let message = match (u8::try_from(tag).unwrap_or(u8::MAX), members) {
        (REQUEST, 4) => {
            let id = r.id()?;
            Message::Request { id, method: r.method()?, params: r.params(Some(id))? }
        }
        (RESPONSE, 4) => {
            let id = r.id()?;
            let error = Some(r.value()?).filter(|e| *e != NIL);
            Message::Response { id, error, result: r.value()? }
        }
        (NOTIFICATION, 3) => Message::Notification { method: r.method()?, params: r.params(None)? },
        (REQUEST | RESPONSE, _) => return Err(Refused::Shape("expected four members")),
        (NOTIFICATION, _) => return Err(Refused::Shape("expected three members")),
        _ => return Err(Refused::Shape("expected 0, 1 or 2 as its first member")),
    };
    if r.rest.is_empty() { Ok(message) } else { Err(Refused::Shape("expected nothing behind it")) }
}

const NIL: &[u8] = &[0xc0];

/// Reads values off the front of a frame. What it returns `None` for, it has not read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn id(&mut self) -> Result<u32, Refused> {
        let id = self.unsigned().and_then(|n| u32::try_from(n).ok());
        id.ok_or(Refused::Shape("expected a number of 32 bits as its id"))
    }

    fn method(&mut self) -> Result<&'a str, Refused> {
        self.text().ok_or(Refused::Shape("expected a text as its method"))
    }

    /// The one map of parameters, whole.
    fn params(&mut self, id: Option<u32>) -> Result<&'a [u8], Refused> {
        let whole = self.value()?;
        let mut inside = Reader { rest: whole };
        match inside.array() {
            Some(0) => return Ok(NO_PARAMS),
            Some(1) => {}
            _ => return Err(Refused::Params { id }),
        }
        let map = inside.rest;
        match map.first() {
            Some(0x80..=0x8f | 0xde | 0xdf) => Ok(map),
            _ if inside.array() == Some(0) => Ok(NO_PARAMS),
            _ => Err(Refused::Params { id }),
        }
    }

    /// One value of any kind, whole. The frame has been held to its limits as it came in; here an answer
    /// may be as large as any.
    fn value(&mut self) -> Result<&'a [u8], Refused> {
        match Scanner::new(Limits::ANSWER).scan(self.rest)? {
            Some(end) => Ok(self.take(end).expect("a value ends within its bytes")),
            None => Err(Refused::Shape("expected more members")),
        }
    }

    /// The number of members of the array that begins here.
    fn array(&mut self) -> Option<u64> {
        match *self.rest.first()? {
            marker @ 0x90..=0x9f => self.take(1).map(|_| u64::from(marker & 0x0f)),
            0xdc => self.number(2),
            0xdd => self.number(4),
            _ => None,
        }
    }

    /// A number that is not negative. Some encoders write small ones in a signed form.
    fn unsigned(&mut self) -> Option<u64> {
        match *self.rest.first()? {
            marker @ 0x00..=0x7f => self.take(1).map(|_| u64::from(marker)),
            0xcc => self.number(1),
            0xcd => self.number(2),
            0xce => self.number(4),
            0xcf => self.number(8),
            signed @ 0xd0..=0xd3 if self.rest.get(1).is_some_and(|b| *b < 0x80) => {
                self.number(1 << (signed - 0xd0))
            }
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        let bytes = match *self.rest.first()? {
            marker @ 0xa0..=0xbf => self.take(1).map(|_| u64::from(marker & 0x1f)),
            0xd9 => self.number(1),
            0xda => self.number(2),
            0xdb => self.number(4),
            _ => None,
        }?;
        std::str::from_utf8(self.take(usize::try_from(bytes).ok()?)?).ok()
    }

    /// A marker and the big-endian number of `width` bytes behind it.
    fn number(&mut self, width: usize) -> Option<u64> {
        let bytes = self.take(1 + width)?;
        Some(bytes[1..].iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        error::{Code, Error},
        rpc,
    };

    fn bytes(v: &impl serde::Serialize) -> Vec<u8> {
        rmp_serde::to_vec_named(v).expect("it encodes")
    }

    #[test]
    fn what_the_envelope_types_write_is_taken_apart_again() {
        let params = crate::process::ProcessTarget { process: "lead".into(), ..Default::default() };
        let map = bytes(&params);
        let request = bytes(&rpc::Request::new(70_000, "process.start", &params));
        assert_eq!(
            split(&request),
            Ok(Message::Request { id: 70_000, method: "process.start", params: &map })
        );
        let notification = bytes(&rpc::Notification(NOTIFICATION, "event", (&params,)));
        assert_eq!(split(&notification), Ok(Message::Notification { method: "event", params: &map }));
        let success = bytes(&rpc::Success(RESPONSE, 3, (), &params));
        assert_eq!(split(&success), Ok(Message::Response { id: 3, error: None, result: &map }));

        let error = Error::new(Code::NotFound, "no process `lead`");
        let failure = bytes(&rpc::Failure::new(4, &error));
        let Ok(Message::Response { id: 4, error: Some(body), result }) = split(&failure) else {
            panic!("{:?}", split(&failure));
        };
        assert_eq!(rmp_serde::from_slice::<rpc::WireError>(body).expect("an error").0, error);
        assert_eq!(rmp_serde::from_slice::<Error>(result).expect("the same error"), error);
    }

    #[test]
    fn an_answer_larger_than_any_request_is_taken_apart() {
        let large = bytes(&rpc::Success(RESPONSE, 3, (), vec!["x".repeat(1_000); 2_000]));
        assert!(large.len() > rpc::FRAME_BYTES_MAX);
        assert!(matches!(split(&large), Ok(Message::Response { id: 3, error: None, .. })));
        let many = bytes(&rpc::Success(RESPONSE, 3, (), vec![1; 100_000]));
        assert!(matches!(split(&many), Ok(Message::Response { id: 3, error: None, .. })));
    }

    #[test]
    fn numbers_and_headers_of_any_width_are_read() {
        let expected = Ok(Message::Request { id: 7, method: "hello", params: NO_PARAMS });
        for frame in [
            &b"\x94\x00\x07\xa5hello\x90"[..],
            b"\xdc\x00\x04\x00\xcc\x07\xd9\x05hello\x90",
            b"\xdd\x00\x00\x00\x04\xd0\x00\xcd\x00\x07\xda\x00\x05hello\xdc\x00\x00",
            b"\x94\x00\xce\x00\x00\x00\x07\xdb\x00\x00\x00\x05hello\xdd\x00\x00\x00\x01\x80",
            b"\x94\x00\xd3\x00\x00\x00\x00\x00\x00\x00\x07\xa5hello\x91\x80",
        ] {
            assert_eq!(split(frame), expected, "{frame:02x?}");
        }
    }

    #[test]
    fn an_empty_table_of_lua_is_no_parameters() {
        assert_eq!(
            split(b"\x94\x00\x07\xa5hello\x91\x90"),
            Ok(Message::Request { id: 7, method: "hello", params: NO_PARAMS })
        );
    }

    #[test]
    fn parameters_that_are_not_one_map_are_refused_by_the_number_of_their_request() {
        for params in
            [&b"\x80"[..], b"\xc0", b"\x91\x01", b"\x92\x80\x80", b"\x91\xa0", b"\x91\x91\x80", b"\xa3abc"]
        {
            let request = [b"\x94\x00\x07\xa5hello", params].concat();
            assert_eq!(split(&request), Err(Refused::Params { id: Some(7) }), "{params:02x?}");
            let notification = [b"\x93\x02\xa5event", params].concat();
            assert_eq!(split(&notification), Err(Refused::Params { id: None }), "{params:02x?}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for frame in [
            &b"\x80"[..],
            b"\xc0",
            b"\xa5hello",
            b"\x90",
            b"\x94\x03\x07\xa5hello\x90",
            b"\x94\xcd\x01\x00\x07\xa5hello\x90",
            b"\x94\x00\xff\xa5hello\x90",
            b"\x94\x00\xd0\xff\xa5hello\x90",
            b"\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa5hello\x90",
            b"\x94\x00\x07\xc4\x05hello\x90",
            b"\x94\x00\x07\xa2\xff\xfe\x90",
            b"\x93\x00\x07\xa5hello",
            b"\x95\x00\x07\xa5hello\x90\xc0",
            b"\x94\x02\xa5event\x90\xc0",
            b"\x94\x00\x07\xa5hello\x90\xc0",
            b"\x94\x00\x07\xa5hello",
        ] {
            assert!(matches!(split(frame), Err(Refused::Shape(_))), "{frame:02x?}: {:?}", split(frame));
        }
    }

    #[test]
    fn what_parameters_hold_is_not_printed() {
        let frame = b"\x94\x00\x07\xa5hello\x91\x81\xa1k\xa6secret";
        assert!(!format!("{:?}", split(frame)).contains("secret"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn no_bytes_are_too_strange(b in vec(any::<u8>(), 0..60), tag in 0..3u8, members in 3..5u8) {
            let frame = [&[0x90 | members, tag], &b[..]].concat();
            for frame in [&b, &frame] {
                // each slice of what passes is one whole value
                if let Ok(Message::Request { params: v, .. } | Message::Response { result: v, .. }) = split(frame) {
                    prop_assert_eq!(Scanner::default().scan(v), Ok(Some(v.len())));
                }
            }
        }
    }
}
