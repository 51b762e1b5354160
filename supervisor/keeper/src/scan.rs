//! Finds the escape sequences in a program's output, without interpreting any text: plain text costs
//! one pass of `memchr`.
//!
//! *Queries* are taken out of the stream, since the keeper answers them. What only one terminal may
//! get (bell, notifications, clipboard) is set apart. The few sequences that the keeper wants to know
//! of are reported. Everything else passes unchanged, cut only at the borders of sequences and
//! characters. However the input is cut, the calls say the same.

use memchr::{memchr2, memchr3};

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;

/// A string sequence that may yet be a query or worth a note is held back up to this size. Claude's
/// longest status is some hundred bytes; a clipboard or an image is longer and streams through.
const HOLD_BYTES_MAX: usize = 8 << 10;
/// A control sequence longer than this is none, and passes as text.
const CSI_BYTES_MAX: usize = 256;
/// Intermediate bytes of a two-character sequence. Real ones have one.
const INTERMEDIATES_MAX: usize = 16;

/// A question of the program to its terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// `CSI c`: what are you.
    PrimaryAttributes,
    /// `CSI > c`: which version.
    SecondaryAttributes,
    /// `CSI = c`: which serial number.
    TertiaryAttributes,
    /// `CSI > q`: name and version.
    Version,
    /// `CSI ? u`: flags of the kitty keyboard protocol.
    KittyKeyboard,
    /// `CSI ? 4 m`: how modified keys are reported.
    ModifyOtherKeys,
    /// `CSI ? n $ p` and `CSI n $ p`: is this mode set.
    Mode {
        /// A DEC mode.
        private: bool,
        /// Its number.
        number: u16,
    },
    /// `CSI 6 n`: where is the cursor.
    CursorPosition {
        /// Asked with `?`, and answered so.
        private: bool,
    },
    /// `CSI 5 n`: are you well.
    DeviceStatus,
    /// `CSI ? 996 n`: dark or light.
    ColorScheme,
    /// `CSI 14 t`: size in pixels.
    WindowPixels,
    /// `CSI 16 t`: size of a cell in pixels.
    CellPixels,
    /// `CSI 18 t`: size in cells.
    WindowCells,
    /// `CSI 21 t`: the title.
    Title,
    /// `OSC 7501 ; ?`: do you take program status.
    ProgramStatus,
    /// `OSC 10 ; ?`, `11`, `12`, and `OSC 4 ; index ; ?`.
    Color {
        /// 4, 10, 11 or 12.
        osc: u16,
        /// Number of the palette colour, for 4.
        index: Option<u16>,
        /// The question ended with BEL, and so must the answer.
        bell: bool,
    },
    /// `OSC 52 ; … ; ?`: what is in the clipboard.
    ClipboardRead,
    /// `DCS + q`: termcap entries, in hex.
    TermCap(Vec<u8>),
    /// `DCS $ q`: a setting (DECRQSS).
    Setting(Vec<u8>),
    /// Kitty graphics with `a=q`.
    KittyGraphics,
    /// `CSI ? … S`: limits of sixel.
    GraphicsLimits,
}

/// Something that the keeper wants to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A synchronized update begins: the screen is not to be looked at.
    SyncBegin,
    /// It ends.
    SyncEnd,
    /// DECSTR, which the screen library does not know.
    SoftReset,
    /// An OSC with this number; the body is what stands between `ESC ]` and the terminator.
    Osc(u16),
}

/// Where the scanner puts what it finds, in the order of the stream.
pub trait Sink {
    /// Bytes for every terminal and for the screen.
    fn pass(&mut self, bytes: &[u8]);
    /// Bytes for one terminal only.
    fn pass_to_one(&mut self, bytes: &[u8]);
    /// A question, taken out of the stream.
    fn query(&mut self, query: Query);
    /// Something to know, after its bytes have been passed. `body` is empty but for [`Note::Osc`].
    fn note(&mut self, note: Note, body: &[u8]);
}

/// The scanner's place in the stream.
#[derive(Default)]
pub struct Scanner {
    state: State,
    /// The beginning of a sequence whose end has not come.
    held: Vec<u8>,
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum State {
    #[default]
    Ground,
    /// Inside a string too long to hold; `esc`: its last byte was an ESC.
    LongString { osc: bool, esc: bool },
}

impl Scanner {
    /// True if no sequence is unfinished.
    pub fn at_boundary(&self) -> bool {
        self.state == State::Ground && self.held.is_empty()
    }

    /// True if what has passed ends between two sequences and characters. Something unfinished may be
    /// held back.
    pub fn has_passed_whole(&self) -> bool {
        self.state == State::Ground
    }

    /// Scans the next piece of output.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        if self.held.is_empty() {
            let used = self.run(bytes, sink);
            self.held.extend_from_slice(&bytes[used..]);
        } else {
            let mut all = std::mem::take(&mut self.held);
            all.extend_from_slice(bytes);
            let used = self.run(&all, sink);
            all.drain(..used);
            if all.is_empty() {
                all = Vec::new();
            }
            self.held = all;
        }
    }

    /// Passes what is held back, at the end of the output.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            sink.pass(&held);
        }
    }

    /// Scans `b` as far as it can and returns how far that was.
    fn run(&mut self, b: &[u8], sink: &mut impl Sink) -> usize {
        let mut passed = 0; // everything before has been given to the sink
        let mut i = 0;
        while i < b.len() {
            if let State::LongString { osc, esc } = self.state {
                let end = match string_end(&b[i..], osc, esc) {
                    StringEnd::At(n) => {
                        self.state = State::Ground;
                        i + n
                    }
                    StringEnd::Open { esc } => {
                        self.state = State::LongString { osc, esc };
                        b.len()
                    }
                };
                // a long OSC is a clipboard or an image, and the screen's parser would hold it whole
                if osc {
                    sink.pass_to_one(&b[i..end]);
                } else {
                    sink.pass(&b[i..end]);
                }
                (i, passed) = (end, end);
                continue;
            }
            let Some(k) = memchr2(ESC, BEL, &b[i..]) else { break };
            i += k;
            let found = if b[i] == BEL { Found::ForOne(1) } else { classify(&b[i..]) };
            if let Found::Plain(n) = found {
                i += n;
                continue;
            }
            if i > passed {
                sink.pass(&b[passed..i]);
            }
            passed = i;
            match found {
                Found::Plain(_) => unreachable!("handled above"),
                Found::Unfinished => return i,
                Found::Long { osc } => self.state = State::LongString { osc, esc: false },
                Found::ForOne(n) => {
                    sink.pass_to_one(&b[i..i + n]);
                    i += n;
                    passed = i;
                }
                Found::Noted(n, note) => {
                    let sequence = &b[i..i + n];
                    if note != Note::Osc(7501) {
                        sink.pass(sequence);
                    }
                    sink.note(note, if matches!(note, Note::Osc(_)) { osc_body(sequence) } else { &[] });
                    i += n;
                    passed = i;
                }
                Found::Asked(n, query) => {
                    sink.query(query);
                    i += n;
                    passed = i;
                }
            }
            if let State::LongString { .. } = self.state {
                // let the introducer go with the string, and do not take its ESC for an end
                let n = 2;
                let osc = self.state == State::LongString { osc: true, esc: false };
                if osc {
                    sink.pass_to_one(&b[i..i + n]);
                } else {
                    sink.pass(&b[i..i + n]);
                }
                i += n;
                passed = i;
            }
        }
        let mut end = b.len();
        if self.state == State::Ground {
            end -= utf8_tail(&b[passed..end]);
        }
        if end > passed {
            sink.pass(&b[passed..end]);
        }
        end
    }
}

/// What stands at an ESC, with its length.
enum Found {
    /// Nothing of interest: it passes with the text around it.
    Plain(usize),
    /// For one terminal only.
    ForOne(usize),
    /// Passes, and is reported.
    Noted(usize, Note),
    /// Is taken out.
    Asked(usize, Query),
    /// A string too long to be held back.
    Long { osc: bool },
    /// More is needed to tell.
    Unfinished,
}

/// Length of an unfinished UTF-8 character at the end.
fn utf8_tail(b: &[u8]) -> usize {
    for back in 1..=b.len().min(3) {
        let c = b[b.len() - back];
        if c & 0xc0 == 0x80 {
            continue;
        }
        let need = match c {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if need > back { back } else { 0 };
    }
    0
}

enum StringEnd {
    /// After this many bytes.
    At(usize),
    /// Not here; `esc`: the last byte may begin the terminator.
    Open { esc: bool },
}

/// Looks for the end of a string sequence: ST, CAN, and BEL if it is an OSC.
fn string_end(b: &[u8], osc: bool, mut esc: bool) -> StringEnd {
    let mut i = 0;
    loop {
        if esc {
            // ESC \ ends the string. ESC and anything else ends it too and begins something new,
            // which passes without being looked at: rare, and harmless.
            return if i < b.len() { StringEnd::At(i + 1) } else { StringEnd::Open { esc: true } };
        }
        let Some(k) = memchr3(ESC, BEL, CAN, &b[i..]) else { return StringEnd::Open { esc: false } };
        i += k + 1;
        match b[i - 1] {
            ESC => esc = true,
            BEL if !osc => {}
            _ => return StringEnd::At(i),
        }
    }
}

fn osc_body(sequence: &[u8]) -> &[u8] {
    let end = sequence.strip_suffix(b"\x1b\\").map_or(sequence.len() - 1, <[u8]>::len);
    &sequence[2..end]
}

/// `b[0]` is an ESC.
fn classify(b: &[u8]) -> Found {
    let Some(&c) = b.get(1) else { return Found::Unfinished };
    match c {
        b'[' => csi(b),
        b']' => osc(b),
        b'P' | b'_' | b'^' | b'X' => string(b, c),
        b'Z' => Found::Asked(2, Query::PrimaryAttributes),
        0x20..=0x2f => {
            let intermediates = b[1..].iter().take_while(|x| (0x20..=0x2f).contains(*x)).count();
            if intermediates > INTERMEDIATES_MAX {
                Found::Plain(1 + INTERMEDIATES_MAX)
            } else if 1 + intermediates < b.len() {
                Found::Plain(2 + intermediates)
            } else {
                Found::Unfinished
            }
        }
        // another ESC begins anew
        ESC => Found::Plain(1),
        _ => Found::Plain(2),
    }
}

fn csi(b: &[u8]) -> Found {
    let mut n = 2;
    loop {
        match b.get(n) {
            _ if n > CSI_BYTES_MAX => return Found::Plain(n),
            None => return Found::Unfinished,
            Some(0x40..=0x7e) => break,
            Some(0x20..=0x3f) => n += 1,
            // a control inside a sequence: the terminal is to sort it out
            Some(_) => return Found::Plain(n),
        }
    }
    let (parameters, last) = (&b[2..n], b[n]);
    let n = n + 1;
    let asked = |query| Found::Asked(n, query);
    match (parameters, last) {
        (b"" | b"0", b'c') => asked(Query::PrimaryAttributes),
        (b">" | b">0", b'c') => asked(Query::SecondaryAttributes),
        (b"=" | b"=0", b'c') => asked(Query::TertiaryAttributes),
        (b">" | b">0", b'q') => asked(Query::Version),
        (b"?", b'u') => asked(Query::KittyKeyboard),
        (b"?4", b'm') => asked(Query::ModifyOtherKeys),
        (b"5", b'n') => asked(Query::DeviceStatus),
        (b"6", b'n') => asked(Query::CursorPosition { private: false }),
        (b"?6", b'n') => asked(Query::CursorPosition { private: true }),
        (b"?996", b'n') => asked(Query::ColorScheme),
        (b"14", b't') => asked(Query::WindowPixels),
        (b"16", b't') => asked(Query::CellPixels),
        (b"18" | b"19", b't') => asked(Query::WindowCells),
        (b"20" | b"21", b't') => asked(Query::Title),
        (b"?2026", b'h') => Found::Noted(n, Note::SyncBegin),
        (b"?2026", b'l') => Found::Noted(n, Note::SyncEnd),
        (b"!", b'p') => Found::Noted(n, Note::SoftReset),
        ([b'?', number @ .., b'$'], b'p') => mode(true, number, n),
        ([number @ .., b'$'], b'p') => mode(false, number, n),
        ([b'?', ..], b'S') => asked(Query::GraphicsLimits),
        _ => Found::Plain(n),
    }
}

fn mode(private: bool, digits: &[u8], n: usize) -> Found {
    match number(digits) {
        Some(number) => Found::Asked(n, Query::Mode { private, number }),
        None => Found::Plain(n),
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Length of the string sequence at the start of `b`, terminator included.
fn string_length(b: &[u8], osc: bool) -> Option<usize> {
    match string_end(&b[2..], osc, false) {
        StringEnd::At(n) => Some(n + 2),
        StringEnd::Open { .. } => None,
    }
}

fn osc(b: &[u8]) -> Found {
    let Some(n) = string_length(b, true) else {
        return if b.len() > HOLD_BYTES_MAX { Found::Long { osc: true } } else { Found::Unfinished };
    };
    if n > HOLD_BYTES_MAX {
        // the same as if it had come in pieces
        return Found::Long { osc: true };
    }
    let body = osc_body(&b[..n]);
    let digits = body.iter().take_while(|c| c.is_ascii_digit()).count();
    let Some(osc) = number(&body[..digits]) else { return Found::Plain(n) };
    let argument = &body[digits..];
    let bell = b[n - 1] == BEL;
    match osc {
        7501 if argument == b";?" => Found::Asked(n, Query::ProgramStatus),
        10..=12 if argument == b";?" => Found::Asked(n, Query::Color { osc, index: None, bell }),
        4 => match argument.strip_prefix(b";").and_then(|a| a.strip_suffix(b";?")).and_then(number) {
            Some(i) => Found::Asked(n, Query::Color { osc, index: Some(i), bell }),
            None => Found::Plain(n),
        },
        52 if argument.ends_with(b";?") => Found::Asked(n, Query::ClipboardRead),
        // progress is state that every terminal shows, the rest of 9 are notifications
        9 if argument.starts_with(b";4;") => Found::Noted(n, Note::Osc(osc)),
        9 | 52 | 99 | 777 => Found::ForOne(n),
        7 | 1337 | 7501 => Found::Noted(n, Note::Osc(osc)),
        _ => Found::Plain(n),
    }
}

fn string(b: &[u8], kind: u8) -> Found {
    let Some(n) = string_length(b, false) else {
        // an image may be megabytes long; it streams through as soon as it cannot be a query
        return if b.len() > HOLD_BYTES_MAX { Found::Long { osc: false } } else { Found::Unfinished };
    };
    if n > HOLD_BYTES_MAX {
        return Found::Long { osc: false };
    }
    let body = &b[2..n.saturating_sub(2).max(2)];
    match (kind, body) {
        (b'P', [b'+', b'q', names @ ..]) => Found::Asked(n, Query::TermCap(names.to_vec())),
        (b'P', [b'$', b'q', setting @ ..]) => Found::Asked(n, Query::Setting(setting.to_vec())),
        (b'_', [b'G', rest @ ..]) => {
            let control = rest.split(|&c| c == b';').next().unwrap_or_default();
            let asks = control.split(|&c| c == b',').any(|pair| pair == b"a=q");
            if asks { Found::Asked(n, Query::KittyGraphics) } else { Found::Plain(n) }
        }
        _ => Found::Plain(n),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Clone)]
    enum Seen {
        Passed(Vec<u8>),
        One(Vec<u8>),
        Asked(Query),
        Noted(Note, Vec<u8>),
    }

    #[derive(Default)]
    struct Seer(Vec<Seen>);

    impl Sink for Seer {
        fn pass(&mut self, bytes: &[u8]) {
            match self.0.last_mut() {
                Some(Seen::Passed(before)) => before.extend_from_slice(bytes),
                _ => self.0.push(Seen::Passed(bytes.to_vec())),
            }
        }
        fn pass_to_one(&mut self, bytes: &[u8]) {
            match self.0.last_mut() {
                Some(Seen::One(before)) => before.extend_from_slice(bytes),
                _ => self.0.push(Seen::One(bytes.to_vec())),
            }
        }
        fn query(&mut self, query: Query) {
            self.0.push(Seen::Asked(query));
        }
        fn note(&mut self, note: Note, body: &[u8]) {
            self.0.push(Seen::Noted(note, body.to_vec()));
        }
    }

    fn scan(pieces: &[&[u8]]) -> Vec<Seen> {
        let (mut scanner, mut seer) = (Scanner::default(), Seer::default());
        for piece in pieces {
            scanner.feed(piece, &mut seer);
        }
        scanner.finish(&mut seer);
        seer.0
    }

    fn passed(text: &str) -> Seen {
        Seen::Passed(text.as_bytes().to_vec())
    }

    #[test]
    fn questions_are_taken_out_and_the_rest_passes() {
        let mode = |private, number| Seen::Asked(Query::Mode { private, number });
        let color = |osc, index, bell| Seen::Asked(Query::Color { osc, index, bell });
        let table: Vec<(&str, Vec<Seen>)> = vec![
            ("a\x1b[cb", vec![passed("a"), Seen::Asked(Query::PrimaryAttributes), passed("b")]),
            ("\x1b[>q\x1b[?u", vec![Seen::Asked(Query::Version), Seen::Asked(Query::KittyKeyboard)]),
            ("\x1b[?2026$p\x1b[4$p", vec![mode(true, 2026), mode(false, 4)]),
            ("\x1b[6n", vec![Seen::Asked(Query::CursorPosition { private: false })]),
            ("\x1b]11;?\x1b\\\x1b]4;7;?\x07", vec![color(11, None, false), color(4, Some(7), true)]),
            ("\x1b]7501;?\x07", vec![Seen::Asked(Query::ProgramStatus)]),
            ("\x1b]52;c;?\x07", vec![Seen::Asked(Query::ClipboardRead)]),
            ("\x1bP+q544e\x1b\\", vec![Seen::Asked(Query::TermCap(b"544e".to_vec()))]),
            ("\x1bP$qm\x1b\\", vec![Seen::Asked(Query::Setting(b"m".to_vec()))]),
            ("\x1b_Gi=31,s=1,a=q;AAAA\x1b\\x", vec![Seen::Asked(Query::KittyGraphics), passed("x")]),
            // not questions, however alike
            (
                "\x1b[1;2c\x1b[3q\x1b[u\x1b]11;#fff\x07",
                vec![passed("\x1b[1;2c\x1b[3q\x1b[u\x1b]11;#fff\x07")],
            ),
            ("\x1b_Ga=T;AAAA\x1b\\", vec![passed("\x1b_Ga=T;AAAA\x1b\\")]),
        ];
        for (input, expected) in table {
            assert_eq!(scan(&[input.as_bytes()]), expected, "{input:?}");
        }
    }

    #[test]
    fn what_one_terminal_gets_is_set_apart_and_what_is_noted_is_told() {
        assert_eq!(
            scan(&[b"a\x07b\x1b]9;text\x07\x1b]9;4;1;50\x07\x1b]7501;state=idle\x1b\\c"]),
            vec![
                passed("a"),
                Seen::One(b"\x07".to_vec()),
                passed("b"),
                Seen::One(b"\x1b]9;text\x07".to_vec()),
                passed("\x1b]9;4;1;50\x07"),
                Seen::Noted(Note::Osc(9), b"9;4;1;50".to_vec()),
                Seen::Noted(Note::Osc(7501), b"7501;state=idle".to_vec()),
                passed("c"),
            ]
        );
    }

    #[test]
    fn a_string_without_end_is_not_held_for_ever() {
        let mut scanner = Scanner::default();
        let mut seer = Seer::default();
        scanner.feed(b"\x1b]52;c;", &mut seer);
        for _ in 0..100 {
            scanner.feed(&[b'A'; 1000], &mut seer);
            assert!(scanner.held.len() <= HOLD_BYTES_MAX + 1000);
        }
        scanner.feed(b"\x07after", &mut seer);
        assert_eq!(seer.0.last(), Some(&passed("after")));
        let Some(Seen::One(clipboard)) = seer.0.first() else { panic!("{:?}", seer.0.len()) };
        assert_eq!(clipboard.len(), 7 + 100_000 + 1);
    }

    /// Pieces of output: text, sequences, and broken ones.
    fn output() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "[ -~]{0,12}".prop_map(String::into_bytes),
            "\\PC{0,4}".prop_map(String::into_bytes),
            prop::sample::select(vec![
                &b"\x1b[c"[..],
                b"\x1b[6n",
                b"\x1b[?2026h",
                b"\x1b[?2026l",
                b"\x1b[1;31m",
                b"\x1b[!p",
                b"\x07",
                b"\x1b]0;title\x07",
                b"\x1b]7501;state=idle\x1b\\",
                b"\x1b]7501;?\x07",
                b"\x1bP$qm\x1b\\",
                b"\x1b_Ga=q;x\x1b\\",
                b"\x1b(B",
                b"\x1bc",
                b"\x1b",
                b"\x1b[",
                b"\x1b]9;x",
                b"\x1bP",
                b"\x9c",
                b"\x1b\x1b[c",
                b"\x18",
                b"\xe6\x97\xa5",
                b"\xe6\x97",
                b"\xf0\x9f",
                b"\r\n",
                b"\x1b]777;a\x1b\\",
            ])
            .prop_map(<[u8]>::to_vec),
            prop::collection::vec(any::<u8>(), 0..6),
        ];
        prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn however_the_output_is_cut_the_same_is_found(bytes in output(), cuts in prop::collection::vec(0_usize..200, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(scan(&pieces), scan(&[&bytes]));
        }

        #[test]
        fn nothing_is_lost_but_questions_and_the_status(bytes in "[a-z\\x1b\\[\\]0-9;?mhJ]{0,60}") {
            let seen = scan(&[bytes.as_bytes()]);
            if seen.iter().all(|seen| matches!(seen, Seen::Passed(_) | Seen::One(_))) {
                let all: Vec<u8> = seen.into_iter().flat_map(|seen| match seen {
                    Seen::Passed(bytes) | Seen::One(bytes) => bytes,
                    Seen::Asked(_) | Seen::Noted(..) => vec![],
                }).collect();
                prop_assert_eq!(all, bytes.into_bytes());
            }
        }
    }
}
