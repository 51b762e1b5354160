//! What accounts use up, and their limits.

use wezterm_parallel_schemas::{error::Error, limit::AccountView};

use super::{Router, gone};
use crate::actors::limit::List;

impl Router {
    /// All accounts.
    pub(super) async fn list_limits(&self) -> Result<Vec<AccountView>, Error> {
        self.shared.limits.send(List).await.map_err(gone)
    }
}
