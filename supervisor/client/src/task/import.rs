//! `task import`.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use wezterm_parallel_config::import::{IMPORT_BYTES_MAX, Known, Place, TaskFile};
use wezterm_parallel_schemas::{
    environment,
    error::Code,
    method::ImportTasks,
    task::{self, TaskView},
};

use super::{all_of, count, show};
use crate::{
    app::App,
    arguments,
    connection::{CallError, Patience},
    failure::{Context, Failure, Outcome},
    output, time,
};

/// Shortest end of an id that names a task.
const ID_CHARS_MIN: usize = 4;

/// `task import`.
pub fn run(app: &App, args: &arguments::TaskImport) -> Outcome {
    let what = || "import the tasks".to_owned();
    let stdin = args.file == Path::new("-");
    let here = std::env::current_dir().failed_to(what)?;
    let text = if stdin { read(io::stdin().lock()) } else { File::open(&args.file).and_then(read) };
    let text = text.map_err(|e| Failure::new(what(), format!("{}: {e}", args.file.display())))?;
    let path = if stdin { PathBuf::from("standard input") } else { args.file.clone() };
    let base = match args.file.parent() {
        Some(dir) if !stdin => here.join(dir),
        _ => here,
    };
    let base = base.canonicalize().unwrap_or(base);
    let place = Place { path: &path, base: &base, home: &app.home, now: time::now() };
    let file = TaskFile::read(text, &place).failed_to(what)?;
    if args.dry_run {
        return dry_run(app, file, what);
    }
    let mut daemon = app.connect()?;
    let known = match file.strangers().is_empty() {
        true => Names::default(),
        false => Names::of(&all_of(&mut daemon, None)?),
    };
    let (tasks, _) = file.check(|name| known.know(name)).failed_to(what)?;
    let params =
        task::TaskImport { tasks, environment: environment::passed_on(std::env::vars_os()), key: None };
    let added = daemon.call::<ImportTasks>(&params, Patience::Effect).map_err(|e| match e {
        CallError::Refused(e) if e.code == Code::BadFrame => Failure::refused(what(), e)
            .hint("make several files of it, or have prompts name files instead of holding them"),
        e => e.failure(what()),
    })?;
    if app.json {
        return output::print_json(&added);
    }
    let lines: String = added.iter().map(|t| format!("{}\n", show::line(t))).collect();
    output::print(format_args!("{lines}added {}\n", count(added.len())))
}

fn dry_run(app: &App, file: TaskFile, what: impl FnOnce() -> String) -> Outcome {
    let (tasks, warnings) = file.check(|_| Known::Perhaps).failed_to(what)?;
    for warning in warnings {
        output::note(output::clean(&warning));
    }
    if app.json {
        return output::print_json(&tasks);
    }
    output::print(format_args!("{} could be added\n", count(tasks.len())))
}

fn read(from: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(IMPORT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > IMPORT_BYTES_MAX {
        let why = format!("the file is larger than {} MiB", IMPORT_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the text is not UTF-8"))
}

/// What tasks can be named by that are there already. The daemon has the last word.
#[derive(Default)]
struct Names {
    names: HashSet<String>,
    ids: Vec<String>,
}

impl Names {
    fn of(tasks: &[TaskView]) -> Self {
        Self {
            names: tasks.iter().map(|t| t.name.clone()).collect(),
            ids: tasks.iter().map(|t| t.id.clone()).collect(),
        }
    }

    fn know(&self, name: &str) -> Known {
        let end = name.to_ascii_uppercase();
        let by_id = name.len() >= ID_CHARS_MIN && self.ids.iter().any(|id| id.ends_with(&end));
        if self.names.contains(name) || by_id { Known::Yes } else { Known::No }
    }
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::task::TaskState;

    use super::{super::show::tests::task, *};

    #[test]
    fn a_task_is_known_by_its_name_and_the_end_of_its_id() {
        let known = Names::of(&[task("build", TaskState::Queued)]);
        for (name, expected) in
            [("build", Known::Yes), ("000a", Known::Yes), ("00A", Known::No), ("x", Known::No)]
        {
            assert_eq!(known.know(name), expected, "{name}");
        }
    }
}
