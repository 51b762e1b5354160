//! A stand-in for the Messages API on the loopback interface, as far as Claude Code needs it.
//!
//! What it answers is written in the prompt: the last text of the user holds steps in double square
//! brackets, and the n-th request after that text gets the n-th step.
//!
//! | step | |
//! |---|---|
//! | `[[text:hello]]` | says hello |
//! | `[[bash:echo hi]]` | uses the tool Bash |
//! | `[[tool:NAME:{…}]]` | uses any tool, with this input |
//! | `[[hang]]` | begins an answer and never ends it |
//! | `[[drop]]` | begins an answer and breaks the connection, each time |
//! | `[[refuse]]` | ends this and every further answer of the conversation with the stop reason `refusal` |
//! | `[[status:400]]` | refuses with this HTTP status, each time |
//! | `[[status:429,n=2,ra=1]]` | … the first two times, with `retry-after: 1`; then the step behind it |
//!
//! `[[rl:status=rejected,5h=1,7d=0.5,reset=6]]` before a step adds the headers of a subscription's usage
//! limits to its answer, to be reset in 6 s, or with `at=T` T seconds after 1970; `[[usage:in=1000,out=50]]`
//! says what it uses. Also before a step may stand `[[slow:S]]` (its answer takes S seconds), `[[wait:S]]` (it
//! begins after S seconds) and `[[hold:NAME]]` (it begins when the test calls [`Mock::release`]). Without a
//! step the answer is `MOCK: ` and the prompt; past the last one it is `MOCK: done`.

use std::{
    collections::{HashMap, HashSet},
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::DEADLINE;

/// The server. It ends, and with it every connection, when this is dropped.
pub struct Mock {
    url: String,
    shared: Arc<Shared>,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Claude's session.
    pub session: String,
    /// The last text of the user.
    pub prompt: String,
    /// How many answers have come since that text.
    pub turn: usize,
    /// All texts of the user in the conversation so far, reminders left out.
    pub texts: Vec<String>,
    /// What the tools gave back in the conversation so far.
    pub results: Vec<String>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    released: HashSet<String>,
    /// How often a prompt was refused that is to be refused only some times.
    refused: HashMap<String, usize>,
    connections: Vec<TcpStream>,
    ended: bool,
}

impl Mock {
    /// Starts the server on a port of its own.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback interface has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Shared::default());
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let mut state = server.lock();
                if state.ended {
                    return;
                }
                state.connections.extend(connection.try_clone());
                drop(state);
                let server = Arc::clone(&server);
                // an error is a client that has left
                thread::spawn(move || serve(&server, &connection).map_err(drop));
            }
        });
        Self { url, shared }
    }

    /// What Claude is given as `ANTHROPIC_BASE_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until a request of which `wanted` is true has come in, now or before.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Request) -> bool) -> Request {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.shared.lock();
        loop {
            if let Some(found) = state.requests.iter().find(|r| wanted(r)) {
                return found.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no request to the API: {what}; those that came: {:#?}", state.requests);
            state = self.shared.wait(state, left);
        }
    }

    /// The sessions that have asked something.
    pub fn sessions(&self) -> HashSet<String> {
        self.shared.lock().requests.iter().map(|r| r.session.clone()).collect()
    }

    /// How many requests have come in of which `wanted` is true.
    pub fn count(&self, wanted: impl Fn(&Request) -> bool) -> usize {
        self.shared.lock().requests.iter().filter(|r| wanted(r)).count()
    }

    /// Lets the answers begin that wait for `name`, and all later ones.
    pub fn release(&self, name: &str) {
        self.shared.lock().released.insert(name.into());
        self.shared.changed.notify_all();
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        for connection in &state.connections {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        // the listener wakes up and sees that it is over
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, most).unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    /// Waits for that long, or until the server ends.
    fn pause(&self, seconds: f64) {
        let deadline = Instant::now() + Duration::from_secs_f64(seconds);
        let mut state = self.lock();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    fn hold(&self, name: &str) {
        let mut state = self.lock();
        while !state.ended && !state.released.contains(name) {
            state = self.wait(state, DEADLINE);
        }
    }
}

/// What an answer holds.
enum Step {
    Text(String),
    Tool { name: String, input: Value },
    Hang,
    Drop,
    Refuse,
    Status(Refusal),
}

/// A refusal.
struct Refusal {
    status: u16,
    /// How often; always if it does not say.
    times: Option<usize>,
    /// Seconds after which to try again.
    retry_after: Option<u64>,
}

/// A step and what stands before it.
#[derive(Default)]
struct Pace {
    slow: f64,
    wait: f64,
    hold: Option<String>,
    /// Further headers of the answer, each with its line break.
    headers: String,
    usage: Option<(u64, u64)>,
    /// The connection is broken instead of left open.
    drops: bool,
    /// It ends with a refusal.
    refuses: bool,
}

/// Answers one request after the other until the client leaves.
fn serve(shared: &Shared, connection: &TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some(http) = read_request(&mut reader)? {
        match (http.method.as_str(), http.path.split('?').next().unwrap_or_default()) {
            ("POST", "/v1/messages") => messages(shared, connection, &http)?,
            ("POST", "/v1/messages/count_tokens") => send(connection, 200, &json!({ "input_tokens": 100 }))?,
            ("HEAD", _) => send(connection, 200, &Value::Null)?,
            (_, path) => send(connection, 404, &refusal(404, &format!("no {path} here")))?,
        }
    }
    Ok(())
}

fn messages(shared: &Shared, connection: &TcpStream, http: &Http) -> io::Result<()> {
    let body: Value = serde_json::from_slice(&http.body)?;
    let stream = body["stream"] == true;
    let answer = |blocks: &[Value], pace: &Pace, end: bool| {
        let model = body["model"].as_str().unwrap_or("mock");
        if stream {
            stream_answer(shared, connection, model, blocks, pace, end)
        } else {
            whole_answer(connection, model, blocks)
        }
    };
    if body["tools"].as_array().is_none_or(Vec::is_empty) {
        // a title for the conversation, or the judge of auto mode: neither belongs to it
        let judge = body["system"].to_string().contains("security monitor");
        let text = if judge { "<block>no</block>" } else { r#"{"title":"Mock title","isNewTopic":true}"# };
        return answer(&[json!({ "type": "text", "text": text })], &Pace::default(), true);
    }

    let request = conversation(&body["messages"], http.headers.get("x-claude-code-session-id"));
    shared.lock().requests.push(request.clone());
    shared.changed.notify_all();

    let mut steps = steps(&request.prompt);
    let refused = shared.lock().refused.get(&request.prompt).copied().unwrap_or_default();
    steps.retain(|(step, _)| match step {
        Step::Status(r) => r.times.is_none_or(|n| refused < n),
        Step::Text(_) | Step::Tool { .. } | Step::Hang | Step::Drop | Step::Refuse => true,
    });
    let (step, pace) = if steps.is_empty() {
        (Step::Text(format!("MOCK: {}", request.prompt.trim())), Pace::default())
    } else if matches!(steps.last(), Some((Step::Status(_) | Step::Drop | Step::Refuse, _))) {
        steps.swap_remove(request.turn.min(steps.len() - 1))
    } else if request.turn < steps.len() {
        steps.swap_remove(request.turn)
    } else {
        (Step::Text("MOCK: done".into()), Pace::default())
    };
    if let Some(name) = &pace.hold {
        shared.hold(name);
    }
    shared.pause(pace.wait);
    // Claude asks once more by itself, in words of its own
    let step = if request.texts.iter().any(|t| t.contains("[[refuse]]")) { Step::Refuse } else { step };
    match step {
        Step::Text(text) => answer(&[json!({ "type": "text", "text": text })], &pace, true),
        Step::Hang => answer(&[json!({ "type": "text", "text": "I begin" })], &pace, false),
        Step::Drop => {
            let pace = Pace { drops: true, ..pace };
            answer(&[json!({ "type": "text", "text": "I begin" })], &pace, false)
        }
        Step::Refuse => {
            let pace = Pace { refuses: true, ..pace };
            answer(&[json!({ "type": "text", "text": "I will not" })], &pace, true)
        }
        Step::Status(Refusal { status, times, retry_after }) => {
            if times.is_some() {
                *shared.lock().refused.entry(request.prompt.clone()).or_default() += 1;
            }
            let retry = retry_after.map(|s| format!("retry-after: {s}\r\n")).unwrap_or_default();
            let body = refusal(status, &format!("mock error {status}"));
            send_with(connection, status, &body, &(retry + &pace.headers))
        }
        Step::Tool { name, input } => {
            let id = format!("toolu_mock_{}", unique());
            let say = json!({ "type": "text", "text": format!("I will use {name}.") });
            answer(&[say, json!({ "type": "tool_use", "id": id, "name": name, "input": input })], &pace, true)
        }
    }
}

/// The steps that a prompt holds. What is in brackets of no known kind is left to the model, and so is no step.
fn steps(prompt: &str) -> Vec<(Step, Pace)> {
    let mut found = Vec::new();
    let mut pace = Pace::default();
    for directive in directives(prompt) {
        let (kind, value) = directive.split_once(':').unwrap_or((directive, ""));
        let step = match kind {
            "slow" => {
                pace.slow = value.parse().expect("[[slow:SECONDS]]");
                continue;
            }
            "wait" => {
                pace.wait = value.parse().expect("[[wait:SECONDS]]");
                continue;
            }
            "hold" => {
                pace.hold = Some(value.into());
                continue;
            }
            "text" => Step::Text(value.into()),
            "hang" => Step::Hang,
            "drop" => Step::Drop,
            "refuse" => Step::Refuse,
            "rl" => {
                pace.headers = limit_headers(value);
                continue;
            }
            "usage" => {
                let options = value.split(',').filter_map(|o| o.split_once('='));
                let options: HashMap<&str, &str> = options.collect();
                let tokens = |name| options.get(name).and_then(|n| n.parse().ok()).unwrap_or(0);
                pace.usage = Some((tokens("in"), tokens("out")));
                continue;
            }
            "status" => {
                let (status, rest) = value.split_once(',').unwrap_or((value, ""));
                let option = |name: &str| {
                    let found = rest.split(',').find_map(|o| o.strip_prefix(name)?.strip_prefix('='));
                    found.map(|n| n.parse::<u64>().expect("[[status:NUMBER,n=TIMES,ra=SECONDS]]"))
                };
                Step::Status(Refusal {
                    status: status.parse().expect("[[status:NUMBER]]"),
                    times: option("n").map(|n| usize::try_from(n).expect("a few times")),
                    retry_after: option("ra"),
                })
            }
            "bash" => Step::Tool {
                name: "Bash".into(),
                input: json!({ "command": value, "description": "mock command" }),
            },
            "tool" => {
                let (name, input) = value.split_once(':').expect("[[tool:NAME:INPUT]]");
                Step::Tool {
                    name: name.into(),
                    input: serde_json::from_str(input).expect("the input is JSON"),
                }
            }
            _ => continue,
        };
        found.push((step, std::mem::take(&mut pace)));
    }
    found
}

/// The headers by which the API tells of a subscription's usage windows.
fn limit_headers(value: &str) -> String {
    let options: HashMap<&str, &str> = value.split(',').filter_map(|o| o.split_once('=')).collect();
    let option = |name: &str, default: &'static str| options.get(name).copied().unwrap_or(default).to_owned();
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let seconds = |text: &str| text.parse::<u64>().expect("[[rl:…,reset=SECONDS,at=SECONDS]]");
    let reset = options.get("at").map_or_else(|| now + seconds(&option("reset", "3600")), |at| seconds(at));
    let status = option("status", "allowed");
    let mut lines = vec![
        ("status".to_owned(), status.clone()),
        ("reset".to_owned(), reset.to_string()),
        ("representative-claim".to_owned(), option("claim", "five_hour")),
        ("overage-status".to_owned(), option("overage", "rejected")),
    ];
    for window in ["5h", "7d"] {
        if let Some(used) = options.get(window) {
            lines.push((format!("{window}-utilization"), (*used).to_owned()));
            lines.push((format!("{window}-reset"), reset.to_string()));
            lines.push((format!("{window}-status"), status.clone()));
            if let Some(threshold) = options.get("thr") {
                lines.push((format!("{window}-surpassed-threshold"), (*threshold).to_owned()));
            }
        }
    }
    lines.iter().map(|(name, value)| format!("anthropic-ratelimit-unified-{name}: {value}\r\n")).collect()
}

/// What stands in double square brackets, the outermost ones.
fn directives(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut depth, mut start, mut at) = (0_usize, 0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"[[") {
            depth += 1;
            at += 2;
            if depth == 1 {
                start = at;
            }
        } else if depth > 0 && rest.starts_with(b"]]") && !rest.starts_with(b"]]]") {
            depth -= 1;
            if depth == 0 {
                found.push(&text[start..at]);
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    found
}

/// Finds the last text of the user. A message of the user may hold reminders, results of tools, and, after
/// a failed turn, the texts of several prompts; the list has messages of the system in between.
fn conversation(messages: &Value, session: Option<&String>) -> Request {
    let mut request = Request {
        session: session.cloned().unwrap_or_default(),
        prompt: String::new(),
        turn: 0,
        texts: Vec::new(),
        results: Vec::new(),
    };
    for message in messages.as_array().into_iter().flatten() {
        match message["role"].as_str() {
            Some("assistant") => request.turn += 1,
            Some("user") => {
                let texts = texts(&message["content"]);
                if let Some(last) = texts.last() {
                    request.prompt.clone_from(last);
                    request.turn = 0;
                }
                request.texts.extend(texts);
                request.results.extend(results(&message["content"]));
            }
            _ => {}
        }
    }
    request
}

/// What stands in results of tools, a text for each.
fn results(content: &Value) -> impl Iterator<Item = String> + '_ {
    let blocks = content.as_array().into_iter().flatten().filter(|b| b["type"] == "tool_result");
    blocks.map(|b| match &b["content"] {
        Value::String(text) => text.clone(),
        // those of MCP are texts in blocks
        Value::Array(parts) if parts.iter().all(|p| p["type"] == "text") => {
            parts.iter().filter_map(|p| p["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    })
}

fn texts(content: &Value) -> Vec<String> {
    let own = |text: &str| {
        let text = text.trim();
        let reminder = text.starts_with("<system-reminder>") || text.is_empty();
        (!reminder).then(|| text.to_string())
    };
    match content {
        Value::String(text) => own(text).into_iter().collect(),
        // what stands beside the result of a tool was not typed by anybody, unless it holds steps
        Value::Array(blocks) => {
            let beside = blocks.iter().any(|b| b["type"] == "tool_result");
            let typed =
                blocks.iter().filter(|b| b["type"] == "text").filter_map(|b| own(b["text"].as_str()?));
            typed.filter(|t| !beside || t.contains("[[")).collect()
        }
        _ => Vec::new(),
    }
}

fn message(model: &str, blocks: &[Value]) -> Value {
    let tool = blocks.iter().any(|b| b["type"] == "tool_use");
    json!({
        "id": format!("msg_mock_{}", unique()), "type": "message", "role": "assistant", "model": model,
        "content": blocks, "stop_reason": if tool { "tool_use" } else { "end_turn" }, "stop_sequence": null,
        "usage": {
            "input_tokens": 100, "output_tokens": 20, "service_tier": "standard",
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "cache_creation": { "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 },
        },
    })
}

fn whole_answer(connection: &TcpStream, model: &str, blocks: &[Value]) -> io::Result<()> {
    send(connection, 200, &message(model, blocks))
}

/// Sends an answer as server-sent events, and leaves its end out if it is not to `end`.
fn stream_answer(
    shared: &Shared,
    mut connection: &TcpStream,
    model: &str,
    blocks: &[Value],
    pace: &Pace,
    end: bool,
) -> io::Result<()> {
    write!(
        connection,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n\
         request-id: req_mock_{}\r\n{}transfer-encoding: chunked\r\n\r\n",
        unique(),
        pace.headers
    )?;
    let event = |mut data: Value, kind: &str| {
        data["type"] = kind.into();
        let text = format!("event: {kind}\ndata: {data}\n\n");
        let mut connection = connection;
        write!(connection, "{:x}\r\n{text}\r\n", text.len())
    };
    let mut whole = message(model, blocks);
    if let Some((input, output)) = pace.usage {
        whole["usage"]["input_tokens"] = input.into();
        whole["usage"]["output_tokens"] = output.into();
    }
    let mut begun = whole.clone();
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    event(json!({ "message": begun }), "message_start")?;
    for (index, block) in blocks.iter().enumerate() {
        let (start, field, text) = if block["type"] == "tool_use" {
            let mut start = block.clone();
            start["input"] = json!({});
            (start, "partial_json", block["input"].to_string())
        } else {
            (
                json!({ "type": "text", "text": "" }),
                "text",
                block["text"].as_str().unwrap_or_default().to_string(),
            )
        };
        let kind = if field == "text" { "text_delta" } else { "input_json_delta" };
        event(json!({ "index": index, "content_block": start }), "content_block_start")?;
        // a slow answer comes in pieces, one per tenth of a second
        let pieces = ((pace.slow * 10.0) as usize).max(1);
        let letters: Vec<char> = text.chars().collect();
        for piece in letters.chunks(letters.len().div_ceil(pieces).max(1)) {
            let piece: String = piece.iter().collect();
            event(json!({ "index": index, "delta": { "type": kind, field: piece } }), "content_block_delta")?;
            if pace.slow > 0.0 {
                shared.pause(0.1);
            }
        }
        if !end {
            if pace.drops {
                connection.shutdown(Shutdown::Both)?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            // until the client leaves, or the server ends
            io::copy(&mut connection, &mut io::sink())?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        event(json!({ "index": index }), "content_block_stop")?;
    }
    let reason = if pace.refuses { json!("refusal") } else { whole["stop_reason"].clone() };
    let delta = json!({ "stop_reason": reason, "stop_sequence": null });
    event(json!({ "delta": delta, "usage": whole["usage"] }), "message_delta")?;
    event(json!({}), "message_stop")?;
    connection.write_all(b"0\r\n\r\n")
}

fn refusal(status: u16, message: &str) -> Value {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": message } })
}

/// Sends a whole response; nothing but the headers if the body is null.
fn send(connection: &TcpStream, status: u16, body: &Value) -> io::Result<()> {
    send_with(connection, status, body, "")
}

/// The same, with further headers.
fn send_with(mut connection: &TcpStream, status: u16, body: &Value, headers: &str) -> io::Result<()> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    write!(
        connection,
        "HTTP/1.1 {status} Mock\r\ncontent-type: application/json\r\nrequest-id: req_mock_{}\r\n\
         {headers}content-length: {}\r\n\r\n{body}",
        unique(),
        body.len()
    )
}

struct Http {
    method: String,
    path: String,
    /// Names in lower case.
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

/// Reads a request; none if the client has left.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Http>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(String::from);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_string());
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Http { method, path, headers, body }))
}

/// A number that no other call gets.
fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
