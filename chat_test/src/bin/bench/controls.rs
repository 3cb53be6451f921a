//! The controls that Confab is compared with. Each is small and configured fairly.

pub(crate) mod axum_sse;
pub(crate) mod nchan;
