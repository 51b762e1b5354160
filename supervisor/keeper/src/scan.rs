//! Finds the escape sequences in a program's output, without interpreting any text: plain text costs
//! one pass of `memchr`.
//!
//! *Queries* are taken out of the stream, since the keeper answers them, and so is what only we may say
//! ([`forgery`]). What only one terminal may get (bell, notifications, clipboard) is set apart. The few
//! sequences that the keeper wants to know of are reported. Everything else passes unchanged, cut only at the
//! borders of sequences and characters. However the input is cut, the calls say the same.

use std::ops::Range;

use memchr::{memchr, memchr2, memchr3};

use crate::forgery;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;

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
    /// Inside a string too long to hold.
    LongString(Long),
}

/// A string too long to hold.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Long {
    /// For every terminal.
    Other,
    /// A clipboard or an image: the screen's parser would hold it whole, so only one terminal gets it.
    Osc,
    /// An OSC that nobody gets.
    Barred,
}

impl Long {
    fn pass(self, bytes: &[u8], sink: &mut impl Sink) {
        match self {
            Self::Other => sink.pass(bytes),
            Self::Osc => sink.pass_to_one(bytes),
            Self::Barred => {}
        }
    }
}

impl Scanner {
    /// True if no sequence is unfinished.
    pub fn at_boundary(&self) -> bool {
        self.state == State::Ground && self.held.is_empty()
    }

    /// True if what has passed ends between two sequences and characters. Something unfinished may be
    /// held back.
    pub fn has_passed_whole(&self) -> bool {
        // of what nobody gets nothing has passed
        matches!(self.state, State::Ground | State::LongString(Long::Barred))
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
        if !held.is_empty() && !forgery::is_in(&held) {
            sink.pass(&held);
        }
    }

    /// Scans `b` as far as it can and returns how far that was.
    fn run(&mut self, b: &[u8], sink: &mut impl Sink) -> usize {
        let mut passed = 0; // everything before has been given to the sink
        let mut i = 0;
        while i < b.len() {
            if let State::LongString(long) = self.state {
                match string_end(&b[i..], long != Long::Other) {
                    StringEnd::At { after, .. } => {
                        self.state = State::Ground;
                        long.pass(&b[i..i + after], sink);
                        (i, passed) = (i + after, i + after);
                    }
                    StringEnd::Open { content } => {
                        long.pass(&b[i..i + content], sink);
                        return i + content;
                    }
                }
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
            match found {
                Found::Plain(_) => unreachable!("handled above"),
                Found::Unfinished => return i,
                Found::Long(long) => {
                    self.state = State::LongString(long);
                    // the introducer goes with the string, and its ESC is no end
                    long.pass(&b[i..i + 2], sink);
                    i += 2;
                    passed = i;
                }
                Found::Barred(n) => {
                    i += n;
                    passed = i;
                }
                Found::ForOne(n) => {
                    sink.pass_to_one(&b[i..i + n]);
                    i += n;
                    passed = i;
                }
                Found::Noted(n, note, body) => {
                    let sequence = &b[i..i + n];
                    if note != Note::Osc(7501) {
                        sink.pass(sequence);
                    }
                    sink.note(note, &sequence[body]);
                    i += n;
                    passed = i;
                }
                Found::Asked(n, query) => {
                    sink.query(query);
                    i += n;
                    passed = i;
                }
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
    /// Passes, and is reported, with the bytes at this place in it.
    Noted(usize, Note, Range<usize>),
    /// Is taken out.
    Asked(usize, Query),
    /// Is taken out and not told.
    Barred(usize),
    /// A string too long to be held back.
    Long(Long),
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
    /// Its content has so many bytes, and so many are with what ends it. Another sequence ends it too, and is
    /// no part of it.
    At { content: usize, after: usize },
    /// Not here; after so many bytes an ESC may begin the end.
    Open { content: usize },
}

/// Looks for the end of a string sequence: ST, CAN, SUB, another sequence, and BEL if it is an OSC.
fn string_end(b: &[u8], osc: bool) -> StringEnd {
    let end = memchr3(ESC, CAN, SUB, b).unwrap_or(b.len());
    let content = if osc { memchr(BEL, &b[..end]).unwrap_or(end) } else { end };
    match (b.get(content), b.get(content + 1)) {
        (None, _) | (Some(&ESC), None) => StringEnd::Open { content },
        (Some(&ESC), Some(b'\\')) => StringEnd::At { content, after: content + 2 },
        (Some(&ESC), Some(_)) => StringEnd::At { content, after: content },
        (Some(_), _) => StringEnd::At { content, after: content + 1 },
    }
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
        (b"?2026", b'h') => Found::Noted(n, Note::SyncBegin, 0..0),
        (b"?2026", b'l') => Found::Noted(n, Note::SyncEnd, 0..0),
        (b"!", b'p') => Found::Noted(n, Note::SoftReset, 0..0),
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

/// Where the content of the string sequence at the start of `b` ends, and the sequence.
enum Ends {
    At(usize, usize),
    Unfinished,
    /// The content is longer than what is held back, and passes as soon as that is known: also here, where it
    /// has come in one piece.
    TooFar,
}

fn ends(b: &[u8], osc: bool) -> Ends {
    let (content, ends) = match string_end(&b[2..], osc) {
        StringEnd::At { content, after } => (content + 2, Ends::At(content + 2, after + 2)),
        StringEnd::Open { content } => (content + 2, Ends::Unfinished),
    };
    if content > HOLD_BYTES_MAX { Ends::TooFar } else { ends }
}

fn osc(b: &[u8]) -> Found {
    let (end, n) = match ends(b, true) {
        Ends::At(end, n) => (end, n),
        Ends::Unfinished => return Found::Unfinished,
        Ends::TooFar if forgery::is_in(&b[..HOLD_BYTES_MAX]) => return Found::Long(Long::Barred),
        Ends::TooFar => return Found::Long(Long::Osc),
    };
    if forgery::is_in(&b[..end]) {
        return Found::Barred(n);
    }
    let body = &b[2..end];
    let digits = body.iter().take_while(|c| c.is_ascii_digit()).count();
    let Some(osc) = number(&body[..digits]) else { return Found::Plain(n) };
    let argument = &body[digits..];
    let bell = b.get(end) == Some(&BEL);
    match osc {
        7501 if argument == b";?" => Found::Asked(n, Query::ProgramStatus),
        10..=12 if argument == b";?" => Found::Asked(n, Query::Color { osc, index: None, bell }),
        4 => match argument.strip_prefix(b";").and_then(|a| a.strip_suffix(b";?")).and_then(number) {
            Some(i) => Found::Asked(n, Query::Color { osc, index: Some(i), bell }),
            None => Found::Plain(n),
        },
        52 if argument.ends_with(b";?") => Found::Asked(n, Query::ClipboardRead),
        // progress is state that every terminal shows, the rest of 9 are notifications
        9 if argument.starts_with(b";4;") => Found::Noted(n, Note::Osc(osc), 2..end),
        9 | 52 | 99 | 777 => Found::ForOne(n),
        7 | 1337 | 7501 => Found::Noted(n, Note::Osc(osc), 2..end),
        _ => Found::Plain(n),
    }
}

fn string(b: &[u8], kind: u8) -> Found {
    let (end, n) = match ends(b, false) {
        Ends::At(end, n) => (end, n),
        Ends::Unfinished => return Found::Unfinished,
        // an image may be megabytes long; it streams through as soon as it cannot be a query
        Ends::TooFar => return Found::Long(Long::Other),
    };
    match (kind, &b[2..end]) {
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
pub mod tests {
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
    fn a_variable_of_ours_is_taken_out_and_the_rest_passes() {
        let set = "\x1b]1337;SetUserVar=wezterm_parallel=dy9w";
        let long = format!("{set}{}", "QUFB".repeat(HOLD_BYTES_MAX));
        let typed = "\x1b]1337;SetUserVar=wezterm_parallel_typing=MWI=";
        for set in [set, &long, typed] {
            // all that ends it; a sequence that does so stays
            for (end, stays) in
                [("\x07", ""), ("\x1b\\", ""), ("\x18", ""), ("\x1a", ""), ("\x1b[m", "\x1b[m")]
            {
                let input = format!("a{set}{end}b");
                assert_eq!(scan(&[input.as_bytes()]), [passed(&format!("a{stays}b"))], "{set:.60}{end:?}");
            }
            assert_eq!(scan(&[format!("a{set}\x1b[cb").as_bytes()]).len(), 3, "and what it asks is answered");
            assert_eq!(scan(&[format!("a{set}").as_bytes()]), [passed("a")], "without an end");
        }
        for other in [
            "\x1b]1337;SetUserVar=wezterm=dy9w\x07",
            "\x1b]1337;SetUserVar=wezterm_paralle=dy9w\x07",
            "\x1b]1337;SetUserVar=my_wezterm_parallel=dy9w\x07",
            "\x1b]1337;File=name=wezterm_parallel;inline=1:QUFB\x07",
            "\x1b]1337;CursorShape=1\x1b\\",
            "\x1b]2;1337;SetUserVar=wezterm_parallel=dy9w\x07",
            // WezTerm knows no number with zeros before it
            "\x1b]01337;SetUserVar=wezterm_parallel=dy9w\x07",
            "a”1337;SetUserVar=wezterm_parallel=dy9w",
        ] {
            let seen = scan(&[other.as_bytes()]);
            assert_eq!(seen[0], passed(other), "{other:?}");
        }
    }

    #[test]
    fn a_sequence_that_ends_a_string_is_looked_at_too() {
        assert_eq!(
            scan(&[b"\x1b]2;title\x1b[6nb\x1bPq\x1b]11;?\x1b[1mc"]),
            [
                passed("\x1b]2;title"),
                Seen::Asked(Query::CursorPosition { private: false }),
                passed("b\x1bPq"),
                Seen::Asked(Query::Color { osc: 11, index: None, bell: false }),
                passed("\x1b[1mc"),
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

    #[test]
    fn a_string_that_is_just_short_enough_to_be_held_is_cut_like_any_other() {
        for length in HOLD_BYTES_MAX - 6..HOLD_BYTES_MAX + 4 {
            for end in ["\x07", "\x1b\\", "\x18", "\x1b[m"] {
                let input = format!("\x1b]2;{}{end}after", "A".repeat(length)).into_bytes();
                let whole = scan(&[&input]);
                for cut in HOLD_BYTES_MAX - 4..input.len() {
                    let pieces = scan(&[&input[..cut], &input[cut..]]);
                    assert!(pieces == whole, "{length} bytes, {end:?}, cut at {cut}");
                }
            }
        }
    }

    /// A variable of ours, in all the ways in which a terminal may take it, and in some that it does not.
    fn forgery() -> impl Strategy<Value = Vec<u8>> {
        let begin: [&[u8]; 8] = [
            b"\x1b]",
            b"\x9d",
            b"\xc2\x9d",
            b"\x1b\x07]",
            b"\x1bPtmux;\x1b\x1b]",
            b"\x1b]0;title\x1b]",
            b"\x1b\x1b[c]",
            b"\x1b\x1b]9;x\x07]",
        ];
        let noise: [&[u8]; 10] =
            [b"\x01", b"\x7f", b"\xa0", b";", b"0", b"\x1b", b"\xe2", b"\xc3\xa9", b"\x9c", b"\x1b]"];
        let end: [&[u8]; 7] = [b"\x07", b"\x1b\\", b"\x18", b"\x1a", b"\x9c", b"\xc2\x9c", b"\x1b[1m"];
        let noise = prop_oneof![8 => Just(&b""[..]), 1 => prop::sample::select(noise.to_vec())]
            .prop_map(<[u8]>::to_vec);
        let text = ["1337;", "SetUserVar=", "wezterm_par", "allel", "_typing=dy9w"];
        (
            prop::sample::select(begin.to_vec()),
            prop::collection::vec(noise, text.len()),
            prop::sample::select(end.to_vec()),
        )
            .prop_map(move |(begin, noise, end)| {
                let mut bytes = begin.to_vec();
                for (noise, text) in noise.iter().zip(text) {
                    bytes.extend_from_slice(noise);
                    bytes.extend_from_slice(text.as_bytes());
                }
                bytes.extend_from_slice(end);
                bytes
            })
    }

    /// Pieces of output: text, sequences, and broken ones.
    pub fn output() -> impl Strategy<Value = Vec<u8>> {
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
            forgery(),
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
