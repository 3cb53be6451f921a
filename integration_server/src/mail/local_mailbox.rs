//! The mailbox of `confab dev`, which keeps mail in memory instead of sending it.

use chrono::{DateTime, Utc};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// Maximum number of mails in the mailbox; beyond it, the oldest are deleted.
const CAPACITY: usize = 100;

/// A mail in the mailbox.
#[derive(Debug, Clone)]
pub struct StoredMail {
    /// To whom.
    pub address: String,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// When it arrived.
    pub at: DateTime<Utc>,
}

/// Keeps the newest mail.
#[derive(Debug, Clone, Default)]
pub struct LocalMailbox {
    mails: Arc<Mutex<VecDeque<StoredMail>>>,
}

impl LocalMailbox {
    /// Adds a mail.
    pub(crate) fn add(&self, mail: StoredMail) {
        let mut mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        mails.push_front(mail);
        mails.truncate(CAPACITY);
    }

    /// Lists the mail, newest first.
    pub fn list(&self) -> Vec<StoredMail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
