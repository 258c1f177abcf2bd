//! How long things may take that more than one file waits for.

use std::time::Duration;

/// How long a call waits for the container: a creation takes 0.4 s, an image
/// that is being prepared some seconds, and desktop clients give up after 60 s.
pub const LEASE_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a container's name may be in use although there is no container of it. Less than a call
/// waits, so that the call says so.
pub const NAME_IN_USE_TIMEOUT: Duration = Duration::from_secs(40);

/// After PID 1 has ended, the Engine removes the container within this time.
pub const REMOVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a container may be there that does not run: one that is on its way out, or that another
/// server has made and not started.
pub const NAME_CONFLICT_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two looks at such a container.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long no channel can be opened to a container that runs, until it counts as
/// broken and is removed. Other servers may have commands in it.
pub const UNRESPONSIVE_TIMEOUT: Duration = Duration::from_secs(10);
