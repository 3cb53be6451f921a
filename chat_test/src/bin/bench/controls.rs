//! What Confab is measured against, each small and fair.

pub(crate) mod axum_sse;
pub(crate) mod nchan;
