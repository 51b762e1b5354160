//! The layers of a config: the defaults, the user's file over them, and over both of them scalars of
//! the environment such as `WEZTERM_PARALLEL__DEFAULTS__STOP__GRACE=10s`.
//!
//! The file comes here as types that were read and checked by itself, so that its faults are told with
//! their lines; as text it would also lose the difference between `1.10` and `1.1`.

use config::{Map, Source, Value, ValueKind};
use indexmap::IndexMap;
use wezterm_parallel_core::spec::{
    BackoffSpec, DaemonSpec, HISTORY_BYTES_DEFAULT, LOG_BYTES_DEFAULT, LOG_FILES_DEFAULT, NotifySpec,
    RestartSpec, START_AT_ONCE_DEFAULT, STOP_GRACE_MS_DEFAULT, TASKS_PARALLEL_DEFAULT,
};
use wezterm_parallel_schemas::{
    config::{Agent, Backoff, Config, Daemon, Defaults, Log, Notify, Restart, Screen, Stop, Tasks},
    units::{Bytes, Span},
};

use crate::{
    error::{KeyPath, Problem},
    parse::{Words, serde_words},
    resolve::CLAUDE,
    suggest::did_you_mean,
};

/// What the names of variables begin with that set a key of the config. The two underscores keep
/// `WEZTERM_PARALLEL_CONFIG` and its like apart.
pub const VARIABLE_PREFIX: &str = "WEZTERM_PARALLEL__";

/// What stands below everything: all defaults, written out.
pub fn defaults() -> Config {
    let restart = RestartSpec::default();
    let BackoffSpec { initial, factor, max, jitter, reset_after } = restart.backoff;
    let daemon = DaemonSpec::default();
    let notify = NotifySpec::default();
    let claude = Agent {
        command: vec![CLAUDE.to_owned()],
        start_at_once: Some(START_AT_ONCE_DEFAULT),
        screen: Some(Screen::Default),
        ..Agent::default()
    };
    Config {
        defaults: Defaults {
            restart: Restart {
                policy: Some(restart.policy),
                max_restarts: Some(restart.max_restarts),
                within: Some(Span::from_millis(restart.within)),
                backoff: Backoff {
                    initial: Some(Span::from_millis(initial)),
                    factor: Some(factor),
                    max: Some(Span::from_millis(max)),
                    jitter: Some(jitter),
                    reset_after: Some(Span::from_millis(reset_after)),
                },
            },
            stop: Stop { grace: Some(Span::from_millis(STOP_GRACE_MS_DEFAULT)) },
            log: Log { max_size: Some(Bytes(LOG_BYTES_DEFAULT)), files: Some(LOG_FILES_DEFAULT) },
            history: Some(Bytes(HISTORY_BYTES_DEFAULT)),
        },
        notify: Notify {
            blocked: Some(notify.blocked),
            failed: Some(notify.failed),
            crash_loop: Some(notify.crash_loop),
            finished: Some(notify.finished),
            limit: Some(notify.limit),
            config: Some(notify.config),
            task_failed: Some(notify.task_failed),
            tasks_done: Some(notify.tasks_done),
            long_turn: Some(Span::from_millis(notify.long_turn)),
            at_most: Some(notify.at_most),
            quiet_hours: Vec::new(),
        },
        tasks: Tasks { parallel: Some(TASKS_PARALLEL_DEFAULT), groups: IndexMap::new() },
        daemon: Daemon { resume: Some(daemon.resume), min_free_memory: Some(Bytes(daemon.min_free_memory)) },
        agents: [(CLAUDE.to_owned(), claude)].into(),
        ..Config::default()
    }
}

/// The user's config over the defaults, and the variables over both. Of `variables` only those count
/// whose names begin with [`VARIABLE_PREFIX`].
///
/// # Errors
/// All variables that set nothing that exists, or set it to what it cannot be. `user` must have been
/// checked: a number that is not finite is taken for none.
pub fn layered(user: &Config, variables: &[(String, String)]) -> Result<Config, Vec<Problem>> {
    let base = [Layer::of(&defaults()), Layer::of(user)];
    let below = build(&base).map_err(|e| vec![Problem::new(KeyPath::default(), e.to_string())])?;
    let mut layers = base.to_vec();
    let mut problems = Vec::new();
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)) {
        match variable(&below, name, value) {
            Ok(layer) => {
                // one by one first, so that what is wrong is told of the right one
                let alone = [base[0].clone(), base[1].clone(), layer.clone()];
                match build(&alone) {
                    Ok(_) => layers.push(layer),
                    Err(error) => problems.push(refused(name, &error)),
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    build(&layers).map_err(|e| vec![Problem::new(KeyPath::default(), e.to_string())])
}

/// One layer, as the `config` crate takes it. Its own file and environment sources are not used: they
/// make every name lower case, and take a `.` in a name for a path.
#[derive(Clone, Debug)]
struct Layer(Map<String, Value>);

impl Layer {
    fn of(config: &Config) -> Self {
        let json = serde_json::to_value(config).expect("a config has string keys only");
        match value_of(json).kind {
            ValueKind::Table(table) => Self(table),
            _ => unreachable!("a struct is a map"),
        }
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }
    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn build(layers: &[Layer]) -> Result<Config, config::ConfigError> {
    layers
        .iter()
        .fold(config::Config::builder(), |builder, layer| builder.add_source(layer.clone()))
        .build()?
        .try_deserialize()
}

fn value_of(json: serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => ValueKind::Nil,
        serde_json::Value::Bool(b) => ValueKind::Boolean(b),
        serde_json::Value::Number(n) => match n.as_u64() {
            Some(n) => ValueKind::U64(n),
            None => ValueKind::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(s) => ValueKind::String(s),
        serde_json::Value::Array(items) => ValueKind::Array(items.into_iter().map(value_of).collect()),
        serde_json::Value::Object(map) => {
            ValueKind::Table(map.into_iter().map(|(k, v)| (k, value_of(v))).collect())
        }
    };
    Value::new(None, kind)
}

/// The layer that one variable makes. Keys are in lower case; names of agents, workspaces and processes
/// are those of the config whatever the case, since a variable cannot make new ones.
fn variable(below: &Config, name: &str, value: &str) -> Result<Layer, Problem> {
    let parts: Vec<&str> = name[VARIABLE_PREFIX.len()..].split("__").collect();
    let mut keys: Vec<String> = Vec::new();
    for part in &parts {
        let known: Option<Vec<&String>> = match keys.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["agents"] => Some(below.agents.keys().collect()),
            ["layouts"] => Some(below.layouts.keys().collect()),
            ["workspaces"] => Some(below.workspaces.keys().collect()),
            ["workspaces", workspace, "processes"] | ["workspaces", workspace, "processes", _, "after"] => {
                Some(
                    below.workspaces.get(workspace).map(|w| w.processes.keys().collect()).unwrap_or_default(),
                )
            }
            // names of variables are as they are
            [.., "env"] => Some(Vec::new()),
            _ => None,
        };
        let key = match known {
            None => part.to_lowercase(),
            Some(_) if keys.last().is_some_and(|k| k == "env") => (*part).to_owned(),
            Some(names) => {
                match names.iter().filter(|n| n.eq_ignore_ascii_case(part)).collect::<Vec<_>>()[..] {
                    [one] => (*one).clone(),
                    [] => {
                        let hint = did_you_mean(part, names.iter().map(|n| n.as_str()));
                        let of = KeyPath(keys.clone());
                        return Err(Problem::new(
                        KeyPath::default(),
                        format!("the environment variable {name} sets a key of {of} that is not there: `{part}`"),
                    )
                    .hint(hint));
                    }
                    _ => {
                        return Err(Problem::new(
                            KeyPath::default(),
                            format!(
                                "the environment variable {name} may mean several names that differ in case only"
                            ),
                        ));
                    }
                }
            }
        };
        keys.push(key);
    }
    let leaf = Value::new(Some(&name.to_owned()), ValueKind::String(value.to_owned()));
    let whole = keys
        .into_iter()
        .rev()
        .fold(leaf, |inner, key| Value::new(None, ValueKind::Table([(key, inner)].into_iter().collect())));
    match whole.kind {
        ValueKind::Table(table) => Ok(Layer(table)),
        _ => unreachable!("a name has at least one part"),
    }
}

/// Why a variable was refused. Its value is not told: it may be a secret.
fn refused(name: &str, error: &config::ConfigError) -> Problem {
    let text = error.to_string();
    let (why, hint) = match serde_words(&text) {
        Some(Words::UnknownKey(message, hint) | Words::Other(message, hint)) => (message, hint),
        None => ("its value does not fit".to_owned(), None),
    };
    Problem::new(KeyPath::default(), format!("the environment variable {name}: {why}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
version: 1
defaults: { stop: { grace: 5s } }
agents: { claude: { env: { VERSION: '1.10', NO: no } } }
workspaces:
  Api.v2:
    cwd: ~/api
    processes: { lead: { agent: claude, args: [--model, opus] }, b: { command: [x, 0x10], after: { lead: ready } }, a: { command: [y], ready: { port: 80 } } }
";

    fn over(variables: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
        let user = crate::parse::config(FILE, "config.yaml".as_ref()).expect("a config");
        let variables: Vec<_> = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        layered(&user, &variables)
    }

    #[test]
    fn a_file_over_the_defaults_keeps_what_it_says_to_the_letter() {
        let user = crate::parse::config(FILE, "config.yaml".as_ref()).expect("a config");
        let config = over(&[]).expect("a config");
        assert_eq!(config.workspaces, user.workspaces);
        let order: Vec<_> = config.workspaces["Api.v2"].processes.keys().collect();
        assert_eq!(order, ["lead", "b", "a"], "start order is file order");
        assert_eq!(config.agents["claude"].env, user.agents["claude"].env);
        assert_eq!(config.agents["claude"].command, ["claude"], "from the defaults");
        assert_eq!(config.defaults.stop.grace, Some(Span::from_millis(5_000)));
        assert_eq!(config.defaults.restart, defaults().defaults.restart);
    }

    #[test]
    fn a_variable_sets_a_scalar_of_the_file_or_of_the_defaults() {
        let config = over(&[
            ("WEZTERM_PARALLEL__DEFAULTS__STOP__GRACE", "10s"),
            ("WEZTERM_PARALLEL__DEFAULTS__RESTART__MAX_RESTARTS", "7"),
            ("WEZTERM_PARALLEL__DEFAULTS__RESTART__POLICY", "always"),
            ("WEZTERM_PARALLEL__AGENTS__CLAUDE__ENV__Foo", "1.10"),
            ("WEZTERM_PARALLEL__WORKSPACES__API.V2__PROCESSES__LEAD__AUTOSTART", "false"),
            ("WEZTERM_PARALLEL_CONFIG", "/not/ours"),
        ])
        .expect("a config");
        assert_eq!(config.defaults.stop.grace, Some(Span::from_millis(10_000)));
        assert_eq!(config.defaults.restart.max_restarts, Some(7));
        assert_eq!(config.agents["claude"].env["Foo"], "1.10");
        assert_eq!(config.workspaces.len(), 1, "no second workspace beside it");
        assert!(!config.workspaces["Api.v2"].processes["lead"].autostart);
    }

    #[test]
    fn a_variable_that_sets_nothing_is_refused_by_name_and_without_its_value() {
        let problems = over(&[
            ("WEZTERM_PARALLEL__DEFALTS__STOP__GRACE", "hush"),
            ("WEZTERM_PARALLEL__WORKSPACES__APJ.V2__CWD", "hush"),
            ("WEZTERM_PARALLEL__DEFAULTS__STOP__GRACE", "hush"),
            ("WEZTERM_PARALLEL__DEFAULTS__RESTART__POLICY", "alwys"),
            ("WEZTERM_PARALLEL__AGENTS__CLAUDE__ARGS", "hush"),
        ])
        .expect_err("refused");
        let text: Vec<_> = problems
            .iter()
            .map(|p| format!("{} ({})", p.message, p.hint.as_deref().unwrap_or("-")))
            .collect();
        assert_eq!(
            text,
            [
                "the environment variable WEZTERM_PARALLEL__DEFALTS__STOP__GRACE: unknown key `defalts` (did you mean `defaults`?)",
                "the environment variable WEZTERM_PARALLEL__WORKSPACES__APJ.V2__CWD sets a key of workspaces that is not there: `APJ.V2` (did you mean `Api.v2`?)",
                "the environment variable WEZTERM_PARALLEL__DEFAULTS__STOP__GRACE: its value does not fit (-)",
                "the environment variable WEZTERM_PARALLEL__DEFAULTS__RESTART__POLICY: its value does not fit (-)",
                "the environment variable WEZTERM_PARALLEL__AGENTS__CLAUDE__ARGS: its value does not fit (-)",
            ]
        );
    }
}
