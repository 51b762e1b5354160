//! Why the status is what it is.

use wezterm_parallel_schemas::evidence::{Evidence, Standing};

use super::{Said, Tracker, Verdict, rules::standing};

impl Tracker {
    /// The rule that decided; the newest word of each source, the winner first; what was said before,
    /// newest first.
    pub fn explain(&self) -> (String, Vec<Evidence>, Vec<Evidence>) {
        let Some(verdict) = &self.verdict else {
            return ("it does not run".into(), Vec::new(), Vec::new());
        };
        let machine = self.machine.as_ref().map(|(said, _)| said);
        let newest: Vec<&Said> =
            [&self.report, &self.stream, &self.hook, &self.registry, &self.title, &self.progress]
                .into_iter()
                .flatten()
                .chain(machine)
                .collect();
        let mut evidence: Vec<Evidence> = newest.iter().map(|said| shown(said, verdict)).collect();
        evidence.sort_by_key(|e| (e.standing != Standing::Won, -e.at));
        let history = self.history.iter().filter(|said| !newest.contains(said));
        let history = history.map(|said| Evidence {
            standing: Standing::Overruled,
            why: "its source has said something newer".into(),
            ..shown(said, verdict)
        });
        (verdict.because.into(), evidence, history.collect())
    }
}

fn shown(said: &Said, verdict: &Verdict) -> Evidence {
    let standing = standing(said, verdict);
    let why = match standing {
        Standing::Won => verdict.because,
        Standing::Agrees => "it says the same",
        Standing::Overruled if said.at < verdict.at => "something newer says otherwise",
        Standing::Overruled => "a better source says otherwise",
        Standing::Contradicts => "another source says otherwise, and neither can be believed",
        Standing::Stale => "it is too old to be believed",
        _ => "it says nothing about the status",
    };
    Evidence {
        source: said.source,
        seq: said.seq,
        at: said.at,
        said: said.said.clone(),
        status: said.status,
        standing,
        why: why.into(),
    }
}
