//! The configuration in force. A reload replaces it as a whole; who needs a setting takes it from here when it is
//! needed, once for each request, task or connection.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cc_protocol::configuration::{
    ReloadResult, SettingChange, SettingOrigin, SettingSummary, SettingsResult,
};
use tokio::sync::watch;

use crate::config::{
    Config,
    environment::Base,
    error::ConfigError,
    origin::{Given, Origin},
    settings::{
        setting::AnySetting,
        table::{self, GROUPS},
    },
    shown,
    sources::Sources,
    values::{AllGiven, Pinned},
};

/// What is in force until the next reload.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) config: Arc<Config>,
    /// What tasks get of the supervisor's environment.
    pub(crate) environment: Arc<Base>,
}

/// Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    current: watch::Sender<Current>,
    sources: Arc<Sources>,
    given: Arc<Mutex<GivenNow>>,
    /// Held for the length of a reload, so that there is one at a time. Who only asks does not wait for its disk.
    reloading: Arc<Mutex<()>>,
}

#[derive(Clone, Debug)]
struct GivenNow {
    settings: AllGiven,
    files: Vec<String>,
    listening: Option<SocketAddr>,
}

impl Live {
    /// Reads everything for the first time.
    ///
    /// # Errors
    /// The first mistakes.
    pub(crate) fn load(sources: Sources) -> Result<Self, Vec<ConfigError>> {
        let (config, settings, files) = sources.load(None)?;
        let (environment, _) = sources.environment(&config);
        let current = Current { config: Arc::new(config), environment: Arc::new(environment) };
        Ok(Self {
            current: watch::Sender::new(current),
            sources: Arc::new(sources),
            given: Arc::new(Mutex::new(GivenNow { settings, files, listening: None })),
            reloading: Arc::default(),
        })
    }

    /// What is in force now, each part of the same reload.
    #[must_use]
    pub(crate) fn current(&self) -> Current {
        self.current.borrow().clone()
    }

    #[must_use]
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.current.borrow().config)
    }

    #[must_use]
    pub(crate) fn environment(&self) -> Arc<Base> {
        Arc::clone(&self.current.borrow().environment)
    }

    /// The names of the environment variables that are not UTF-8: tasks do not get them.
    pub(crate) fn unusable_variables(&self) -> Vec<String> {
        self.sources.environment(&self.config()).1
    }

    /// Notes where the supervisor listens beyond loopback: what a reload must not open to strangers.
    pub(crate) fn listens_on(&self, address: Option<SocketAddr>) {
        self.given().listening = address;
    }

    /// Reads all sources again. What may change while the supervisor runs is in force then, and `apply` gives it to all
    /// that do not ask here; the rest is reported. It waits for the disk.
    ///
    /// # Errors
    /// The first mistakes: then nothing has changed.
    pub(crate) fn reload(
        &self,
        apply: impl FnOnce(&Current),
    ) -> Result<ReloadResult, Vec<ConfigError>> {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = self.given().clone();
        let before = self.config();
        let pinned = Pinned {
            given: &now.settings,
            listen: &before.listen,
            listening: now.listening,
            state_dir: &before.state_dir,
            worker: &before.worker,
        };
        let (config, settings, files) = self.sources.load(Some(pinned))?;
        now.files.clone_from(&files);
        let mut result = ReloadResult { files, ..ReloadResult::default() };
        for setting in table::all() {
            let about = setting.about();
            let given = settings.get(about.name).cloned().flatten();
            let old = now.settings.get(about.name).and_then(Option::as_ref);
            let change = change(setting, old, given.as_ref());
            if about.is_reloadable {
                result.changed.extend(change);
                now.settings.insert(about.name, given);
            } else {
                result.needs_restart.extend(change);
            }
        }
        let (environment, _) = self.sources.environment(&config);
        let current = Current { config: Arc::new(config), environment: Arc::new(environment) };
        {
            let mut given = self.given();
            *given = now;
            self.current.send_replace(current.clone());
        }
        apply(&current);
        Ok(result)
    }

    fn given(&self) -> MutexGuard<'_, GivenNow> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every setting that is in force, and where it comes from.
    pub(crate) fn settings(&self) -> SettingsResult {
        let now = self.given();
        let config = self.config();
        let summary = |group: &str, setting: &dyn AnySetting| {
            let given = now.settings.get(setting.about().name).and_then(Option::as_ref);
            summary(group, setting, given, &config)
        };
        let of_group = |(group, settings): &(&str, &[&'static dyn AnySetting])| {
            settings.iter().map(|setting| summary(group, *setting)).collect::<Vec<_>>()
        };
        let files = now.files.clone();
        SettingsResult { files, settings: GROUPS.iter().flat_map(of_group).collect() }
    }
}

/// What has changed of a setting. A value that is given as the default has it is no change.
fn change(
    setting: &dyn AnySetting,
    old: Option<&Given>,
    new: Option<&Given>,
) -> Option<SettingChange> {
    let texts = |given: Option<&Given>| {
        given.map(|given| given.texts.clone()).or_else(|| setting.default_texts())
    };
    let value = |given: Option<&Given>| match given {
        Some(given) => shown::value(setting, given),
        None => shown::default(setting),
    };
    (texts(old) != texts(new)).then(|| SettingChange {
        setting: setting.about().name.to_owned(),
        from: value(old),
        to: value(new),
    })
}

fn summary(
    group: &str,
    setting: &dyn AnySetting,
    given: Option<&Given>,
    config: &Config,
) -> SettingSummary {
    let about = setting.about();
    let value = match given {
        Some(given) => shown::value(setting, given),
        None => shown::found(setting, config).or_else(|| shown::default(setting)),
    };
    let origin = match given.map(|given| &given.origin) {
        Some(Origin::Argument) => SettingOrigin::Option { option: format!("--{}", about.name) },
        Some(Origin::Variable(variable)) => {
            SettingOrigin::Environment { variable: (*variable).to_owned() }
        }
        Some(Origin::File(place)) => {
            SettingOrigin::File { path: place.path.display().to_string(), line: place.line as u64 }
        }
        Some(Origin::Default) | None => SettingOrigin::Default,
    };
    SettingSummary {
        setting: about.name.to_owned(),
        group: group.to_owned(),
        value,
        origin,
        reloadable: about.is_reloadable,
    }
}
