//! The file of `task import`: many tasks, with defaults for all of them. Everything that is wrong with it is
//! said at once, as far as it can be known without the daemon.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    fs::File,
    io::Read,
    path::{Component, Path, PathBuf},
};

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::Value;
use wezterm_parallel_core::task::faults;
use wezterm_parallel_schemas::{
    prompt::PROMPT_BYTES_MAX,
    task::{IMPORT_TASKS_MAX, OnFailedDependency, TaskAdd},
    units::Span,
};

use crate::{
    deadline::deadline,
    error::{ConfigError, KeyPath, Problem, invalid},
    parse::{self, Format, Words, serde_words},
    suggest::did_you_mean,
};

/// Largest file, in bytes. What it holds goes to the daemon in one frame, which is smaller.
pub const IMPORT_BYTES_MAX: u64 = 4 << 20;
/// What runs a command that is written as a text.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// Names that a circle is shown with.
const CIRCLE_NAMES_MAX: usize = 8;

/// Where and when a file is read.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The file, for messages. Its extension does not matter: JSON is YAML.
    pub path: &'a Path,
    /// What relative paths begin at, and where tasks run that say nothing else. Absolute.
    pub base: &'a Path,
    /// What `~` stands for. Absolute.
    pub home: &'a Path,
    /// In milliseconds since 1970.
    pub now: i64,
}

/// Whether there is a task of a name outside of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// There is.
    Yes,
    /// There is none.
    No,
    /// Nobody was asked.
    Perhaps,
}

/// A file that could be read.
#[derive(Debug)]
pub struct TaskFile {
    path: PathBuf,
    text: String,
    tasks: Vec<TaskAdd>,
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    defaults: Entry,
    tasks: Vec<Entry>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    prompt: Option<String>,
    #[serde(deserialize_with = "path")]
    prompt_file: Option<PathBuf>,
    command: Option<CommandLine>,
    after: Vec<String>,
    on_failed_dependency: Option<OnFailedDependency>,
    priority: Option<i32>,
    group: Option<String>,
    retries: Option<u32>,
    timeout: Option<Span>,
    deadline: Option<String>,
    budget: Option<f64>,
    max_turns: Option<u32>,
    env: IndexMap<String, String>,
    #[serde(deserialize_with = "path")]
    cwd: Option<PathBuf>,
    workspace: Option<String>,
    model: Option<String>,
    agent: Option<String>,
    permission_mode: Option<String>,
    allow: Option<Vec<String>>,
}

/// A path that is there. `~` alone is nothing to YAML, and would be taken for a key without a value.
fn path<'de, D: Deserializer<'de>>(d: D) -> Result<Option<PathBuf>, D::Error> {
    String::deserialize(d).map(|path| Some(path.into()))
}

/// A list of words, or a text for the shell.
#[derive(Clone)]
struct CommandLine(Vec<String>);

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = CommandLine;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of words, or a text that sh runs")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<CommandLine, E> {
                if text.trim().is_empty() {
                    return Err(E::custom("there is nothing in this command"));
                }
                Ok(CommandLine(SHELL.iter().copied().chain([text]).map(str::to_owned).collect()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<CommandLine, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = seq.next_element()? {
                    words.push(word);
                }
                if words.is_empty() {
                    return Err(de::Error::custom("there is nothing in this command"));
                }
                Ok(CommandLine(words))
            }
        }
        d.deserialize_any(Either)
    }
}

impl TaskFile {
    /// Reads the text of a file, and the files of prompts that it names.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] if it cannot be read at all: with every key that is wrong.
    pub fn read(text: String, place: &Place<'_>) -> Result<Self, ConfigError> {
        if text.trim().is_empty() {
            let problem = Problem::new(KeyPath::default(), "the file is empty")
                .hint(Some("write `tasks:` and a list below it".to_owned()));
            return Err(invalid(place.path, &text, Format::Yaml, vec![problem]));
        }
        let document: Document =
            parse::yaml(&text, place.path).map_err(|first| more(&text, place.path, first))?;
        let mut reader = Reader { place, problems: Vec::new(), of_defaults: HashSet::new() };
        let tasks = reader.tasks(&document);
        Ok(Self { path: place.path.to_owned(), text, tasks, problems: reader.problems })
    }

    /// Tasks that are waited for and are not in the file.
    pub fn strangers(&self) -> BTreeSet<&str> {
        let names = self.places();
        let all = self.tasks.iter().flat_map(|task| &task.after).map(String::as_str);
        all.filter(|name| !names.contains_key(name)).collect()
    }

    /// The tasks, and what is allowed and may not be meant, a sentence each.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn check(
        mut self,
        known: impl Fn(&str) -> Known,
    ) -> Result<(Vec<TaskAdd>, Vec<String>), ConfigError> {
        let mut warnings = Vec::new();
        let names = self.places();
        let mut problems = Vec::new();
        for (n, task) in self.tasks.iter().enumerate() {
            for (at, name) in task.after.iter().enumerate() {
                if names.contains_key(name.as_str()) {
                    continue;
                }
                let message = match known(name) {
                    Known::Yes => continue,
                    Known::Perhaps => {
                        let task = said(n, task);
                        warnings.push(format!(
                            "{task} waits for `{name}`, which is not in the file: it must be there already"
                        ));
                        continue;
                    }
                    Known::No => format!("there is no task `{name}`"),
                };
                let hint = did_you_mean(name, names.keys().copied());
                problems.push(Problem::new(at_of(n).key("after").key(&at.to_string()), message).hint(hint));
            }
        }
        problems.extend(self.circles());
        drop(names);
        self.problems.extend(problems);
        if self.problems.is_empty() {
            return Ok((self.tasks, warnings));
        }
        self.problems.sort_by_key(|p| p.at.0.get(1).and_then(|n| n.parse::<usize>().ok()));
        Err(invalid(&self.path, &self.text, Format::Yaml, self.problems))
    }

    /// Places of the tasks that have a name. One alone names others by it, never itself.
    fn places(&self) -> HashMap<&str, usize> {
        if self.tasks.len() == 1 {
            return HashMap::new();
        }
        let mut places = HashMap::new();
        for (n, task) in self.tasks.iter().enumerate() {
            if let Some(name) = &task.name {
                places.entry(name.as_str()).or_insert(n);
            }
        }
        places
    }

    /// Those that wait for one another, each circle once.
    fn circles(&self) -> Vec<Problem> {
        let places = self.places();
        let after: Vec<Vec<usize>> = self
            .tasks
            .iter()
            .map(|task| task.after.iter().filter_map(|name| places.get(name.as_str()).copied()).collect())
            .collect();
        let mut found = Vec::new();
        let mut closed = vec![false; after.len()];
        for start in 0..after.len() {
            // depth first, with the way by which each was reached
            let mut way: Vec<(usize, usize)> = Vec::new();
            if !closed[start] {
                way.push((start, 0));
            }
            while let Some((n, at)) = way.last_mut() {
                let Some(&next) = after[*n].get(*at) else {
                    closed[*n] = true;
                    way.pop();
                    continue;
                };
                *at += 1;
                if let Some(begin) = way.iter().position(|(n, _)| *n == next) {
                    found.push(self.circle(&way[begin..]));
                } else if !closed[next] {
                    way.push((next, 0));
                }
            }
        }
        found
    }

    fn circle(&self, way: &[(usize, usize)]) -> Problem {
        let (first, at) = way[0];
        let at = at_of(first).key("after").key(&(at - 1).to_string());
        let name = |n: usize| format!("`{}`", self.tasks[n].name.as_deref().unwrap_or_default());
        let message = match way {
            [_] => "it waits for itself".into(),
            _ => {
                let mut names: Vec<String> =
                    way.iter().take(CIRCLE_NAMES_MAX).map(|(n, _)| name(*n)).collect();
                if way.len() > CIRCLE_NAMES_MAX {
                    names.push("…".into());
                }
                names.push(name(first));
                format!("these wait for one another: {}", names.join(" waits for "))
            }
        };
        Problem::new(at, message).hint(Some("take one of them out of `after`".to_owned()))
    }
}

/// Makes tasks out of what stands in the file, and notes what is wrong.
struct Reader<'a> {
    place: &'a Place<'a>,
    problems: Vec<Problem>,
    /// What is wrong with the defaults by themselves.
    of_defaults: HashSet<String>,
}

impl Reader<'_> {
    fn tasks(&mut self, document: &Document) -> Vec<TaskAdd> {
        let defaults = &document.defaults;
        self.defaults(defaults);
        if document.tasks.is_empty() {
            self.problem(KeyPath::of(["tasks"]), "there are no tasks in it");
        }
        if document.tasks.len() > IMPORT_TASKS_MAX {
            let problem = format!("there are at most {IMPORT_TASKS_MAX} tasks in one import");
            self.problems.push(
                Problem::new(KeyPath::of(["tasks"]), problem)
                    .hint(Some("make several files of it".to_owned()))
                    .on_key(),
            );
        }
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (n, entry) in document.tasks.iter().enumerate() {
            let Some(name) = &entry.name else { continue };
            if let Some(first) = seen.insert(name, n) {
                let message = format!(
                    "there are several tasks `{name}`: this is task {}, and task {} too",
                    n + 1,
                    first + 1
                );
                self.problem(at_of(n).key("name"), message);
            }
        }
        document.tasks.iter().enumerate().map(|(n, entry)| self.entry(&at_of(n), entry, defaults)).collect()
    }

    fn problem(&mut self, at: KeyPath, message: impl Into<String>) {
        self.problems.push(Problem::new(at, message));
    }

    fn defaults(&mut self, defaults: &Entry) {
        let at = KeyPath::of(["defaults"]);
        let own = [
            ("name", defaults.name.is_some()),
            ("prompt", defaults.prompt.is_some()),
            ("prompt_file", defaults.prompt_file.is_some()),
            ("command", defaults.command.is_some()),
            ("after", !defaults.after.is_empty()),
        ];
        for (key, _) in own.iter().filter(|(_, given)| *given) {
            let problem = Problem::new(at.key(key), format!("`{key}` is said of each task by itself"));
            self.problems.push(problem.on_key());
        }
        let any = Entry { prompt: Some("any".into()), prompt_file: None, command: None, ..defaults.clone() };
        let before = self.problems.len();
        self.entry(&at, &any, &Entry::default());
        self.of_defaults = self.problems[before..].iter().map(|p| p.message.clone()).collect();
    }

    /// A task out of an entry that stands at `at`.
    fn entry(&mut self, at: &KeyPath, entry: &Entry, defaults: &Entry) -> TaskAdd {
        let or = |own: &Option<String>, other: &Option<String>| own.clone().or_else(|| other.clone());
        let command = entry.command.clone().map(|c| c.0).unwrap_or_default();
        // defaults for prompts are none for commands
        let of_claude = command.is_empty();
        let with = if of_claude {
            defaults.clone()
        } else {
            Entry { env: defaults.env.clone(), ..Entry::default() }
        };
        let mut env = defaults.env.clone();
        env.extend(entry.env.clone());
        let seen: HashSet<&String> = entry.after.iter().collect();
        if seen.len() < entry.after.len() {
            self.problem(at.key("after"), "one of them is named twice");
        }
        let task = TaskAdd {
            name: entry.name.clone(),
            prompt: self.prompt(at, entry),
            command,
            workspace: or(&entry.workspace, &defaults.workspace),
            cwd: self.cwd(at, entry, defaults),
            agent: or(&entry.agent, &with.agent),
            model: or(&entry.model, &with.model),
            permission_mode: or(&entry.permission_mode, &with.permission_mode),
            allow: entry.allow.clone().or(with.allow).unwrap_or_default(),
            env,
            priority: entry.priority.or(defaults.priority).unwrap_or_default(),
            after: entry.after.clone(),
            on_failed_dependency: entry
                .on_failed_dependency
                .or(defaults.on_failed_dependency)
                .unwrap_or_default(),
            group: or(&entry.group, &defaults.group),
            retries: entry.retries.or(defaults.retries),
            timeout_ms: entry.timeout.or(defaults.timeout).map(Span::as_millis),
            deadline: match &entry.deadline {
                Some(text) => self.deadline(&at.key("deadline"), text),
                None => defaults.deadline.as_ref().and_then(|text| deadline(text, self.place.now).ok()),
            },
            budget_usd: entry.budget.or(with.budget),
            max_turns: entry.max_turns.or(with.max_turns),
            environment: IndexMap::new(),
            key: None,
        };
        // one whose prompt cannot be read has been spoken of
        let read = entry.prompt_file.is_none() || task.prompt.is_some();
        for fault in faults(&task).err().into_iter().flatten().filter(|_| read) {
            // what is wrong with the defaults has been said of them
            if !self.of_defaults.contains(&fault) {
                self.problem(key_of(&task, &fault).map_or(at.clone(), |key| at.key(key)), fault);
            }
        }
        task
    }

    fn prompt(&mut self, at: &KeyPath, entry: &Entry) -> Option<String> {
        let Some(file) = &entry.prompt_file else { return entry.prompt.clone() };
        let at = at.key("prompt_file");
        if entry.prompt.is_some() {
            self.problem(at, "it has a prompt and the file of one: one of the two");
            return entry.prompt.clone();
        }
        let file = self.path(file);
        match read_prompt(&file) {
            Ok(prompt) => Some(prompt),
            Err(why) => {
                self.problem(at, format!("{}: {why}", file.display()));
                None
            }
        }
    }

    fn cwd(&mut self, at: &KeyPath, entry: &Entry, defaults: &Entry) -> Option<PathBuf> {
        if let Some(cwd) = &entry.cwd {
            return Some(self.directory(&at.key("cwd"), cwd));
        }
        if entry.workspace.is_some() {
            return None;
        }
        match (&defaults.cwd, &defaults.workspace) {
            (Some(cwd), _) => Some(self.path(cwd)),
            (None, Some(_)) => None,
            (None, None) => Some(self.place.base.to_owned()),
        }
    }

    fn directory(&mut self, at: &KeyPath, cwd: &Path) -> PathBuf {
        let cwd = self.path(cwd);
        if !cwd.is_dir() {
            self.problem(at.clone(), format!("there is no directory {}", cwd.display()));
        }
        cwd
    }

    fn deadline(&mut self, at: &KeyPath, text: &str) -> Option<i64> {
        deadline(text, self.place.now).map_err(|why| self.problem(at.clone(), why)).ok()
    }

    fn path(&self, path: &Path) -> PathBuf {
        let mut parts = path.components();
        let whole = match parts.next() {
            Some(Component::Normal(first)) if first == "~" => self.place.home.join(parts.as_path()),
            _ => self.place.base.join(path),
        };
        whole.components().collect()
    }
}

/// The key that a fault is about: without its value the fault is not there.
fn key_of(task: &TaskAdd, fault: &String) -> Option<&'static str> {
    type Clear = fn(&mut TaskAdd);
    let keys: [(&str, Clear); 14] = [
        ("name", |t| t.name = None),
        ("workspace", |t| t.workspace = None),
        ("cwd", |t| t.cwd = None),
        ("agent", |t| t.agent = None),
        ("model", |t| t.model = None),
        ("permission_mode", |t| t.permission_mode = None),
        ("allow", |t| t.allow.clear()),
        ("env", |t| t.env.clear()),
        ("priority", |t| t.priority = 0),
        ("group", |t| t.group = None),
        ("retries", |t| t.retries = None),
        ("timeout", |t| t.timeout_ms = None),
        ("budget", |t| t.budget_usd = None),
        ("max_turns", |t| t.max_turns = None),
    ];
    let is_about = |clear: &Clear| {
        let mut without = task.clone();
        clear(&mut without);
        faults(&without).err().is_none_or(|left| !left.contains(fault))
    };
    keys.iter().find(|(_, clear)| is_about(clear)).map(|(key, _)| *key)
}

/// Reads the file of a prompt, which has at most [`PROMPT_BYTES_MAX`].
///
/// # Errors
/// Why it cannot be one, in words.
pub fn read_prompt(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(PROMPT_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    let read = File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|e| e.to_string().to_lowercase())?;
    if bytes.len() > PROMPT_BYTES_MAX {
        return Err(format!("a prompt has at most {PROMPT_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "the text is not UTF-8".into())
}

fn at_of(n: usize) -> KeyPath {
    KeyPath::of(["tasks", &n.to_string()])
}

fn said(n: usize, task: &TaskAdd) -> String {
    task.name.as_ref().map_or_else(|| format!("task {}", n + 1), |name| format!("`{name}`"))
}

/// A reader of values stops at the first that is wrong. Where the text can be read as such, every key is
/// tried by itself.
fn more(text: &str, path: &Path, first: ConfigError) -> ConfigError {
    let ConfigError::Invalid { problems: told, .. } = &first else { return first };
    let Ok(Value::Object(document)) = parse::yaml::<Value>(text, path) else { return first };
    let mut problems = Vec::new();
    for (key, value) in &document {
        match (key.as_str(), value) {
            ("defaults", Value::Object(entry)) => keys(&KeyPath::of(["defaults"]), entry, &mut problems),
            ("tasks", Value::Array(tasks)) => {
                for (n, task) in tasks.iter().enumerate() {
                    match task {
                        Value::Object(entry) => keys(&at_of(n), entry, &mut problems),
                        _ => problems.push(Problem::new(at_of(n), "keys with values are expected here")),
                    }
                }
            }
            ("defaults" | "tasks", _) => return first,
            (unknown, _) => {
                let hint = did_you_mean(unknown, ["defaults", "tasks"])
                    .or_else(|| Some("known are `defaults`, `tasks`".into()));
                let problem = Problem::new(KeyPath::of([unknown]), format!("unknown key `{unknown}`"));
                problems.push(problem.hint(hint).on_key());
            }
        }
    }
    if problems.len() <= told.len() { first } else { invalid(path, text, Format::Yaml, problems) }
}

fn keys(at: &KeyPath, entry: &serde_json::Map<String, Value>, problems: &mut Vec<Problem>) {
    for (key, value) in entry {
        let one = |value: Value| Value::Object([(key.clone(), value)].into_iter().collect());
        // what is written as a number is a text where one is wanted
        let read = Entry::deserialize(one(value.clone()))
            .or_else(|e| Entry::deserialize(one(as_texts(value.clone()))).map_err(|_| e));
        let Err(error) = read else { continue };
        let (message, hint) = match serde_words(&error.to_string()) {
            Some(Words::UnknownKey(message, hint)) => {
                problems.push(Problem::new(at.key(key), message).hint(hint).on_key());
                continue;
            }
            Some(Words::Other(message, hint)) => (message, hint),
            None => (expected(&error.to_string()), None),
        };
        problems.push(Problem::new(at.key(key), message).hint(hint));
    }
}

fn as_texts(value: Value) -> Value {
    match value {
        Value::Number(n) => Value::String(n.to_string()),
        Value::Bool(b) => Value::String(b.to_string()),
        Value::Array(items) => Value::Array(items.into_iter().map(as_texts).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, as_texts(v))).collect()),
        other @ (Value::Null | Value::String(_)) => other,
    }
}

/// serde's sentence about a wrong type, in our words.
fn expected(message: &str) -> String {
    let wrong_type = message.starts_with("invalid ").then(|| message.rsplit_once("expected ")).flatten();
    let Some((_, wanted)) = wrong_type else { return message.to_owned() };
    match wanted {
        "i32" | "u32" => "a whole number is expected here".into(),
        "f64" => "a number is expected here".into(),
        "a string" | "path string" => "a text is expected here".into(),
        "a sequence" => "a list is expected here".into(),
        "a map" => "keys with values are expected here".into(),
        other => format!("{other} is expected here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_327_622_000;

    fn read(text: &str) -> Result<TaskFile, ConfigError> {
        let place =
            Place { path: Path::new("night.yaml"), base: Path::new("/"), home: Path::new("/tmp"), now: NOW };
        TaskFile::read(text.into(), &place)
    }

    fn tasks(text: &str) -> Vec<TaskAdd> {
        let file = read(text).unwrap_or_else(|e| panic!("{e}"));
        file.check(|_| Known::No).unwrap_or_else(|e| panic!("{e}")).0
    }

    fn wrong(text: &str) -> String {
        match read(text).and_then(|file| file.check(|_| Known::No)) {
            Ok((tasks, _)) => panic!("it is right: {tasks:#?}"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn a_file_has_tasks_with_defaults_for_all_of_them() {
        let read = tasks(
            "defaults: { group: night, timeout: 30m, env: { A: 1, B: 2 }, model: opus, allow: [Edit], cwd: '~' }\n\
             tasks:\n  - name: build\n    command: [cargo, build]\n    cwd: usr\n    env: { B: 3 }\n\
             \x20 - name: tests\n    command: cargo test | tail\n    after: [build]\n    priority: -5\n\
             \x20 - { prompt: look, after: [tests, build], model: sonnet, workspace: api, deadline: 2h, budget: 1.5 }\n",
        );
        let [build, tests, look] = &read[..] else { panic!("{read:#?}") };
        assert_eq!(
            (build.command.join(" ").as_str(), build.cwd.as_deref()),
            ("cargo build", Some(Path::new("/usr")))
        );
        assert_eq!((build.env["A"].as_str(), build.env["B"].as_str()), ("1", "3"));
        assert_eq!((&build.model, build.timeout_ms), (&None, Some(1_800_000)), "a command has no model");
        assert_eq!(tests.command, ["/bin/sh", "-c", "cargo test | tail"]);
        assert_eq!((tests.priority, tests.cwd.as_deref()), (-5, Some(Path::new("/tmp"))));
        assert_eq!(
            (look.model.as_deref(), &look.allow[..], &look.cwd),
            (Some("sonnet"), &["Edit".to_owned()][..], &None)
        );
        assert_eq!((look.deadline, look.budget_usd), (Some(NOW + 7_200_000), Some(1.5)));
        assert_eq!(look.group.as_deref(), Some("night"));
    }

    #[test]
    fn json_is_read_as_well_with_tabs_and_what_only_json_can_write() {
        let read =
            tasks("{\n\t\"tasks\": [\n\t\t{ \"prompt\": \"a\\/b \\u00e9\\n\", \"max_turns\": 3 }\n\t]\n}\n");
        assert_eq!((read[0].prompt.as_deref(), read[0].max_turns), (Some("a/b é\n"), Some(3)));
        let smile = tasks("{ \"tasks\": [ { \"prompt\": \"\\ud83d\\ude00\" } ] }");
        assert_eq!(smile[0].prompt.as_deref(), Some("😀"));
    }

    #[test]
    fn everything_that_is_wrong_with_the_meaning_is_said_at_once() {
        insta::assert_snapshot!(wrong(
            "defaults:\n  after: [x]\n  priority: 500\ntasks:\n  - name: a\n    command: [a]\n    after: [b]\n\
             \x20 - name: b\n    command: [b]\n    after: [c, nobody]\n  - name: c\n    command: [c]\n    after: [a]\n\
             \x20 - name: c\n    prompt: again\n    command: [x]\n  - name: self\n    prompt: x\n    after: [self]\n\
             \x20 - prompt_file: /nowhere/prompt.md\n  - prompt: x\n    cwd: /nowhere\n    deadline: yesterday\n"
        ));
    }

    #[test]
    fn every_key_that_cannot_be_read_is_said_at_once() {
        insta::assert_snapshot!(wrong(
            "defaults: { modle: opus }\ntask: 1\ntasks:\n  - { promt: x, timeout: soon }\n  - name: 5\n    retries: many\n    after: a\n\
             \x20   env: { A: [1] }\n    on_failed_dependency: cry\n  - just words\n  - command: {}\n"
        ));
    }

    #[test]
    fn one_thing_that_is_wrong_is_shown_in_its_line() {
        let one = |text: &str| format!("{}\n", wrong(text));
        insta::assert_snapshot!(
            one("tasks:\n  - prompt: x\n    promise: y\n")
                + &one("tasks:\n  - prompt: x\n    priority: high\n")
                + &one("tasks:\n  - prompt: 'x\n")
                + &one("tasks: []\n")
                + &one("")
                + &one("task:\n  - prompt: x\n")
                + &one("tasks:\n  - command: []\n")
                + &one("tasks:\n  - prompt: x\n    cwd: ~\n")
                + &one("tasks:\n  - model: x\n    command: [a]\n")
                + &one(
                    "tasks:\n  - name: a\n    prompt: x\n  - name: ''\n    prompt: y\n    group: 'no name'\n"
                )
        );
    }

    #[test]
    fn a_name_that_is_not_in_the_file_may_be_there_already() {
        let text = "tasks:\n  - { prompt: x, after: [old] }\n  - { name: y, prompt: y, after: [old] }\n";
        let file = read(text).expect("it can be read");
        assert_eq!(file.strangers().into_iter().collect::<Vec<_>>(), ["old"]);
        let (_, warnings) = file.check(|_| Known::Perhaps).expect("it may be right");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let (tasks, warnings) = read(text).expect("it can be read").check(|_| Known::Yes).expect("right");
        assert_eq!((tasks.len(), warnings.len()), (2, 0));
        let alone = read("tasks: [ { name: again, prompt: x, after: [again] } ]").expect("it can be read");
        assert_eq!(alone.strangers().len(), 1, "the one before it of the same name");
    }

    #[test]
    fn as_many_in_a_row_as_there_may_be_are_no_circle_and_no_deep_recursion() {
        let row = |n: usize| {
            format!("  - {{ name: t{n}, command: [x], after: [{}] }}\n", if n == 0 { "" } else { "t0" })
        };
        let chain = |n: usize| match n {
            0 => row(0),
            n => format!("  - {{ name: t{n}, command: [x], after: [t{}] }}\n", n - 1),
        };
        let text = |of: &dyn Fn(usize) -> String| {
            format!("tasks:\n{}", (0..IMPORT_TASKS_MAX).map(of).collect::<String>())
        };
        assert_eq!(tasks(&text(&row)).len(), IMPORT_TASKS_MAX);
        assert_eq!(tasks(&text(&chain)).len(), IMPORT_TASKS_MAX);
    }
}
