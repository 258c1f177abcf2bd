//! What the images of sandboxes say of themselves, for the list of tools, which must not wait for an
//! Engine that is down or slow.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::config::ImageRef;
use crate::engine::{Engine, ImageDescription};

/// How long a list of tools waits for the Engine. Docker answers in milliseconds, from its memory;
/// Podman's first answers take 0.2 s, and more on a busy machine.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an answer is used: an image may get another content under the same name.
const KNOWN_TTL: Duration = Duration::from_secs(60);

/// How long an Engine that did not answer in time is not asked again.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// The descriptions that are known. There are as many images as the settings name.
#[derive(Debug)]
pub struct ImageDescriptions {
    engine: Engine,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// The description of one image.
#[derive(Debug, Default)]
struct Slot {
    /// The holder asks the Engine; the others wait, and find the answer.
    asking: AsyncMutex<()>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    description: Option<ImageDescription>,
    /// The Engine is not asked again before.
    until: Option<Instant>,
}

impl ImageDescriptions {
    /// None yet. Does not reach for the Engine.
    pub fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            slots: Mutex::default(),
        }
    }

    /// What `image` says of itself. Without an answer in time it is the last known description, or
    /// none. Never pulls the image.
    pub async fn of(&self, image: &ImageRef) -> Option<ImageDescription> {
        let slot = self
            .slots
            .lock()
            .entry(image.as_str().to_owned())
            .or_default()
            .clone();
        if slot.is_due() {
            let look_up = self.look_up(image, &slot);
            if timeout(LOOKUP_TIMEOUT, look_up).await.is_err() {
                slot.put_off();
            }
        }
        slot.known.lock().description.clone()
    }

    async fn look_up(&self, image: &ImageRef, slot: &Slot) {
        let _one_at_a_time = slot.asking.lock().await;
        if !slot.is_due() {
            return;
        }
        match self.engine.image_description(image.as_str()).await {
            Ok(description) => slot.learn(description),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                debug!(error, "the image's description is not known");
                slot.put_off();
            }
        }
    }
}

impl Slot {
    fn is_due(&self) -> bool {
        let until = self.known.lock().until;
        until.is_none_or(|until| until <= Instant::now())
    }

    fn learn(&self, description: Option<ImageDescription>) {
        *self.known.lock() = Known {
            description,
            until: Some(Instant::now() + KNOWN_TTL),
        };
    }

    fn put_off(&self) {
        self.known.lock().until = Some(Instant::now() + RETRY_INTERVAL);
    }
}
