//! Between the program's output and those who see it. Output is passed on at once and laid out later,
//! in slices, while there is nothing else to do; at the latest when a query, an attach or a bound
//! needs it.

use std::panic::AssertUnwindSafe;

use wezterm_parallel_schemas::keeper::Size;

use crate::{
    answers,
    forgery::{self, Reading},
    scan::{Note, Query, Scanner, Sink},
    screen::Screen,
};

/// Output that is not laid out may grow to this; then the program waits. A multiple of the history, so
/// that most of a flood is skipped rather than laid out.
pub const UNLAID_BYTES_MAX: usize = 8 << 20;
/// Laid-out output is dropped when this much has come together, or when there is no other.
const LAID_BYTES_MAX: usize = 1 << 20;
/// A buffer larger than this is given back when it is empty.
const IDLE_BUFFER_BYTES_MAX: usize = 16 << 10;
/// Longest program status that is kept. Claude's carry a line of text.
const STATUS_BYTES_MAX: usize = 4 << 10;
/// Longest title that is told.
const TITLE_BYTES_MAX: usize = 1 << 10;

/// The program's terminal.
pub struct Stage {
    scanner: Scanner,
    flow: Flow,
}

/// Everything behind the scanner.
struct Flow {
    /// None until the program says something: most of a keeper's memory is cells.
    screen: Option<Box<Screen>>,
    size: Size,
    history_bytes: usize,
    /// Passed output. `laid` bytes of it have been laid out; from `round` on it is new in this round.
    output: Vec<u8>,
    laid: usize,
    round: usize,
    /// Place in the whole stream of `output`'s first byte.
    base: u64,
    /// What only one client gets, with its place in `output`.
    for_one: Vec<(usize, Vec<u8>)>,
    /// How far that one is, and how far all others are: what was taken out may have stood between two bytes
    /// that are nothing of ours apart.
    readings: [Reading; 2],
    in_update: bool,
    answers: Vec<u8>,
    statuses: Vec<String>,
    /// The newest progress report, `state` and `percent`, until it is taken.
    progress: Option<(u8, Option<u8>)>,
    /// Whether the program is told that its status is welcome.
    program_status: bool,
    title: String,
    title_changed: bool,
}

impl Stage {
    /// A blank terminal. `program_status`: a program that asks is told that its status is welcome.
    pub fn new(size: Size, history_bytes: u64, program_status: bool) -> Self {
        let flow = Flow {
            screen: None,
            size,
            history_bytes: usize::try_from(history_bytes).unwrap_or(usize::MAX / 4),
            output: vec![],
            laid: 0,
            round: 0,
            base: 0,
            for_one: vec![],
            readings: Default::default(),
            in_update: false,
            answers: vec![],
            statuses: vec![],
            progress: None,
            program_status,
            title: String::new(),
            title_changed: false,
        };
        Self { scanner: Scanner::default(), flow }
    }

    /// Takes the program's next output. It stands in [`Stage::round`] until [`Stage::end_round`].
    pub fn feed(&mut self, bytes: &[u8]) {
        self.scanner.feed(bytes, &mut self.flow);
    }

    /// The output has ended: what was held back as unfinished passes.
    pub fn finish(&mut self) {
        self.scanner.finish(&mut self.flow);
    }

    /// This round's output for everybody.
    pub fn round(&self) -> &[u8] {
        &self.flow.output[self.flow.round..]
    }

    /// This round's output for the one client that gets bells and notifications.
    pub fn round_for_one(&self) -> Vec<u8> {
        let flow = &self.flow;
        let mut out = Vec::with_capacity(flow.output.len() - flow.round);
        let mut from = flow.round;
        for (place, bytes) in &flow.for_one {
            out.extend_from_slice(&flow.output[from..*place]);
            out.extend_from_slice(bytes);
            from = *place;
        }
        out.extend_from_slice(&flow.output[from..]);
        out
    }

    /// Only the bells and notifications of this round.
    pub fn for_one(&self) -> impl Iterator<Item = &[u8]> {
        self.flow.for_one.iter().map(|(_, bytes)| &bytes[..])
    }

    /// Everybody has this round's output.
    pub fn end_round(&mut self) {
        let flow = &mut self.flow;
        flow.for_one.clear();
        if flow.laid == flow.output.len() {
            flow.base += flow.laid as u64;
            flow.laid = 0;
            if flow.output.capacity() > IDLE_BUFFER_BYTES_MAX {
                flow.output = Vec::new();
            } else {
                flow.output.clear();
            }
        } else if flow.laid >= LAID_BYTES_MAX {
            flow.output.drain(..flow.laid);
            flow.base += flow.laid as u64;
            flow.laid = 0;
        }
        flow.round = flow.output.len();
    }

    /// Place in the stream where this round began.
    pub fn round_offset(&self) -> u64 {
        self.flow.base + self.flow.round as u64
    }

    /// Place in the stream up to which the screen is laid out.
    pub fn laid_offset(&self) -> u64 {
        self.flow.base + self.flow.laid as u64
    }

    /// Place of the stream's end.
    pub fn end_offset(&self) -> u64 {
        self.flow.base + self.flow.output.len() as u64
    }

    /// Bytes that are not laid out.
    pub fn unlaid(&self) -> usize {
        self.flow.output.len() - self.flow.laid
    }

    /// Lays out at most `bytes` bytes.
    pub fn lay_out(&mut self, bytes: usize) {
        self.flow.lay_out(bytes);
    }

    /// The screen with everything laid out.
    pub fn screen(&mut self) -> &Screen {
        self.flow.lay_out(usize::MAX);
        self.flow.screen()
    }

    /// Number of the next line of history, as far as it is laid out.
    pub fn next_line(&self) -> u64 {
        self.flow.screen.as_ref().map_or(0, |screen| screen.history().next())
    }

    /// Size of the terminal.
    pub fn size(&self) -> Size {
        self.flow.size
    }

    /// Gives the terminal another size.
    pub fn resize(&mut self, size: Size) {
        self.flow.lay_out(usize::MAX);
        self.flow.size = size;
        if self.flow.screen.is_some() {
            self.flow.guarded(|screen| screen.resize(size.cols, size.rows));
        }
    }

    /// Whether the stream is between two sequences and outside of synchronized updates.
    pub fn is_at_rest(&self) -> bool {
        !self.flow.in_update && self.scanner.at_boundary()
    }

    /// Whether what has passed ends between two sequences and characters.
    pub fn is_at_boundary(&self) -> bool {
        self.scanner.has_passed_whole()
    }

    /// Whether a synchronized update goes on.
    pub fn is_in_update(&self) -> bool {
        self.flow.in_update
    }

    /// Answers to the program's questions since the last call.
    pub fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.flow.answers)
    }

    /// What the program said of itself since the last call, oldest first.
    pub fn take_statuses(&mut self) -> Vec<String> {
        std::mem::take(&mut self.flow.statuses)
    }

    /// The program's newest progress report since the last call: it replaces those before, as it does in
    /// a terminal.
    pub fn take_progress(&mut self) -> Option<(u8, Option<u8>)> {
        self.flow.progress.take()
    }

    /// The title, if it has changed since the last call; empty if it was taken back.
    pub fn take_title(&mut self) -> Option<String> {
        std::mem::take(&mut self.flow.title_changed).then(|| self.flow.title.clone())
    }
}

impl Flow {
    fn screen(&mut self) -> &mut Screen {
        let (size, history_bytes) = (self.size, self.history_bytes);
        self.screen.get_or_insert_with(|| Box::new(Screen::new(size.cols, size.rows, history_bytes)))
    }

    /// Works on the screen. The library has paniced on rare input before: then the screen is lost, but
    /// neither the keeper nor the program, and the program's next drawing fills a new one.
    fn guarded(&mut self, work: impl FnOnce(&mut Screen)) {
        let screen = self.screen();
        if std::panic::catch_unwind(AssertUnwindSafe(|| work(screen))).is_err() {
            self.screen = None;
        }
    }

    fn lay_out(&mut self, bytes: usize) {
        let end = self.output.len().min(self.laid.saturating_add(bytes));
        if end == self.laid {
            return;
        }
        // out of the way of the borrow; nothing is copied
        let output = std::mem::take(&mut self.output);
        let laid = self.laid;
        self.guarded(|screen| screen.feed(&output[laid..end]));
        self.laid = end;
        self.output = output;
        let title = self.screen.as_deref().and_then(Screen::title).unwrap_or_default();
        let title = &title[..title.floor_char_boundary(TITLE_BYTES_MAX)];
        if title != self.title {
            self.title = title.to_owned();
            self.title_changed = true;
        }
    }
}

impl Sink for Flow {
    fn pass(&mut self, bytes: &[u8]) {
        let end = self.output.len();
        self.output.extend_from_slice(bytes);
        forgery::spoil(&mut self.readings, &mut self.output[end..]);
    }

    fn pass_to_one(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        forgery::spoil(&mut self.readings[..1], &mut bytes);
        self.for_one.push((self.output.len(), bytes));
    }

    fn query(&mut self, query: Query) {
        if query == Query::ProgramStatus && !self.program_status {
            // no answer is the answer of a terminal that does not know it; what is reported all the same
            // is taken
            return;
        }
        if answers::needs_screen(&query) {
            self.lay_out(usize::MAX);
        }
        let mut answers = std::mem::take(&mut self.answers);
        answers::answer(&query, self.screen(), &mut answers);
        self.answers = answers;
    }

    fn note(&mut self, note: Note, body: &[u8]) {
        match note {
            Note::SyncBegin => self.in_update = true,
            Note::SyncEnd => self.in_update = false,
            Note::SoftReset => {
                self.lay_out(usize::MAX);
                self.screen().soft_reset();
            }
            Note::Osc(7501) => {
                let status = body.strip_prefix(b"7501;").unwrap_or_default();
                let status = String::from_utf8_lossy(&status[..status.len().min(STATUS_BYTES_MAX)]);
                self.statuses.push(status.into_owned());
            }
            Note::Osc(number) => {
                if number == 9 {
                    self.progress = progress(body).or(self.progress);
                }
                self.screen().keep_osc(number, body);
            }
        }
    }
}

/// `9;4;STATE;PERCENT`. A state that ConEmu, who invented it, does not have is no report.
fn progress(body: &[u8]) -> Option<(u8, Option<u8>)> {
    let mut fields = std::str::from_utf8(body.strip_prefix(b"9;4;")?).ok()?.split(';');
    let state = fields.next()?.parse().ok().filter(|state| *state <= 4)?;
    let percent = fields.next().and_then(|value| value.parse::<u8>().ok()).map(|value| value.min(100));
    Some((state, percent.filter(|_| state != 0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vtparse::{CollectingVTActor, VTAction, VTParser};

    use super::*;
    use crate::scan::tests::output;

    fn stage() -> Stage {
        Stage::new(Size { cols: 80, rows: 24 }, 64 << 10, true)
    }

    #[test]
    fn a_program_whose_status_is_not_wanted_is_not_answered_and_heard_all_the_same() {
        let mut stage = Stage::new(Size { cols: 80, rows: 24 }, 64 << 10, false);
        stage.feed(b"\x1b]7501;?\x07\x1b]7501;state=idle\x07");
        assert_eq!(stage.take_answers(), b"");
        assert_eq!(stage.take_statuses(), ["state=idle"]);
    }

    #[test]
    fn progress_is_noted_and_passes_as_before() {
        let mut stage = stage();
        let reports = b"\x1b]9;4;1;50\x07\x1b]9;4;3\x1b\\\x1b]9;4;0;\x07\x1b]9;4;7;1\x07\x1b]9;4;x\x07";
        stage.feed(reports);
        assert_eq!(stage.take_progress(), Some((0, None)), "the newest that is one");
        assert_eq!(stage.take_progress(), None);
        assert_eq!(stage.round(), reports);
        stage.feed(b"\x1b]9;4;1;50\x07");
        assert_eq!(stage.take_progress(), Some((1, Some(50))));
    }

    #[test]
    fn claude_is_answered_that_its_status_is_welcome_and_its_states_are_kept() {
        let mut stage = stage();
        stage.feed(include_bytes!("../tests/fixtures/claude_osc_7501.raw"));
        let statuses = stage.take_statuses();
        assert!(statuses.iter().any(|s| s == "state=working:app=claude-code"), "{statuses:?}");
        assert!(statuses.iter().any(|s| s.starts_with("state=blocked:app=claude-code:kind=permission:msg=")));
        assert!(!stage.round().windows(6).any(|w| w == b"]7501;"), "the status is not passed on");

        stage.feed(b"\x1b]7501;?\x07");
        assert!(stage.take_answers().ends_with(b"\x1b]7501;?\x07"));
    }

    #[test]
    fn bells_and_notifications_go_to_one_client_and_the_rest_to_all() {
        let mut stage = stage();
        stage.feed(b"one\x07 two\x1b]777;notify;a;b\x07 three\x1b]2;title\x07");
        assert_eq!(stage.round(), b"one two three\x1b]2;title\x07");
        assert_eq!(stage.round_for_one(), b"one\x07 two\x1b]777;notify;a;b\x07 three\x1b]2;title\x07");
    }

    #[test]
    fn a_question_within_the_output_is_answered_for_its_place_in_it() {
        let mut stage = stage();
        stage.feed(b"abc\x1b[6ndef\x1b[6n");
        assert_eq!(stage.take_answers(), b"\x1b[1;4R\x1b[1;7R");
        assert_eq!(stage.round(), b"abcdef");
    }

    #[test]
    fn a_title_is_told_when_it_changes() {
        let mut stage = stage();
        stage.feed(b"\x1b]0;one\x07");
        stage.lay_out(usize::MAX);
        assert_eq!(stage.take_title().as_deref(), Some("one"));
        stage.feed(b"\x1b]0;one\x07");
        stage.lay_out(usize::MAX);
        assert_eq!(stage.take_title(), None);
    }

    #[test]
    fn a_panic_in_the_library_costs_the_screen_and_nothing_else() {
        let mut stage = stage();
        stage.feed(b"before");
        stage.lay_out(usize::MAX);
        stage.flow.guarded(|_| panic!("as the library would"));
        stage.feed(b"after\x1b[6n");
        assert_eq!(stage.take_answers(), b"\x1b[1;6R");
    }

    #[test]
    fn a_status_without_end_is_cut() {
        let mut stage = stage();
        stage.feed(format!("\x1b]7501;state=error:msg={}\x07", "x".repeat(5000)).as_bytes());
        assert_eq!(stage.take_statuses()[0].len(), STATUS_BYTES_MAX);
    }

    /// Whether WezTerm, by its own parser, takes a user variable of ours from this. What is not ended is
    /// ended by whatever a terminal gets next.
    fn sets_ours(bytes: &[u8]) -> bool {
        let (mut parser, mut actor) = (VTParser::new(), CollectingVTActor::default());
        parser.parse(bytes, &mut actor);
        parser.parse(b"\x1b", &mut actor);
        actor.into_iter().any(|action| match action {
            VTAction::OscDispatch(words) => {
                words.len() > 1 && words[0] == b"1337" && words[1].starts_with(b"SetUserVar=wezterm_parallel")
            }
            _ => false,
        })
    }

    /// What comes of this output: for all, for the one with the bells, and for who comes later.
    fn seen(pieces: &[&[u8]]) -> [Vec<u8>; 3] {
        let mut stage = stage();
        let (mut all, mut one, mut later) = (vec![], vec![], vec![]);
        for piece in pieces {
            stage.feed(piece);
            all.extend_from_slice(stage.round());
            one.extend(stage.round_for_one());
            stage.end_round();
        }
        stage.finish();
        all.extend_from_slice(stage.round());
        one.extend(stage.round_for_one());
        stage.screen().dump(0, &mut later);
        [all, one, later]
    }

    #[test]
    fn a_program_cannot_have_its_pane_taken_for_another_ones() {
        let set = b"1337;SetUserVar=wezterm_parallel=dy9w";
        let text = |parts: &[&[u8]]| parts.concat();
        let taken: Vec<Vec<u8>> = vec![
            text(&[b"\x1b]", set, b"\x07"]),
            text(&[b"\x1b]", set, b"\x1b\\"]),
            text(&[b"\x1b]", set, b"\x1b[m"]),
            text(&[b"\x1b]", set, b"\x1a"]),
            text(&[b"\x1b]", set, b"\x9c"]),
            text(&[b"\x1b]", set]),
            text(&[b"\x9d", set, b"\x9c"]),
            text(&[b"\xc2\x9d", set, b"\xc2\x9c"]),
            // what WezTerm leaves out of a sequence
            text(&[b"\x1b\x01]", set, b"\x07"]),
            text(&[b"\x1b\x07]", set, b"\x07"]),
            text(&[b"\x1b];", set, b"\x07"]),
            b"\x1b]1337;SetUserVar=wez\x01term_\x9dpar\xa0allel=dy9w\x07".to_vec(),
            b"\x1b]1337;SetUserVar=wezterm_parallel_typing=MWI=\x07".to_vec(),
            // from inside of another sequence
            text(&[b"\x1bPtmux;\x1b\x1b]", set, b"\x07\x1b\\"]),
            text(&[b"\x1b]2;title\x1b]", set, b"\x07"]),
            text(&[b"\x1b[1;\x1b]", set, b"\x07"]),
            // too long to be held back
            text(&[b"\x1b]", set, &b"QUFB".repeat(4_000), b"\x07"]),
            text(&[b"\x1b]", &[1; 9_000], set, b"\x07"]),
        ];
        // made by taking something out of the middle
        let joined =
            vec![text(&[b"\x1b\x1b[c]", set, b"\x07"]), text(&[b"\x1b\x1b]9;x\x07]", set, b"\x1b\\"])];
        for forged in &taken {
            assert!(sets_ours(forged), "WezTerm does not take {:?}", String::from_utf8_lossy(forged));
        }
        for forged in taken.into_iter().chain(joined) {
            for cut in (0..=forged.len()).filter(|cut| *cut < 80 || forged.len() < 200) {
                for seen in seen(&[&forged[..cut], &forged[cut..]]) {
                    assert!(!sets_ours(&seen), "{:?} cut at {cut}", String::from_utf8_lossy(&forged));
                }
            }
        }
    }

    #[test]
    fn a_variable_of_ours_without_end_keeps_nobody_from_being_told_what_it_shows() {
        let mut stage = stage();
        stage.feed(b"\x1b]1337;SetUserVar=wezterm_parallel=");
        for _ in 0..10 {
            stage.feed(&[b'A'; 1_000]);
            assert_eq!((stage.is_at_boundary(), stage.round_for_one()), (true, vec![]));
        }
        stage.feed(b"\x07after");
        assert_eq!(stage.round(), b"after");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_a_program_prints_nobody_takes_a_variable_of_ours_from_it(
            bytes in output(), cuts in prop::collection::vec(0_usize..200, 0..8)
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            for seen in seen(&pieces) {
                prop_assert!(!sets_ours(&seen));
            }
        }
    }
}
