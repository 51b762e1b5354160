//! What accounts use up, and their limits.

use wezterm_parallel_schemas::{error::Error, limit::AccountView};

use super::{Router, gone};
use crate::actors::{
    limit::List,
    task::{NO_LOGIN, NoLogin},
};

impl Router {
    /// All accounts.
    pub(super) async fn list_limits(&self) -> Result<Vec<AccountView>, Error> {
        let mut all = self.shared.limits.send(List).await.map_err(gone)?;
        let Some(tasks) = self.shared.tasks.get() else { return Ok(all) };
        for account in tasks.send(NoLogin).await.map_err(gone)? {
            match all.iter_mut().find(|view| view.account == account) {
                Some(view) => view.reason = Some(NO_LOGIN.into()),
                None => all.push(AccountView {
                    account,
                    limited_until: None,
                    reason: Some(NO_LOGIN.into()),
                    windows: Vec::new(),
                    processes: Vec::new(),
                    cost_usd: 0.0,
                    input_tokens: 0,
                    output_tokens: 0,
                }),
            }
        }
        Ok(all)
    }
}
