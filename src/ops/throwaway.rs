//! A sandbox that is made for one purpose and removed: of `doctor`, and of `egress learn`.

use std::time::{Duration, SystemTime};

use super::removal;
use crate::config::Config;
use crate::engine::{Engine, EngineError, labels};
use crate::identity::User;
use crate::provision::DOCTOR_ISSUER;
use crate::sandbox::Manager;

/// An older volume was left by a killed verb; a younger one may belong to one that runs.
const LEFTOVER_AGE_LIMIT: Duration = Duration::from_secs(600);

/// The sandbox of a made-up user, so that two verbs do not share one.
#[derive(Debug)]
pub struct ThrowawaySandbox {
    engine: Engine,
    config: Config,
    user: User,
}

impl ThrowawaySandbox {
    /// Makes nothing yet. `config` is [`Config::for_probe`].
    pub fn new(engine: &Engine, config: Config) -> Self {
        let subject = uuid::Uuid::new_v4().simple().to_string();
        Self {
            engine: engine.clone(),
            config,
            user: User {
                issuer: DOCTOR_ISSUER.parse().expect("an issuer"),
                subject: subject.parse().expect("a subject"),
            },
        }
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whose it is.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Makes it at the first call.
    pub fn manager(&self) -> Manager {
        Manager::new(self.config.clone(), self.engine.clone())
    }

    /// Removes this sandbox, and the volumes of killed ones.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn clean_up(&self) -> Result<(), EngineError> {
        let instance = (labels::INSTANCE, self.config.instance.as_str());
        let issuer = (labels::ISSUER, DOCTOR_ISSUER);
        let own = [instance, issuer, (labels::USER, self.user.subject.as_str())];
        for container in self.engine.list_containers(&own).await? {
            removal::container(&self.engine, &container.id).await?;
        }
        removal::volumes(&self.engine, &own).await?;
        for volume in self.engine.list_volumes(&[instance, issuer]).await? {
            let made = volume.created_at();
            let age = made.and_then(|made| SystemTime::now().duration_since(made).ok());
            if age.is_some_and(|age| age > LEFTOVER_AGE_LIMIT) {
                match self.engine.remove_volume(&volume.name).await {
                    // Its container is still running.
                    Err(EngineError::InUse { .. }) | Ok(()) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
