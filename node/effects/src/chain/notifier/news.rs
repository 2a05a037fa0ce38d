//! Why the backend should be asked before its time.

use std::time::Instant;

use super::BACKOFF_MIN;

/// What has come since it was asked; the weightiest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    /// Nothing that concerns it.
    Nothing,
    /// The bus tells of something to be looked for.
    Told,
    /// The backend itself gives a hint.
    Hinted,
}

impl News {
    pub(super) fn told(concerns: bool) -> Self {
        if concerns { Self::Told } else { Self::Nothing }
    }

    pub(super) fn hinted(concerns: bool) -> Self {
        if concerns {
            Self::Hinted
        } else {
            Self::Nothing
        }
    }

    /// When a backend that fails is asked next: as planned, but soon where it
    /// gives a hint, since then it is back. The bus knows nothing of that.
    pub(super) fn during_backoff(self, planned: Instant, asked_at: Instant) -> Instant {
        match self {
            Self::Hinted => planned.min(asked_at + BACKOFF_MIN),
            Self::Nothing | Self::Told => planned,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_backend_that_gives_a_hint_is_asked_before_its_backoff_is_over() {
        let asked = Instant::now();
        let planned = asked + Duration::from_secs(30);
        assert_eq!(
            News::Hinted.during_backoff(planned, asked),
            asked + BACKOFF_MIN
        );
        for news in [News::Nothing, News::Told] {
            assert_eq!(news.during_backoff(planned, asked), planned);
        }
        let soon = asked + BACKOFF_MIN / 2;
        assert_eq!(News::Hinted.during_backoff(soon, asked), soon);
    }
}
