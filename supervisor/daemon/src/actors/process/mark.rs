//! What the panes are told that show this process.

use actix::{Context, Handler, Message};

use super::ProcessActor;

/// Have the panes that show it told so anew.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Announce;

impl Handler<Announce> for ProcessActor {
    type Result = ();
    fn handle(&mut self, _: Announce, _: &mut Context<Self>) {
        self.announce();
    }
}

impl ProcessActor {
    /// Without a run there is no keeper that could; then whoever is attached has said so by itself.
    pub(super) fn announce(&self) {
        if let Some(link) = &self.link {
            link.announce(format!("{}/{}", self.workspace_name, self.row.name));
        }
    }
}
