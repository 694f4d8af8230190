//! The token: read again from where it is kept when Slack turns it down, for it may have been rotated there.

use std::sync::{Mutex, PoisonError};

use crate::settings::{Secret, SecretRef};

/// A user token. Debug shows nothing of it.
#[derive(Debug)]
pub(super) struct Token {
    reference: SecretRef,
    current: Mutex<Secret>,
}

impl Token {
    pub(super) fn new(reference: SecretRef, current: Secret) -> Self {
        Self { reference, current: Mutex::new(current) }
    }

    /// The token to call with.
    pub(super) fn current(&self) -> Secret {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another token than `refused`, if there is one by now. A rotating token (`xoxe.`) lives 12 hours, and whoever
    /// rotates it writes the new one to its file.
    pub(super) fn other_than(&self, refused: &Secret) -> Option<Secret> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.expose() == refused.expose() {
            *current = self.reference.resolve().ok().filter(|found| check_token(found).is_ok())?;
        }
        (current.expose() != refused.expose()).then(|| current.clone())
    }
}

/// What a token must be. The error is the mend.
pub(super) fn check_token(token: &Secret) -> Result<(), String> {
    let text = token.expose();
    if text.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("bearer")) && text[6..].starts_with([' ', ':']) {
        return Err("begins with the word Bearer; give the token alone".to_owned());
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("holds a blank, a line end or a letter beyond ASCII, which no token has; copy it again".to_owned());
    }
    // Anything else than a user token is answered `not_allowed_token_type`.
    for (prefix, kind) in [
        ("xoxb-", "a bot token"),
        ("xoxe.xoxb-", "a bot token"),
        ("xapp-", "an app-level token"),
        ("xoxe-", "a refresh token"),
    ] {
        if text.starts_with(prefix) {
            return Err(format!("is {kind}; give the user token of an app that an Org Owner installed (xoxp-...)"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_user_tokens_are_taken() {
        for text in ["xoxp-1-2", "xoxe.xoxp-1-2", "xoxc-1"] {
            assert_eq!(check_token(&Secret::new(text)), Ok(()), "{text}");
        }
        let wrong = ["xoxb-1", "xoxe.xoxb-1", "xapp-1", "xoxe-1-2", "Bearer xoxp-1", "xoxp-1 2", "xoxp-1\n", "xoxp-ü"];
        for text in wrong {
            let mend = check_token(&Secret::new(text)).expect_err(text);
            assert!(!mend.contains("xoxp-1") && !mend.contains("xapp-1"), "{mend}");
        }
    }

    #[test]
    fn a_token_that_was_rotated_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "xoxp-old\n").expect("written");
        let reference = SecretRef::File(file.clone());
        let old = reference.resolve().expect("a token");
        let token = Token::new(reference, old.clone());
        assert!(token.other_than(&old).is_none(), "the file still has the one that was refused");
        std::fs::write(&file, "xoxb-bot\n").expect("written");
        assert!(token.other_than(&old).is_none(), "a bot token is not taken later either");
        std::fs::write(&file, "xoxp-new\n").expect("written");
        assert_eq!(token.other_than(&old).expect("another").expose(), "xoxp-new");
        assert_eq!(token.current().expose(), "xoxp-new");
        assert_eq!(token.other_than(&old).expect("known by now").expose(), "xoxp-new");
    }
}
