//! What the settings of all users say together.

use super::{Config, ImageRef, Mode, Profile, SandboxSettings};

impl Config {
    /// Those of users without a table, and those of every table.
    fn all_settings(&self) -> impl Iterator<Item = &SandboxSettings> {
        let tables = self.users.all().chain(self.groups.all());
        [&*self.sandbox].into_iter().chain(tables)
    }

    /// Whether every workspace is a directory of the host, and none a volume.
    pub fn all_users_bind(&self) -> bool {
        let mut all = self.all_settings();
        all.all(|settings| settings.mode == Mode::Bind)
    }

    /// The runtime that some sandboxes need besides the Engine's default; `None`: none does.
    pub fn needed_runtime(&self) -> Option<&str> {
        let mut all = self.all_settings();
        all.any(|settings| settings.profile == Profile::High)
            .then_some(&self.runtime)
    }

    /// Whether some user's links open without sign-in.
    pub fn some_links_are_open(&self) -> bool {
        self.all_settings().any(|settings| settings.share_links)
    }

    /// The images of all sandboxes with their profiles, each pair once.
    pub fn images(&self) -> Vec<(ImageRef, Profile)> {
        let mut images = Vec::new();
        for settings in self.all_settings() {
            let image = (settings.image.clone(), settings.profile);
            if !images.contains(&image) {
                images.push(image);
            }
        }
        images
    }
}
