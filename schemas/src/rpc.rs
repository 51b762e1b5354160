//! The envelope: MessagePack-RPC. `[0, id, method, params]`, `[1, id, error, result]`,
//! `[2, method, params]`; `params` is an array of at most one map.

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::error::Error;

/// Type tag of a request.
pub const REQUEST: u8 = 0;
/// Type tag of a response.
pub const RESPONSE: u8 = 1;
/// Type tag of a notification.
pub const NOTIFICATION: u8 = 2;

/// Largest request in bytes. They have some hundred; one with an environment has some thousand.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Largest answer in bytes: a listing of 10,000 processes.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Most values in one answer: such a listing has 80 for each process.
pub const ANSWER_ITEMS_MAX: u64 = 1 << 20;
/// Deepest nesting of a frame. Ours need 6.
pub const FRAME_DEPTH_MAX: usize = 32;
/// Most values in one frame.
pub const FRAME_ITEMS_MAX: u64 = 65_536;

/// A request, borrowed, its parameters decoded: `[0, id, method, [params]]`.
#[derive(Clone, Debug, Serialize)]
pub struct Request<'a, P>(pub u8, pub u32, pub &'a str, pub (P,));

impl<'a, P> Request<'a, P> {
    /// The request numbered `id`.
    pub fn new(id: u32, method: &'a str, params: P) -> Self {
        Self(REQUEST, id, method, (params,))
    }
}

/// A successful response: `[1, id, nil, result]`.
#[derive(Clone, Debug, Serialize)]
pub struct Success<R>(pub u8, pub u32, pub (), pub R);

/// A failed response: `[1, id, [0, "code: message (hint)"], {code, message, hint}]`. The array of exactly a
/// number and a text is what Neovim shows as text; a third member, or a map, it shows as "unknown error".
/// So the map for programs stands in the place of the result, which other clients ignore beside an error.
#[derive(Clone, Debug, Serialize)]
pub struct Failure<'a>(pub u8, pub u32, pub (u8, String), pub &'a Error);

impl<'a> Failure<'a> {
    /// The failure of request `id`.
    pub fn new(id: u32, error: &'a Error) -> Self {
        Self(RESPONSE, id, (0, error.line()), error)
    }
}

/// A notification: `[2, method, [params]]`.
#[derive(Clone, Debug, Serialize)]
pub struct Notification<'a, P>(pub u8, pub &'a str, pub (P,));

/// The error member of a response as a client reads it: a text, or an array that has one in second place.
/// It is read back by [`Error::from_line`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError(pub Error);

impl<'de> Deserialize<'de> for WireError {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = WireError;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an error: [0, text] or a text")
            }
            fn visit_str<E: de::Error>(self, s: &str) -> Result<WireError, E> {
                Ok(WireError(Error::from_line(s)))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut a: A) -> Result<WireError, A::Error> {
                let _: Option<u8> = a.next_element()?;
                let text: Option<String> = a.next_element()?;
                while a.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(WireError(Error::from_line(&text.unwrap_or_default())))
            }
        }
        d.deserialize_any(Visitor)
    }
}
