//! `process send`, and `prompt …`.

use std::{
    io::{IsTerminal as _, Read as _},
    time::Duration,
};

use serde::Serialize;
use wezterm_parallel_schemas::{
    error::Error,
    method::{CancelPrompt, ListProcesses, ListPrompts, SendPrompt, WaitForPrompt},
    process::{ProcessList, ProcessView},
    prompt::{
        PROMPT_BYTES_MAX, ProcessSend, PromptList, PromptState, PromptTarget, PromptView, PromptWait,
        WhileWorking,
    },
};

use crate::{
    app::App,
    arguments::{Prompt, Send},
    connection::{CallContext, CallError, Connection, Patience},
    failure::{Exit, Failure, Outcome},
    output, time, view,
};

/// Calls under way on one connection: the daemon takes 64.
const CALLS_MAX: usize = 48;

/// `prompt …`.
pub fn run(app: &App, verb: &Prompt) -> Outcome {
    let mut daemon = app.connect()?;
    match verb {
        Prompt::List { process, all } => {
            let (workspace, process) = match process {
                Some(target) => {
                    let params = target.params();
                    (params.workspace, Some(params.process))
                }
                None => (None, None),
            };
            let params = PromptList { workspace, process, all: *all };
            let list = daemon.ask::<ListPrompts>(&params).to(|| "list the prompts".into())?;
            if app.json {
                return output::print_json(&list);
            }
            output::print(view::prompts(&list, time::now(), output::width()))
        }
        Prompt::Cancel { prompt } => {
            let params = PromptTarget { prompt: prompt.clone(), key: None };
            let what = || format!("take prompt {prompt} back");
            let canceled = daemon.call::<CancelPrompt>(&params, Patience::Effect).to(what)?;
            if app.json {
                return output::print_json(&canceled);
            }
            output::print(format_args!("took back {}\n", canceled.id))
        }
        Prompt::Wait { prompt, timeout } => {
            say_that_it_waits();
            let params = PromptWait { prompt: prompt.clone(), timeout_ms: timeout.map(milliseconds) };
            let what = || format!("wait for prompt {prompt}");
            let over = daemon.call::<WaitForPrompt>(&params, Patience::Forever).to(what)?;
            if app.json {
                output::print_json(&over)?;
            } else {
                print_answer(&over)?;
            }
            fell_through(&over).map_or(Ok(()), |why| Err(Failure::new(what(), why)))
        }
    }
}

/// What became of it for one target.
#[derive(Serialize)]
struct Sent {
    workspace: String,
    process: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<PromptView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

/// `process send`.
pub fn send(app: &App, args: &Send) -> Outcome {
    let (targets, text) = words(args)?;
    let mut daemon = app.connect()?;
    let all = daemon.ask::<ListProcesses>(&ProcessList::default()).to(|| "list the processes".into())?;
    let targets = resolve(&targets, &all)?;
    let while_working = match (args.queue, args.now) {
        (true, _) => WhileWorking::Queue,
        (_, true) => WhileWorking::Now,
        _ => WhileWorking::Refuse,
    };
    let one = targets.len() == 1;
    let params: Vec<ProcessSend> = targets
        .iter()
        .map(|view| ProcessSend {
            workspace: None,
            process: view.id.clone(),
            text: text.clone(),
            while_working,
            command: args.command,
            // each is a call of its own
            key: args.key.as_ref().map(|key| if one { key.clone() } else { format!("{key}/{}", view.id) }),
        })
        .collect();
    let mut sent: Vec<Sent> = targets
        .iter()
        .map(|view| Sent {
            workspace: view.workspace.clone(),
            process: view.name.clone(),
            prompt: None,
            error: None,
        })
        .collect();
    ask_all::<SendPrompt>(&mut daemon, &params, Patience::Effect, &mut sent, |sent| {
        if app.json || args.wait && sent.error.is_none() {
            return Ok(());
        }
        say(sent, one)
    })?;
    if args.wait {
        let there = |s: &Sent| s.prompt.as_ref().map(|p| p.id.clone());
        let (waits, ids): (Vec<usize>, Vec<String>) =
            sent.iter().enumerate().filter_map(|(i, s)| Some((i, there(s)?))).unzip();
        if !ids.is_empty() {
            say_that_it_waits();
        }
        let timeout_ms = args.timeout.map(milliseconds);
        let params: Vec<PromptWait> =
            ids.into_iter().map(|prompt| PromptWait { prompt, timeout_ms }).collect();
        let mut waited: Vec<Sent> = waits
            .iter()
            .map(|i| Sent {
                workspace: sent[*i].workspace.clone(),
                process: sent[*i].process.clone(),
                prompt: None,
                error: None,
            })
            .collect();
        ask_all::<WaitForPrompt>(&mut daemon, &params, Patience::Forever, &mut waited, |over| {
            if app.json {
                return Ok(());
            }
            match &over.prompt {
                Some(prompt) if one => print_answer(prompt),
                Some(prompt) => {
                    output::print(format_args!("── {}/{}\n", over.workspace, over.process))?;
                    print_answer(prompt)
                }
                None => say(over, one),
            }
        })?;
        for (i, over) in waits.into_iter().zip(waited) {
            sent[i].prompt = over.prompt.or(sent[i].prompt.take());
            sent[i].error = over.error;
        }
    }
    if app.json {
        output::print_json(&sent)?;
    }
    let mut failed: Vec<&Sent> = sent.iter().filter(|s| why_failed(s).is_some()).collect();
    match failed.len() {
        0 => Ok(()),
        1 if one => {
            let failed = failed.remove(0);
            let what = format!("send it to `{}/{}`", failed.workspace, failed.process);
            match &failed.error {
                Some(error) => Err(Failure::refused(what, error.clone())),
                None => Err(Failure::new(what, why_failed(failed).unwrap_or_default())),
            }
        }
        n => Err(Failure::new(
            format!("send it to {n} of {}", sent.len()),
            failed.iter().map(|s| format!("{}/{}", s.workspace, s.process)).collect::<Vec<_>>().join(", "),
        )),
    }
}

/// Calls a method once for each, all at the same time, and notes and shows each answer as it comes.
fn ask_all<M>(
    daemon: &mut Connection,
    params: &[M::Params],
    patience: Patience,
    sent: &mut [Sent],
    mut show: impl FnMut(&Sent) -> Outcome,
) -> Outcome
where
    M: wezterm_parallel_schemas::method::Method<Result = PromptView>,
{
    let mut at = 0;
    for chunk in params.chunks(CALLS_MAX) {
        let mut shown = Ok(());
        let asked = daemon.call_all::<M>(chunk, patience, |i, answer| {
            let sent = &mut sent[at + i];
            match answer {
                Ok(prompt) => sent.prompt = Some(prompt),
                Err(error) => sent.error = Some(error),
            }
            if shown.is_ok() {
                shown = show(sent);
            }
        });
        asked.map_err(|e: CallError| e.failure("send it"))?;
        shown?;
        at += chunk.len();
    }
    Ok(())
}

fn say(sent: &Sent, one: bool) -> Outcome {
    let name = format!("{}/{}", sent.workspace, sent.process);
    match (&sent.prompt, &sent.error) {
        (Some(prompt), _) => output::print(format_args!("{name}: {}\n", view::prompt_line(prompt))),
        // alone, it is the failure of the command
        (None, Some(_)) if one => Ok(()),
        (None, Some(error)) => {
            output::note(format_args!("{name}: {}", output::clean(&error.line())));
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// The answer alone on standard output, so that it can be used; what else there is to say on the other.
fn print_answer(prompt: &PromptView) -> Outcome {
    let Some(answer) = &prompt.answer else {
        output::note(view::prompt_line(prompt));
        return Ok(());
    };
    match &answer.text {
        Some(text) => output::print(format_args!("{}\n", output::clean_lines(text)))?,
        None => output::note("it ended without a message"),
    }
    if let Some(reason) = &answer.reason {
        output::note(output::clean(reason));
    }
    Ok(())
}

fn why_failed(sent: &Sent) -> Option<String> {
    match (&sent.error, &sent.prompt) {
        (Some(error), _) => Some(error.message.clone()),
        (None, Some(prompt)) => fell_through(prompt),
        (None, None) => Some("there was no answer".into()),
    }
}

/// Why a prompt did not do what it was for.
fn fell_through(prompt: &PromptView) -> Option<String> {
    match prompt.state {
        PromptState::Undelivered | PromptState::Canceled => {
            Some(prompt.reason.clone().unwrap_or_else(|| "it did not reach the agent".into()))
        }
        _ => None,
    }
}

fn say_that_it_waits() {
    if std::io::stderr().is_terminal() {
        output::progress("waiting for the answer; Ctrl-C ends only the wait");
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Which of the words are targets, and the text.
fn words(args: &Send) -> Outcome<(Vec<String>, String)> {
    let usage = |why: &str| {
        Failure::new("understand what to send", why)
            .exit(Exit::Usage)
            .hint("write `process send api/lead 'fix the tests'`, or give the text on standard input")
    };
    let mut targets = args.words.clone();
    let text = if !args.text.is_empty() {
        args.text.join(" ")
    } else if targets.len() > 1 {
        targets.pop().unwrap_or_default()
    } else if std::io::stdin().is_terminal() {
        return Err(usage("there is no text"));
    } else {
        "-".into()
    };
    if text != "-" {
        return Ok((targets, text));
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(PROMPT_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    std::io::stdin()
        .lock()
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::new("read the text from standard input", e))?;
    if bytes.len() > PROMPT_BYTES_MAX {
        return Err(Failure::new("send it", format!("a prompt has at most {PROMPT_BYTES_MAX} bytes"))
            .hint("write it into a file, and send a prompt that names the file"));
    }
    String::from_utf8(bytes)
        .map(|text| (targets, text))
        .map_err(|_| Failure::new("read the text from standard input", "it is not UTF-8"))
}

/// The processes that are meant: by name, by id, or by a pattern with `*` and `?`.
fn resolve(targets: &[String], all: &[ProcessView]) -> Outcome<Vec<ProcessView>> {
    let mut found: Vec<ProcessView> = Vec::new();
    for target in targets {
        let names = |p: &&ProcessView| {
            let whole = format!("{}/{}", p.workspace, p.name);
            let name = if target.contains('/') { &whole } else { &p.name };
            p.id == *target || matches(target, name)
        };
        let meant: Vec<&ProcessView> = all.iter().filter(names).collect();
        let is_pattern = target.contains(['*', '?']);
        let what = || format!("send it to `{target}`");
        match meant[..] {
            [] if is_pattern => {
                return Err(Failure::new(what(), "no process has such a name")
                    .hint("`wezterm-parallel process list` shows all"));
            }
            [] => {
                return Err(Failure::new(what(), format!("there is no process {target}"))
                    .hint("`wezterm-parallel process list` shows all"));
            }
            [_, _, ..] if !is_pattern => {
                let names: Vec<String> =
                    meant.iter().map(|p| format!("{}/{}", p.workspace, p.name)).collect();
                return Err(Failure::new(what(), format!("several processes are called {target}"))
                    .hint(format!("say which: {}", names.join(", "))));
            }
            _ => {}
        }
        for p in meant {
            if found.iter().all(|f| f.id != p.id) {
                found.push(p.clone());
            }
        }
    }
    Ok(found)
}

/// Whether a name fits a pattern of letters, `?` (any letter) and `*` (any letters but `/`).
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    fn fits(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), Some((c, others))) => {
                fits(rest, name) || (*c != '/' && fits(pattern, others))
            }
            (Some(('*', rest)), None) => fits(rest, name),
            (Some(('?', rest)), Some((c, others))) => *c != '/' && fits(rest, others),
            (Some((p, rest)), Some((c, others))) => p == c && fits(rest, others),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
    fits(&pattern, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_within_a_workspace() {
        for (pattern, name, fits) in [
            ("api/*", "api/lead", true),
            ("api/*", "web/lead", false),
            ("*/lead", "api/lead", true),
            ("*", "api/lead", false),
            ("l??d", "lead", true),
            ("lead", "lead", true),
            ("lead", "leader", false),
            ("*ea*", "leader", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
