//! Limits how many pixels of one user are decoded.

use chat_core::{Error, Result, UserId};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;

/// How many megapixels of one user are decoded at once, and how many more in each minute
/// after that: ten of the largest images. A small image counts as one megapixel.
const MEGAPIXELS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(400).expect("not zero");

/// Counts the pixels that are decoded for each user.
#[derive(Debug)]
pub struct PixelBudget(Option<DefaultKeyedRateLimiter<UserId>>);

impl PixelBudget {
    /// A budget, or none if there are no rate limits.
    pub fn new(is_limited: bool) -> Self {
        let quota = Quota::per_minute(MEGAPIXELS_PER_MINUTE);
        Self(is_limited.then(|| RateLimiter::keyed(quota)))
    }

    /// Counts an image, before it is decoded.
    pub fn charge(&self, user: UserId, pixels: u64) -> Result<()> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        let megapixels = u32::try_from(pixels.div_ceil(1_000_000)).unwrap_or(u32::MAX);
        let megapixels = NonZeroU32::new(megapixels).unwrap_or(NonZeroU32::MIN);
        match limiter.check_key_n(&user, megapixels) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::TooManyRequests),
        }
    }

    /// Removes users who have their full budget again.
    pub fn remove_stale(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_decodes_a_limited_number_of_pixels_and_others_do_not_feel_it() {
        let budget = PixelBudget::new(true);
        let (one, other) = (1.try_into().expect("an id"), 2.try_into().expect("an id"));
        assert!((0..10).all(|_| budget.charge(one, 40_000_000).is_ok()));
        assert!(matches!(budget.charge(one, 40_000_000), Err(Error::TooManyRequests)));
        budget.charge(other, 40_000_000).expect("another user");
        assert!((0..1_000).all(|_| PixelBudget::new(false).charge(one, 40_000_000).is_ok()));
    }
}
