//! The controls that Confab is compared with. Each is small and fairly configured.

pub(crate) mod axum_sse;
pub(crate) mod nchan;
