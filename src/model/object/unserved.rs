//! A Service or an Ingress without endpoints.

use serde::{Deserialize, Serialize};

use super::ObjectId;

/// What a Service or an Ingress leads to, and what does not exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unserved {
    /// The Service or the Ingress.
    pub object: ObjectId,
    /// The labels that it selects, or the backend that it names: `app=web`, `api:80`.
    pub wants: String,
}
