//! The annotations of ingress-nginx: what Ingresses say that were written for it.

/// What their names begin with.
pub(crate) const PREFIX: &str = "nginx.ingress.kubernetes.io/";
