//! What an operator allows a task beside its command: the directory in which it runs, and the money of its token.
//!
//! Asked before there is a task. Called by [`crate::session`] and [`crate::batch`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cc_protocol::{CallError, Denied, Scope};
use cc_state::DAY_MS;
use tokio::task::spawn_blocking;

use crate::{
    config::tokens::{Budget, Grant},
    ops::clock::now_ms,
    storage::database::StoreError,
    task::context::TaskContext,
};

/// Whether a task with this token may be started in this directory now. Returns the directory without symbolic links,
/// where directories are limited.
///
/// # Errors
/// When the directory is not allowed, the token is gone, or its budget is spent.
pub(crate) async fn check(
    context: &TaskContext,
    token: Option<&str>,
    cwd: Option<&str>,
) -> Result<Option<PathBuf>, CallError> {
    let grant = context.tokens.named(token);
    // A batch goes on without its client: not with what the client may no longer do.
    let may_run = grant.as_ref().is_some_and(|grant| grant.scopes.has(Scope::Run));
    if token.is_some() && context.tokens.are_required() && !may_run {
        return Err(Denied::TokenRemoved.into());
    }
    if let Some(grant) = &grant
        && let Some(budget) = grant.budget
    {
        check_budget(context, &grant.name, budget).await?;
    }
    check_directory(context, grant, cwd).await
}

/// What runs now has not reported its cost: a budget can be exceeded by that.
async fn check_budget(
    context: &TaskContext,
    token: &Arc<str>,
    budget: Budget,
) -> Result<(), CallError> {
    let today = now_ms() / DAY_MS;
    let first_day = budget.days.map_or(0, |days| (today + 1).saturating_sub(u64::from(days)));
    let name = Arc::clone(token);
    let spent: Result<f64, StoreError> =
        context.store.read(move |db| db.spent(&name, first_day)).await;
    let spent_usd = spent?;
    if spent_usd < budget.usd {
        return Ok(());
    }
    let denied = Denied::BudgetSpent { spent_usd, budget_usd: budget.usd, days: budget.days };
    Err(denied.into())
}

async fn check_directory(
    context: &TaskContext,
    grant: Option<Arc<Grant>>,
    cwd: Option<&str>,
) -> Result<Option<PathBuf>, CallError> {
    let config = context.config();
    let of_token = grant.map(|grant| grant.directories.clone()).unwrap_or_default();
    let lists: Vec<Vec<PathBuf>> = [config.allowed_directories.clone(), of_token]
        .into_iter()
        .filter(|list| !list.is_empty())
        .collect();
    if lists.is_empty() {
        return Ok(None);
    }
    let directory = config.task.cwd.join(cwd.unwrap_or_default());
    let allowed = lists.concat();
    let wanted = directory.clone();
    // The disk may be slow.
    let resolving = spawn_blocking(move || resolve_below(&wanted, &lists));
    let shown = |path: &PathBuf| path.to_string_lossy().into_owned();
    match resolving.await.ok().flatten() {
        Some(real) => Ok(Some(real)),
        None => {
            let allowed = allowed.iter().map(shown).collect();
            Err(Denied::Directory { directory: shown(&directory), allowed }.into())
        }
    }
}

/// The directory without symbolic links, if it is below one of each list.
fn resolve_below(directory: &Path, lists: &[Vec<PathBuf>]) -> Option<PathBuf> {
    let real = directory.canonicalize().ok()?;
    let is_below = |allowed: &PathBuf| allowed.canonicalize().is_ok_and(|it| real.starts_with(it));
    lists.iter().all(|list| list.iter().any(is_below)).then_some(real)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_directory_is_judged_by_where_it_really_is() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for path in ["allowed/inner", "allowed-not", "elsewhere/inner"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        symlink(at("elsewhere"), at("allowed/out")).unwrap();
        symlink(at("allowed"), at("in")).unwrap();
        let lists = [vec![at("in")]];
        for (path, is_allowed) in [
            ("allowed", true),
            ("allowed/inner", true),
            ("in/inner", true),
            ("allowed/inner/..", true),
            ("allowed-not", false),
            ("allowed/out", false),
            ("allowed/out/inner", false),
            ("allowed/../elsewhere", false),
            ("allowed/missing", false),
        ] {
            assert_eq!(resolve_below(&at(path), &lists).is_some(), is_allowed, "{path}");
        }
        let both = [vec![at("allowed")], vec![at("elsewhere")]];
        assert_eq!(resolve_below(&at("allowed"), &both), None, "it must be in each list");
    }
}
