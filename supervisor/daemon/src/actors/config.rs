//! The config.
//!
//! Owns: the config file's watcher and those of the projects' files, the trust in them, the config in
//! force, the error of one that was refused. Receives: word of changes, reloads, questions.
//! Sends: what is meant to be there, to the supervisor; the config and its events, to the board.
//! Dies when: the daemon ends. After a panic it reads everything anew.

use std::{collections::HashMap, path::PathBuf, rc::Rc};

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, Supervised,
    WrapFuture as _,
};
use tokio::sync::oneshot;
use wezterm_parallel_config::{ConfigError, Loaded, layout, project, to_yaml, watch};
use wezterm_parallel_schemas::{
    daemon::ConfigPlan,
    error::{Code, Error},
    event::{Event, EventKind},
};
use wezterm_parallel_store::{Change, ConfigRow, TrustRow};

use super::supervisor::{Adopt, Adopted, Preview, SupervisorActor, all_told};
use crate::{
    effects::config_file::{NOTHING, Read, Sources},
    shared::Shared,
};

/// See the module.
pub struct ConfigActor {
    shared: Rc<Shared>,
    supervisor: Addr<SupervisorActor>,
    sources: Sources,
    loaded: Option<Loaded>,
    generation: u64,
    error: Option<String>,
    watcher: Option<watch::Watcher>,
    projects: HashMap<PathBuf, watch::Watcher>,
}

/// Directories of workspaces in which a project's file is watched for: each takes an inotify instance, of
/// which a user has 128. Beyond this, `config reload` is needed to see one.
const PROJECTS_WATCHED_MAX: usize = 32;

type Reply = oneshot::Sender<Result<ConfigPlan, Error>>;

impl ConfigActor {
    /// The actor of a config that has been read and adopted already, or refused.
    pub fn new(
        shared: Rc<Shared>,
        supervisor: Addr<SupervisorActor>,
        sources: Sources,
        generation: u64,
        loaded: Option<Loaded>,
        error: Option<String>,
    ) -> Self {
        shared.board.put_config_problem(error.as_deref());
        Self {
            shared,
            supervisor,
            sources,
            loaded,
            generation,
            error,
            watcher: None,
            projects: HashMap::new(),
        }
    }

    /// Reads everything and applies it. Nothing else is served meanwhile, so that two reloads never mix.
    fn reload(&mut self, asked: bool, reply: Option<Reply>, ctx: &mut Context<Self>) {
        let sources = self.sources.clone();
        let read = tokio::task::spawn_blocking(move || sources.read());
        ctx.wait(read.into_actor(self).map(move |read, actor, ctx| match read {
            Ok(Ok(read)) => actor.apply(read, asked, reply, ctx),
            Ok(Err(e)) => actor.refuse(&e, reply),
            Err(e) => actor.answer(reply, Err(Error::new(Code::Internal, e.to_string()))),
        }));
    }

    fn refuse(&mut self, e: &ConfigError, reply: Option<Reply>) {
        let text = e.to_string();
        tracing::error!("the config was refused; what was in force stays so\n{text}");
        if self.error.as_ref() != Some(&text) {
            let mut event = Event::new(EventKind::ConfigRefused);
            event.message = Some(text.clone());
            self.shared.board.commit(Vec::new(), vec![event], None);
        }
        self.shared.board.put_config_problem(Some(&text));
        self.error = Some(text.clone());
        self.answer(reply, Err(bad(&text)));
    }

    fn apply(&mut self, read: Read, asked: bool, reply: Option<Reply>, ctx: &mut Context<Self>) {
        let Read { loaded, projects } = read;
        for warning in &loaded.warnings {
            tracing::warn!("config: {warning}");
        }
        let directories = loaded.desired.workspaces.values().map(|w| w.cwd.join(project::FILE_NAME));
        // where there is none yet, one may come
        self.watch_projects(directories.take(PROJECTS_WATCHED_MAX), ctx);
        let adopt = Adopt {
            desired: loaded.desired.clone(),
            config: loaded.config.clone(),
            problems: projects.problems,
        };
        let adopted = self.supervisor.send(adopt);
        ctx.wait(adopted.into_actor(self).map(move |adopted, actor, ctx| match adopted {
            Ok(adopted) => actor.applied(loaded, adopted, asked, reply, ctx),
            Err(e) => actor.answer(reply, Err(Error::new(Code::Internal, e.to_string()))),
        }));
    }

    fn applied(
        &mut self,
        loaded: Loaded,
        adopted: Adopted,
        asked: bool,
        reply: Option<Reply>,
        ctx: &mut Context<Self>,
    ) {
        let changed =
            self.loaded.as_ref().is_none_or(|l| l.hash != loaded.hash) || !adopted.changes.is_empty();
        let mended = self.error.take().is_some();
        self.shared.board.put_config_problem(None);
        // whoever asked is told, even that nothing changed
        if changed || mended || asked {
            self.generation += 1;
            let row = row(self.generation, &loaded, self.shared.clock.at());
            let mut event = Event::new(EventKind::ConfigApplied);
            event.message = Some(format!("{} changes", adopted.changes.len()));
            self.shared.board.commit(vec![Change::PutConfig(row)], vec![event], None);
            tracing::info!(generation = self.generation, changes = adopted.changes.len(), "config applied");
        }
        self.sources.in_force |= loaded.text != NOTHING;
        self.loaded = Some(loaded);
        let plan = ConfigPlan { generation: self.generation, changes: adopted.changes };
        let Some(reply) = reply else { return };
        let wait = async move {
            all_told(adopted.waits).await;
            let _ = reply.send(Ok(plan));
        };
        ctx.spawn(wait.into_actor(self));
    }

    fn answer(&self, reply: Option<Reply>, answer: Result<ConfigPlan, Error>) {
        if let Some(reply) = reply {
            let _ = reply.send(answer);
        }
    }

    fn watch_projects(&mut self, files: impl Iterator<Item = PathBuf>, ctx: &mut Context<Self>) {
        let files: Vec<PathBuf> = files.collect();
        self.projects.retain(|path, _| files.contains(path));
        for path in files {
            if self.projects.contains_key(&path) {
                continue;
            }
            let me = ctx.address();
            match watch::watch(&path, move || me.do_send(Changed { asked: false })) {
                Ok(watcher) => {
                    self.projects.insert(path, watcher);
                }
                Err(e) => tracing::warn!(file = %path.display(), error = %e, "cannot watch a project's file"),
            }
        }
    }
}

/// A config as it is kept.
pub fn row(generation: u64, loaded: &Loaded, at: i64) -> ConfigRow {
    let toml = loaded.path.extension().is_some_and(|e| e == "toml");
    ConfigRow {
        generation,
        path: loaded.path.clone(),
        text: loaded.text.clone(),
        format: if toml { "toml" } else { "yaml" }.to_owned(),
        at,
    }
}

fn bad(text: &str) -> Error {
    Error::new(Code::BadConfig, text).hint("nothing was changed; mend the file and save it again")
}

impl Actor for ConfigActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let me = ctx.address();
        match watch::watch(&self.sources.path, move || me.do_send(Changed { asked: false })) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(e) => {
                let text = format!(
                    "cannot watch {}: {e}; changes are seen only by `wezterm-parallel config reload`",
                    self.sources.path.display()
                );
                tracing::error!("{text}");
            }
        }
        // whatever was written between the first reading and now
        ctx.notify(Changed { asked: false });
    }
}

impl Supervised for ConfigActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.watcher = None;
        self.projects.clear();
    }
}

/// A file that is watched has another content, or somebody wants it looked at.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Changed {
    /// Somebody asked, and wants to hear of it in any case.
    pub asked: bool,
}

impl Handler<Changed> for ConfigActor {
    type Result = ();
    fn handle(&mut self, m: Changed, ctx: &mut Context<Self>) {
        self.reload(m.asked, None, ctx);
    }
}

/// Read everything anew and apply it; the answer comes when it is applied.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reload(pub Reply);

impl Handler<Reload> for ConfigActor {
    type Result = ();
    fn handle(&mut self, m: Reload, ctx: &mut Context<Self>) {
        self.reload(true, Some(m.0), ctx);
    }
}

/// Say what applying a file would change.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Diff {
    /// Another file than the daemon's own.
    pub path: Option<PathBuf>,
    /// Where the answer goes.
    pub reply: Reply,
}

impl Handler<Diff> for ConfigActor {
    type Result = ();
    fn handle(&mut self, m: Diff, ctx: &mut Context<Self>) {
        let (sources, supervisor, reply) = (self.sources.clone(), self.supervisor.clone(), m.reply);
        let diff = async move {
            let read = tokio::task::spawn_blocking(move || match m.path {
                Some(path) => sources.read_file(&path),
                None => sources.read(),
            });
            match read.await {
                Ok(Ok(read)) => match supervisor.send(Preview(read.loaded.desired)).await {
                    Ok(changes) => Ok(ConfigPlan { generation: 0, changes }),
                    Err(e) => Err(Error::new(Code::Internal, e.to_string())),
                },
                Ok(Err(e)) => Err(Error::new(Code::BadConfig, e.to_string())),
                Err(e) => Err(Error::new(Code::Internal, e.to_string())),
            }
        };
        ctx.spawn(diff.into_actor(self).map(|answer, _, _| {
            let _ = reply.send(answer);
        }));
    }
}

/// Trust a project's file as it is now, or take that back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Trust {
    /// The file, or its directory.
    pub path: PathBuf,
    /// Trust, or no longer.
    pub trust: bool,
    /// Where the answer goes.
    pub reply: Reply,
}

impl Handler<Trust> for ConfigActor {
    type Result = ();
    fn handle(&mut self, m: Trust, ctx: &mut Context<Self>) {
        let dir =
            if m.path.is_dir() { m.path.clone() } else { m.path.parent().unwrap_or(&m.path).to_owned() };
        let config = self.loaded.as_ref().map(|l| l.config.clone()).unwrap_or_default();
        let home = self.sources.home.clone();
        let layouts = layout::dir(&self.sources.path);
        let trust = m.trust;
        let check = tokio::task::spawn_blocking(move || {
            let file = project::find(&dir).map_err(|e| bad(&e.to_string()))?;
            let missing = || {
                Error::new(Code::NotFound, format!("there is no {} in {}", project::FILE_NAME, dir.display()))
            };
            let file = file.ok_or_else(missing)?;
            if trust {
                project::check(&file, &config, None, &home, &layout::saved_names(&layouts))
                    .map_err(|e| bad(&e.to_string()))?;
            }
            Ok(file)
        });
        ctx.wait(check.into_actor(self).map(move |checked, actor, ctx| {
            let checked = checked.unwrap_or_else(|e| Err(Error::new(Code::Internal, e.to_string())));
            let file = match checked {
                Ok(file) => file,
                Err(e) => return actor.answer(Some(m.reply), Err(e)),
            };
            let change = if trust {
                let (path, at) = (file.path.clone(), actor.shared.clock.at());
                let row = TrustRow { path: path.clone(), sha256: file.hash, text: file.text, at };
                actor.sources.trust.insert(path, row.clone());
                Change::PutTrust(row)
            } else {
                actor.sources.trust.remove(&file.path);
                Change::DeleteTrust(file.path)
            };
            actor.shared.board.commit(vec![change], Vec::new(), None);
            actor.reload(true, Some(m.reply), ctx);
        }));
    }
}

/// How the config stands.
#[derive(Message)]
#[rtype(result = "Standing")]
pub struct Ask;

/// How the config stands.
pub struct Standing {
    /// How many have been applied.
    pub generation: u64,
    /// Why the newest was refused, if it was.
    pub error: Option<String>,
    /// The one in force, all layers together, as YAML.
    pub text: String,
}

impl Handler<Ask> for ConfigActor {
    type Result = actix::MessageResult<Ask>;
    fn handle(&mut self, _: Ask, _: &mut Context<Self>) -> Self::Result {
        actix::MessageResult(Standing {
            generation: self.generation,
            error: self.error.clone(),
            text: self.loaded.as_ref().map(|l| to_yaml(&l.config)).unwrap_or_default(),
        })
    }
}
