//! Containers and volumes of users: found, made, adopted, counted and ended.

mod adopt;
mod bind;
mod bind_error;
mod capacity;
mod connect;
mod context;
mod create;
mod disk;
mod egress_link;
mod end;
mod end_reason;
mod error;
mod generations;
mod image_descriptions;
mod image_files;
mod orphan;
mod owners;
mod provisioner;
mod queue;
mod repeated_survey;
mod running;
mod shared_data;
mod spec;
mod status;
mod survey;
mod timeouts;
mod uids;
mod volumes;

pub use capacity::Priority;
pub use connect::{connect_for_connections, connect_to};
pub use context::{ServerContext, node};
pub use disk::disk_free;
pub use egress_link::EgressLink;
pub use end_reason::{EMPTIED, KEPT, LOST, Reason};
pub use error::{SandboxError, Uncertainty, broken_off};
pub use generations::{mark_of, removal_order};
pub use image_files::image_state;
pub use orphan::is_abandoned;
pub use owners::{
    DOCTOR_ISSUER, SHARED_ISSUER, held, identity, is_a_users, owner, workspaces,
};
pub use provisioner::Provisioner;
pub use queue::{Admission, AdmissionPermit};
pub use repeated_survey::RepeatedSurvey;
pub use running::{Removal, Running};
pub use shared_data::{SharedHead, SharedVersion, SharedVolumes, share_of, sort_shared};
pub use spec::Spec;
pub use status::{Notice, SandboxLimit, Status};
pub use survey::{LiveSandbox, connect, look, survey, survey_of};
pub use timeouts::{LEASE_TIMEOUT, REMOVAL_TIMEOUT, UNRESPONSIVE_TIMEOUT};
pub use uids::uid_range;
pub use volumes::missing;
