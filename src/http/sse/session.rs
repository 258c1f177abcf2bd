//! The part of a session that a POST needs: its user and its queue.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::super::limits::REQUESTS_PER_SESSION;
use crate::identity::User;

/// An open session, as POST requests see it.
#[derive(Debug, Clone)]
pub struct Session {
    owner: User,
    inbox: mpsc::Sender<ClientJsonRpcMessage>,
    unanswered: PendingRequests,
}

/// Why a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnqueueError {
    /// Too many messages wait to be handled or answered.
    Full,
    /// The session has ended.
    Ended,
}

impl Session {
    /// Messages go to `inbox`; requests are in `unanswered` until their answers are noted
    /// there.
    pub fn new(
        owner: User,
        inbox: mpsc::Sender<ClientJsonRpcMessage>,
        unanswered: PendingRequests,
    ) -> Self {
        Self {
            owner,
            inbox,
            unanswered,
        }
    }

    /// Whether the session belongs to this user.
    pub fn is_of(&self, user: &User) -> bool {
        self.owner == *user
    }

    /// Puts a message into the session's queue.
    ///
    /// # Errors
    /// The queue is full, or its reader is gone.
    pub fn put(&self, message: ClientJsonRpcMessage) -> Result<(), EnqueueError> {
        let asked = match &message {
            JsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        if asked.as_ref().is_some_and(|id| !self.unanswered.add(id)) {
            return Err(EnqueueError::Full);
        }
        if let Some(id) = cancelled(&message) {
            self.unanswered.remove(id);
        }
        self.inbox.try_send(message).map_err(|error| {
            if let Some(id) = asked {
                self.unanswered.remove(&id);
            }
            match error {
                TrySendError::Full(_) => EnqueueError::Full,
                TrySendError::Closed(_) => EnqueueError::Ended,
            }
        })
    }
}

/// A request that is cancelled is not answered.
fn cancelled(message: &ClientJsonRpcMessage) -> Option<&RequestId> {
    match message {
        JsonRpcMessage::Notification(notification) => match &notification.notification {
            ClientNotification::CancelledNotification(it) => it.params.request_id.as_ref(),
            _ => None,
        },
        _ => None,
    }
}

/// The requests of a session that have no answer yet.
#[derive(Debug, Clone, Default)]
pub struct PendingRequests(Arc<Mutex<HashSet<RequestId>>>);

impl PendingRequests {
    /// `false` when there are too many.
    fn add(&self, id: &RequestId) -> bool {
        let mut ids = self.0.lock();
        ids.len() < REQUESTS_PER_SESSION && {
            ids.insert(id.clone());
            true
        }
    }

    fn remove(&self, id: &RequestId) {
        self.0.lock().remove(id);
    }

    /// A message is on its way to the client; it may be an answer.
    pub fn note(&self, message: &ServerJsonRpcMessage) {
        match message {
            JsonRpcMessage::Response(response) => self.remove(&response.id),
            JsonRpcMessage::Error(error) => {
                if let Some(id) = &error.id {
                    self.remove(id);
                }
            }
            _ => {}
        }
    }

    /// Whether all requests are answered.
    pub fn are_none(&self) -> bool {
        self.0.lock().is_empty()
    }
}
